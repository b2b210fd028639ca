// SPDX-License-Identifier: Apache-2.0
//
// Starting COMMAND under the filter.
#ifndef FSC_LAUNCH_H
#define FSC_LAUNCH_H

#include "session.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Where a launch can fail. The names are Python's too (module.c, trouble.py).
#define LAUNCH_STAGES(X)                                                                          \
	X(NONE)     /* started */                                                                  \
	X(PREPARE)  /* descriptors, memory, processes, of the supervisor itself */                 \
	X(PROC)     /* /proc is not there */                                                       \
	X(PIDS)     /* /proc numbers processes as another PID namespace does */                    \
	X(NO_PRIVS) /* prctl(PR_SET_NO_NEW_PRIVS) */                                               \
	X(FILTER)   /* seccomp(SECCOMP_SET_MODE_FILTER, NEW_LISTENER) */                           \
	X(TRACE)    /* ptrace(PTRACE_SEIZE) */                                                     \
	X(HANDOVER) /* sending the listener to the supervisor */                                   \
	X(RECEIVE)  /* receiving and answering notifications */                                    \
	X(ANSWER)   /* the first trapped call did not come back as the supervisor answered it */   \
	X(MEMORY)   /* reading or writing the target's memory */                                   \
	X(OUTSIDE)  /* somebody else answers a call that is faked (trial.h) */                     \
	X(EXECUTE)  /* execve() of COMMAND */

enum launch_stage {
#define X(name) LAUNCH_##name,
	LAUNCH_STAGES(X)
#undef X
};

// What COMMAND inherits from the process that the user started.
struct launch_origin {
	uint64_t signal_mask;     // bit n-1 for signal n, as in /proc/PID/status
	uint64_t ignored_signals; // likewise
	unsigned closed;          // bit n: descriptor n, 0 to 2, is closed
};

// Where the session's requests come from. What Python calls a mode (plan.py).
enum launch_mode {
	LAUNCH_AUTO, // the first of the others that can be had
	LAUNCH_NOTIFY,
	LAUNCH_PTRACE,
	LAUNCH_PTRACE_ALL, // every call stops, as without a filter
};

// Why a launch failed.
struct launch_failure {
	enum launch_stage stage;
	int error;     // errno; 0 with LAUNCH_OUTSIDE for a call that came back without one
	char call[24]; // the system call that was refused, "" where the stage says that
};

struct launch_plan {
	enum launch_mode mode;
	// Told once another mode than the best one works, why that one does not, before COMMAND
	// is executed.
	void (*fall_back)(enum launch_mode mode, const struct launch_failure *reason);
	char *const *argv;
	char *const *envp;
	const void *filter; // struct sock_filter[]
	size_t filter_size; // bytes
	struct launch_origin origin;
};

// Starts COMMAND: fork, no_new_privs, filter, hand-over or seizure, one round trip through
// the running event source, the trial of others' filters, execve. Returns the stage that
// failed, with more in *failure_ret, or LAUNCH_NONE with the process id in *command_ret.
enum launch_stage launch(struct session *session, const struct launch_plan *plan,
			 pid_t *command_ret, struct launch_failure *failure_ret);

// Executes COMMAND in the calling process, with what it inherits. Returns the errno
// of its failure.
int launch_execute(char *const *argv, char *const *envp, const struct launch_origin *origin);

#endif
