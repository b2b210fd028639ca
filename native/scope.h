// SPDX-License-Identifier: Apache-2.0
//
// Scope guards: what a function acquires is released when its scope ends.
#ifndef FSC_SCOPE_H
#define FSC_SCOPE_H

#include "lock.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#define SCOPED(release) __attribute__((__cleanup__(release)))

static inline void scope_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void scope_unlock(struct lock **lock)
{
	if (*lock)
		lock_release(*lock);
}

static inline void scope_free(void *pointer)
{
	free(*(void **)pointer);
}

// A descriptor owned by the scope; -1 while there is none.
#define SCOPED_FD SCOPED(scope_close) int
#define SCOPED_FREE SCOPED(scope_free)
// A held lock, or NULL: SCOPED_LOCK held = session_lock(session, &session->locks.settling);
#define SCOPED_LOCK SCOPED(scope_unlock) struct lock *

// Gives the descriptor away: the scope closes it no longer.
static inline int fd_release(int *fd)
{
	int given = *fd;
	*fd = -1;
	return given;
}

#endif
