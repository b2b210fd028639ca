// SPDX-License-Identifier: Apache-2.0
//
// The mark is the hint in a thread's I/O priority (Linux 6.5): ten bits that a process of
// the same user can set, and that clone(2) hands on and execve(2) keeps. Hints from 1 to 7
// limit a command's time on disks that know such limits; those above mean nothing to any.
// Threads that share an I/O context (CLONE_IO) share it.
// A priority without a class is not handed on, so such a thread is given the class and the
// level that it has without, by its policy and its nice value (ioprio_set(2)).
#include "thread_mark.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEVEL_MASK (IOPRIO_NR_LEVELS - 1)
// Linux 6.5
#define HINT_SHIFT 3
#define HINT_MASK 1023
#define HINT_FIRST 8
#define MARKS (HINT_MASK - HINT_FIRST + 1)

static uint32_t positions[MARKS]; // by mark
static _Atomic unsigned marks;

// Returns the number of the mark, or MARKS when there are no more.
static unsigned mark_for(uint32_t position)
{
	unsigned count = atomic_load(&marks);
	for (unsigned i = 0; i < count; i++)
		if (positions[i] == position)
			return i;
	if (count < MARKS) {
		positions[count] = position;
		atomic_store(&marks, count + 1);
	}
	return count;
}

static int own_class(pid_t tid)
{
	switch (sched_getscheduler(tid) & ~SCHED_RESET_ON_FORK) {
	case SCHED_IDLE:
		return IOPRIO_CLASS_IDLE;
	case SCHED_FIFO:
	case SCHED_RR:
	case SCHED_DEADLINE:
		return IOPRIO_CLASS_RT;
	default:
		return IOPRIO_CLASS_BE;
	}
}

static int set_priority(pid_t tid, int class, int level, int hint)
{
	int priority = class << IOPRIO_CLASS_SHIFT | hint << HINT_SHIFT | level;
	return (int)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, tid, priority);
}

void thread_mark_set(pid_t tid, uint32_t position)
{
	int priority = (int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);
	if (priority < 0)
		return;
	int class = priority >> IOPRIO_CLASS_SHIFT, level = priority & LEVEL_MASK;
	if (class == 0) {
		class = own_class(tid);
		level = (getpriority(PRIO_PROCESS, (id_t)tid) + 20) / 5;
	}
	// A thread that cannot be marked must not keep another's mark.
	unsigned mark = mark_for(position);
	int hint = mark < MARKS ? (int)mark + HINT_FIRST : 0;
	// The class of real-time threads takes CAP_SYS_NICE.
	if (set_priority(tid, class, level, hint) < 0 && errno == EPERM)
		set_priority(tid, IOPRIO_CLASS_BE, level, hint);
}

bool thread_mark_get(pid_t tid, uint32_t *position_ret)
{
	int priority = (int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);
	int mark = priority < 0 ? -1 : (priority >> HINT_SHIFT & HINT_MASK) - HINT_FIRST;
	if (mark < 0 || (unsigned)mark >= atomic_load(&marks))
		return false;
	*position_ret = positions[mark];
	return true;
}
