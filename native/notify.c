// SPDX-License-Identifier: Apache-2.0
//
// Some facts about SECCOMP_IOCTL_NOTIF_RECV that shape this file:
//  - A signal that reaches a target before its notification was received makes
//    the call fail with EINTR, even calls that never do. So some thread must
//    always be waiting in RECV: the last one to leave starts another.
//  - The buffer must be zeroed, and be as large as the kernel says (5.5).
//  - ENOENT means that the target went away between waking us and the receipt.
//  - RECV blocks for ever once the last target has gone, before Linux 6.11. The
//    main thread sees POLLHUP and ends the process; workers need not end.
//  - With SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (6.6) the target's CPU is handed
//    straight to the worker and back: 3 instead of 11 us a round trip.
#include "notify.h"

#include "answer.h"
#include "kernel.h"
#include "request.h"
#include "scope.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WORKERS_MOST 64
#define WORKER_STACK ((size_t)1 << 20) // a Python handler's frames included
// What one request may hold open at a time: two entries, two subjects, a file
// under /proc.
#define WORKER_DESCRIPTORS 6
#define OTHER_DESCRIPTORS 16

struct notifier {
	struct session *session;
	struct seccomp_notif_sizes sizes;
	atomic_int waiting; // in RECV, or on the way there
	atomic_int workers;
	int workers_most;
	int waiting_most; // above this a worker that has nothing to do ends
};

static void *worker(void *argument);

static int start_worker(struct notifier *notifier)
{
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, WORKER_STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	atomic_fetch_add(&notifier->waiting, 1);
	atomic_fetch_add(&notifier->workers, 1);
	int error = pthread_create(&thread, &attributes, worker, notifier);
	if (error) {
		atomic_fetch_sub(&notifier->waiting, 1);
		atomic_fetch_sub(&notifier->workers, 1);
	}
	pthread_attr_destroy(&attributes);
	return -error;
}

static void leave_waiting(struct notifier *notifier)
{
	if (atomic_fetch_sub(&notifier->waiting, 1) == 1 &&
	    atomic_load(&notifier->workers) < notifier->workers_most)
		start_worker(notifier);
}

// Returns false when there is nothing left to serve.
static bool receive(const struct notifier *notifier, struct seccomp_notif *notification)
{
	int listener = notifier->session->listener;
	for (;;) {
		memset(notification, 0, notifier->sizes.seccomp_notif);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, notification) == 0)
			return true;
		if (errno != EINTR && errno != ENOENT)
			return false;
		struct pollfd hangup = {.fd = listener};
		if (poll(&hangup, 1, 0) == 1 && hangup.revents & POLLHUP)
			return false;
	}
}

static void serve_one(struct session *session, const struct seccomp_notif *notification)
{
	struct outcome outcome;
	struct request request = {
		.session = session,
		.row = dispatch_row(notification->data.arch, notification->data.nr,
				    session->kernel_has_x32),
		.id = notification->id,
		.tid = (pid_t)notification->pid,
	};
	memcpy(request.args, notification->data.args, sizeof(request.args));
	dispatch(&request, &outcome);
	answer(&request, &outcome);
}

static void *worker(void *argument)
{
	struct notifier *notifier = argument;
	size_t size = notifier->sizes.seccomp_notif;
	if (size < sizeof(struct seccomp_notif))
		size = sizeof(struct seccomp_notif);
	SCOPED_FREE struct seccomp_notif *notification = malloc(size);

	while (notification && receive(notifier, notification)) {
		leave_waiting(notifier);
		serve_one(notifier->session, notification);
		if (atomic_fetch_add(&notifier->waiting, 1) >= notifier->waiting_most)
			break;
	}
	atomic_fetch_sub(&notifier->waiting, 1);
	atomic_fetch_sub(&notifier->workers, 1);
	return NULL;
}

// The limit is the supervisor's own: COMMAND has been started with the user's.
static int descriptors_allowed(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 64;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur > INT_MAX ? INT_MAX : (int)limit.rlim_cur;
}

int notify_start(struct session *session)
{
	// Detached workers use it until the process ends.
	static struct notifier notifier;
	notifier = (struct notifier){.session = session};
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &notifier.sizes) < 0)
		return -errno;
	ioctl(session->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);

	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	int most = (descriptors_allowed() - OTHER_DESCRIPTORS) / WORKER_DESCRIPTORS;
	notifier.workers_most = most < 2 ? 2 : most > WORKERS_MOST ? WORKERS_MOST : most;
	notifier.waiting_most = cpus + 1;
	for (int i = 0; i < 2; i++) {
		int error = start_worker(&notifier);
		if (error)
			return error;
	}
	return 0;
}
