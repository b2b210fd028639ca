// SPDX-License-Identifier: Apache-2.0
//
// Giving a stopped target a copy of a descriptor, for which ptrace(2) has no request.
#ifndef FSC_PTRACE_GIVE_H
#define FSC_PTRACE_GIVE_H

#include "ptrace_call.h"

// number: the descriptor to be replaced, or -1 for a new one. Returns the number there, or a
// negative errno. For the tracing thread alone.
int ptrace_give(struct stopped_call *call, int fd, int number, bool close_on_exec,
		next_call_stop *next, void *context);

#endif
