// SPDX-License-Identifier: Apache-2.0
//
// Giving a stopped target a copy of a descriptor, for which ptrace(2) has no request.
#ifndef FSC_PTRACE_GIVE_H
#define FSC_PTRACE_GIVE_H

#include "ptrace_call.h"

#define PTRACE_GIVE_LENT 48

struct gift {
	int fd;
	int number; // the descriptor to be replaced, or -1 for a new one
	bool close_on_exec;
	// Whoever serves the file may be another target, which nobody would hear meanwhile.
	bool opening_may_wait;
};

// Returns the number there, or a negative errno. For the tracing thread alone.
int ptrace_give(struct stopped_call *call, const struct gift *gift, next_call_stop *next);

// Opens a descriptor for the target, close-on-exec, where it has lent memory for a path: at
// least PTRACE_GIVE_LENT bytes. Takes one stop where ptrace_give() takes five. Returns the
// number, or a negative errno: -ESRCH, or where the other way may still do.
int ptrace_give_lent(struct stopped_call *call, int fd, uint64_t lent, next_call_stop *next);

#endif
