// SPDX-License-Identifier: Apache-2.0
//
// Root passes every directory and opens every file, whatever their modes. The user can
// only after a change of those modes, so that is what happens to the user's own.
#ifndef FSC_HEAL_H
#define FSC_HEAL_H

#include "session.h"

#include <stdbool.h>

// Makes what lies on a path passable, and the file at its end readable and writable, for
// the user that it belongs to; what its mode was is remembered. Returns whether
// anything has changed.
bool heal_path(struct session *session, int dirfd, const char *path);

#endif
