// SPDX-License-Identifier: Apache-2.0
//
// The memory of all runs that use one state file: two files beside it, "FILE-live" and
// "FILE-live-pending" (session_page.h), which each of them maps. They outlive any run,
// killed or not, and hold what the state file does not have yet. The last one who leaves
// removes them, unless that is still so, or reading so many records anew would take long.
//
// Who is alone with FILE-live, by flock(2), makes it whole; then all share the lock. The
// kernel lets go of the locks of killed processes.
//
// A new one is empty, then says that it is being made, and in the end what it is: killed at
// any point, it is made anew. What begins in another way is nobody's to overwrite. The
// other file counts by its size, and by its number in FILE-live.
#ifndef FSC_LIVE_H
#define FSC_LIVE_H

#include "session.h"

#include <stdbool.h>
#include <sys/types.h>

#define LIVE_LAYOUT 4u

#define LIVE_STAGES(X) \
	X(NONE) \
	X(OPEN)      /* open(2) */ \
	X(LOCK)      /* flock(2) */ \
	X(WAIT)      /* EAGAIN: the lock is another's, for too long */ \
	X(SPACE)     /* posix_fallocate(3) */ \
	X(MAP)       /* mmap(2): a file system without shared mappings */ \
	X(VERSION)   /* another version's, which is using it or has left changes in it */ \
	X(ELSEWHERE) /* in use in another PID namespace or on another machine */ \
	X(DAMAGED)   /* not what a fakeroot-sc has left */ \
	X(FOREIGN)   /* a run of root, and another user may write to it */ \
	X(RECOVER)   /* could not be made whole: no space */

enum live_stage {
#define X(name) LIVE_##name,
	LIVE_STAGES(X)
#undef X
};

// Opens or creates the file, with a mode for a new one. *alone_ret: no one else uses it,
// and none can until live_share(). *error_ret: the errno of the stage that failed.
enum live_stage live_open(struct session *session, const char *path, mode_t mode,
			  uint64_t pass, bool *alone_ret, int *error_ret);

// Lets others in. Returns 0 or -errno.
int live_share(struct session *session);

// What the memory belongs to. Set by who has locks.committing, or is alone.
void live_stand(struct session *session, const struct session_standing *standing);
struct session_standing live_standing(const struct session *session);

// Says that a run of a program begins to use it.
void live_note_run(struct session *session, const char *program);
// Says that it has ended, and nothing that it has changed is left to be written.
void live_end_run(struct session *session);
// Whose changes are in it that the state file does not have, or "".
void live_program(const struct session *session, char program_ret[static SESSION_PROGRAM_BYTES]);

// Empties the table, for who is alone. Returns 0 or -errno.
int live_clear(struct session *session);

// Leaves the file whole if no one else uses it. The memory stays mapped.
void live_leave(struct session *session);

#endif
