// SPDX-License-Identifier: Apache-2.0
#ifndef FSC_CHMOD_H
#define FSC_CHMOD_H

#include "resolve.h"

// Gives a pinned file a mode: for real as far as the user stays able to work on it, and no
// further; what the real mode then does not show is remembered. Returns 0 or -errno.
int chmod_change(struct session *session, struct subject *subject, uint32_t mode);

// Remembers what the real mode, changed by an ACL, does not show.
int chmod_remember(struct session *session, struct subject *subject, uint32_t mode);

#endif
