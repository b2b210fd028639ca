// SPDX-License-Identifier: Apache-2.0
//
// The one place that answers requests, wherever they come from.
#ifndef FSC_ANSWER_H
#define FSC_ANSWER_H

#include "request.h"

#include <stdbool.h>

// Where requests come from, and their answers go: seccomp notification (notify.c) or
// ptrace (ptrace.c).
struct event_source {
	// Whether the target still waits for the answer.
	bool (*valid)(const struct request *request);
	// Gives the target a copy of a descriptor, under a number of its choice unless that
	// is -1. Returns the number, or -errno.
	int (*give)(const struct request *request, int fd, int number, bool close_on_exec);
	// Gives a copy of a descriptor and answers with its number, in one step that no signal
	// can cut; false where that cannot be. May be NULL.
	bool (*send_descriptor)(const struct request *request, int fd);
	// Begins to follow the target's calls, until a map of ids has been written (id_map.h).
	int (*follow)(const struct request *request);
	// Gives an outcome of kind VALUE, ERRNO or CONTINUE; a target that has gone is no error.
	void (*send)(const struct request *request, const struct outcome *outcome);
};

// Whether the task id still names the target. Only then were bytes read from its
// memory its own.
bool notification_valid(const struct request *request);

// Copies out what the outcome has for the target's memory, which may wait for
// whoever serves that memory; turns the outcome into what is left to be said.
void answer_copy_out(const struct request *request, struct outcome *outcome);

// Gives the target a copy of a descriptor, ahead of the answer. Returns its number there,
// or -errno: -EMFILE, -ENOENT or -ESRCH where the target has gone. Linux 5.9.
int answer_install(const struct request *request, int fd, bool close_on_exec);

// The same in place of the target's descriptor of that number.
int answer_replace(const struct request *request, int fd, int number, bool close_on_exec);

// Gives the answer; does not wait. A target that went away meanwhile is no error.
void answer(const struct request *request, const struct outcome *outcome);

#endif
