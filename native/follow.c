// SPDX-License-Identifier: Apache-2.0
//
// Facts about ptrace(2) that shape this file:
//  - Both PTRACE_SEIZE and PTRACE_INTERRUPT succeed while a target waits for the answer to a
//    notification. Answered then, it stops on its way out of the call, before any other. Where
//    the wait can be interrupted (before Linux 5.19) it stops at once and makes the call anew.
//  - Only the thread that has seized a target may resume it: each has a thread of ours. When
//    that ends, the target goes on by itself.
//  - A stop of a child is told to whichever thread of its parent waits first. So the one that
//    waits for children (supervise.c) does so alone, and hands stops on.
#include "follow.h"

#include "id_map.h"
#include "ptrace_call.h"
#include "request.h"
#include "scope.h"
#include "thread.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#define CALL_STOP (SIGTRAP | 0x80) // PTRACE_O_TRACESYSGOOD
#define CALLS_MOST 1000            // the loading of a program that writes included
#define PATIENCE 10                // seconds, for each

struct follower {
	struct stopped_call call; // first: next_stop() is given it
	struct session *session;
	pid_t tid;
	int maps;        // opened, and not written yet
	int status;      // when heard
	sem_t heard;
	sem_t *started;
	int *error_ret; // for who waits for started
	struct follower *next;
};

static struct lock following = LOCK_INITIALIZER(PTHREAD_MUTEX_INITIALIZER);
static struct follower *followers;
static _Atomic unsigned followers_count;

bool follow_any(void)
{
	return atomic_load(&followers_count) > 0;
}

static struct follower **find(pid_t tid)
{
	struct follower **at = &followers;
	while (*at && (*at)->tid != tid)
		at = &(*at)->next;
	return at;
}

bool follow_hear(pid_t tid, int status)
{
	if (!follow_any())
		return false;
	SCOPED_LOCK held = lock_hold(&following);
	struct follower *follower = *find(tid);
	if (!follower)
		return false;
	follower->status = status;
	sem_post(&follower->heard);
	return WIFSTOPPED(status);
}

static bool enlist(struct follower *follower)
{
	SCOPED_LOCK held = lock_hold(&following);
	struct follower *known = *find(follower->tid);
	if (known) {
		known->maps++;
		return false;
	}
	follower->next = followers;
	followers = follower;
	atomic_fetch_add(&followers_count, 1);
	return true;
}

static void strike_off(struct follower *follower)
{
	SCOPED_LOCK held = lock_hold(&following);
	*find(follower->tid) = follower->next;
	atomic_fetch_sub(&followers_count, 1);
}

static bool was_last_map(struct follower *follower)
{
	SCOPED_LOCK held = lock_hold(&following);
	return --follower->maps <= 0;
}

// Returns a wait status, or -1 where the target has ended or nothing is heard of it.
static int wait_status(struct follower *follower)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	int result;
	while ((result = sem_timedwait(&follower->heard, &until)) < 0 && errno == EINTR)
		;
	return result < 0 || !WIFSTOPPED(follower->status) ? -1 : follower->status;
}

static bool is_stop_signal(int signal)
{
	return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static void go_on(struct follower *follower, int signal)
{
	ptrace(PTRACE_SYSCALL, follower->tid, NULL, (long)signal);
}

static int next_stop(struct stopped_call *call)
{
	struct follower *follower = (struct follower *)call;
	go_on(follower, 0);
	for (;;) {
		int status = wait_status(follower);
		if (status < 0)
			return -ESRCH;
		if (WSTOPSIG(status) == CALL_STOP)
			return 0;
		// None takes it elsewhere: a signal is delivered when the call has ended.
		go_on(follower, status >> 16 ? 0 : WSTOPSIG(status));
	}
}

// Returns whether there is more to come.
static bool on_call(struct follower *follower)
{
	struct stopped_call *call = &follower->call;
	if (stopped_call_read(follower->tid, false, call) != 0)
		return false;
	long written = call->entering ? id_map_write(follower->session, call) : 0;
	if (written == 0)
		return true;
	return stopped_call_skip(call, written, next_stop) == 0 && !was_last_map(follower);
}

// Until it is let go: from then on it may be followed anew.
static void follow(struct follower *follower)
{
	for (int calls = 0; calls < 2 * CALLS_MOST; calls++) {
		int status = wait_status(follower), deliver = 0;
		if (status < 0)
			break;
		int signal = WSTOPSIG(status);
		if (signal == CALL_STOP) {
			if (!on_call(follower))
				break;
		} else if (status >> 16 && is_stop_signal(signal)) {
			break;
		} else if (status >> 16 == 0) {
			deliver = signal;
		}
		go_on(follower, deliver);
	}
	strike_off(follower);
	ptrace(PTRACE_DETACH, follower->tid, NULL, NULL);
}

static int seize(pid_t tid)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, (long)PTRACE_O_TRACESYSGOOD) < 0 ||
	    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0)
		return -errno;
	return 0;
}

static void *run(void *argument)
{
	struct follower *follower = argument;
	int error = seize(follower->tid);
	*follower->error_ret = error;
	sem_post(follower->started);
	if (error)
		strike_off(follower);
	else
		follow(follower);
	sem_destroy(&follower->heard);
	free(follower);
	return NULL;
}

int follow_start(const struct request *request)
{
	sem_t started;
	int refusal = 0;
	struct follower *follower = calloc(1, sizeof(*follower));
	if (!follower)
		return -ENOMEM;
	*follower = (struct follower){
		.session = request->session,
		.tid = request->tid,
		.started = &started,
		.error_ret = &refusal,
		.maps = 1,
	};
	// It is followed already, and makes the call anew.
	if (!enlist(follower)) {
		free(follower);
		return 0;
	}
	sem_init(&follower->heard, 0, 0);
	sem_init(&started, 0, 0);
	int error = thread_start(run, follower);
	if (error) {
		strike_off(follower);
		free(follower);
		return error;
	}
	while (sem_wait(&started) < 0)
		;
	return refusal;
}
