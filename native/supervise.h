// SPDX-License-Identifier: Apache-2.0
//
// Life and death of the targets: the supervisor's main thread.
#ifndef FSC_SUPERVISE_H
#define FSC_SUPERVISE_H

#include "session.h"

#include <sys/types.h>

// Reaps COMMAND and every orphan, tells the front process what becomes of
// COMMAND, and returns when the last target has gone. All signals are blocked.
// Returns the exit status that the front process was to end with.
int supervise(struct session *session, pid_t command);

#endif
