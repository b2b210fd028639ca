// SPDX-License-Identifier: Apache-2.0
//
// The event source: notifications from the listener, received and answered by
// worker threads.
#ifndef FSC_NOTIFY_H
#define FSC_NOTIFY_H

#include "session.h"

// Whether notifications can be received and answered at all. Returns 0 or -errno.
int notify_check(int listener);

// Starts the workers on session->listener. They run until the last target has
// gone. Returns 0 or -errno.
int notify_start(struct session *session);

#endif
