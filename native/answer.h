// SPDX-License-Identifier: Apache-2.0
//
// The one place that answers notifications.
#ifndef FSC_ANSWER_H
#define FSC_ANSWER_H

#include "request.h"

#include <stdbool.h>

// Whether the task id still names the target. Only then were bytes read from its
// memory its own.
bool notification_valid(const struct request *request);

// Copies out what the outcome has for the target's memory, which may wait for
// whoever serves that memory; turns the outcome into what is left to be said.
void answer_copy_out(const struct request *request, struct outcome *outcome);

// Gives the target a copy of a descriptor, ahead of the answer. Returns its number there,
// or -errno: -EMFILE, -ENOENT where the target has gone. Linux 5.9.
int answer_install(const struct request *request, int fd, bool close_on_exec);

// Gives the answer; does not wait. A target that went away meanwhile is no error.
void answer(const struct request *request, const struct outcome *outcome);

#endif
