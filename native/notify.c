// SPDX-License-Identifier: Apache-2.0
//
// Some facts about SECCOMP_IOCTL_NOTIF_RECV that shape this file:
//  - The buffer must be zeroed, and be as large as the kernel says (5.5).
//  - ENOENT means that the target went away between waking us and the receipt.
//  - RECV blocks for ever once the last target has gone, before Linux 6.11. The
//    main thread sees POLLHUP and ends the process; workers need not end.
//  - With SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (6.6) the target's CPU is handed
//    straight to the worker and back: 3 instead of 11 us a round trip.
//    But two targets that run at the same time would end up on one CPU, that of
//    the worker: 1.0 instead of 2.0 times the work of one, computing 250 us a call.
//  - A notification wakes every thread that waits in RECV, and all but one go
//    back to sleep: a second one there doubles the cost of a round trip.
//  - A signal that reaches a target before its notification was received makes
//    the call fail with EINTR, even calls that never do; and a handler may block,
//    in a network file system, say, or one that a target itself serves.
//
// So one thread waits in RECV. While it is busy with a call that might block, the
// others are on watch: an epoll instance, armed for just that time, wakes one of
// them if a further notification comes. Arming costs a tenth of a round trip.
//
// For the 2 us of a local look nobody is in RECV. Tried and measured against that
// (Linux 6.18, 2 CPUs): a second thread of policy SCHED_IDLE that only receives, for
// workers to find in a queue before they go into RECV. It preempts nobody, and in a
// tight loop is woken only once in 160 calls, yet an lstat took 4.1 instead of 3.5 us and
// a chown 3.6 instead of 3.1: with a second task on the CPU the scheduler has to choose.
// Nor did it help: of the signals (one in 211 us) that reached a target which did nothing
// but lstat, 11 % interrupted one instead of 12 %; beside one other such target 12 % instead
// of 17 %, beside three 29 % both ways. Most come between the wake-up and the receipt, which
// no thread can be ready for, however many wait. And where all CPUs are busy it does not run.
#include "notify.h"

#include "answer.h"
#include "at_once.h"
#include "follow.h"
#include "kernel.h"
#include "request.h"
#include "scope.h"
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define WORKERS_MOST 1024 // each waits for one target, at the most

// A request for which there was no thread.
struct waiting {
	struct request request;
	struct waiting *next;
};

struct notifier {
	struct session *session;
	struct seccomp_notif_sizes sizes;
	int watch; // epoll instance on the listener
	// Guards what follows; never held across a system call that can wait.
	pthread_mutex_t roles;
	int receiving; // threads in RECV
	int on_watch;
	int workers;
	int workers_most;
	struct waiting *first_waiting, **last_waiting;
	bool armed;
	bool deaf; // those on watch: it could not be armed the last time
	bool ending; // the last target has gone
	bool sync_wake_up;
	_Atomic pid_t last_answered;
};

// RECV returns at once, not after a sleep, below this: cycles, about 1.5 us.
#define AT_ONCE 4000

static void *worker(void *argument);

static int start_worker(struct notifier *notifier)
{
	return thread_start(worker, notifier);
}

// On the list only while armed: each entry there costs every notification. Returns
// false when it cannot be armed (fs.epoll.max_user_watches is the user's, not ours).
static bool set_watch(struct notifier *notifier, bool armed)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};
	int error = epoll_ctl(notifier->watch, armed ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
			      notifier->session->listener, &event);
	notifier->armed = armed && error == 0;
	if (armed)
		notifier->deaf = error != 0;
	return error == 0;
}

static void claim_turn(struct notifier *notifier)
{
	notifier->receiving++;
	if (notifier->armed)
		set_watch(notifier, false);
}

// Takes the turn if nobody has it. A worker does so before it answers: the answer
// wakes the target, whose next call must not find the watch still armed.
static bool try_turn(struct notifier *notifier)
{
	pthread_mutex_lock(&notifier->roles);
	// Where others are on watch, what waits for a thread comes first.
	bool free = notifier->receiving == 0 &&
		    !(notifier->first_waiting && notifier->on_watch > 0);
	if (free)
		claim_turn(notifier);
	pthread_mutex_unlock(&notifier->roles);
	return free;
}

// With the roles held.
static struct waiting *take_waiting(struct notifier *notifier)
{
	struct waiting *first = notifier->first_waiting;
	if (!first)
		return NULL;
	notifier->first_waiting = first->next;
	if (!first->next)
		notifier->last_waiting = &notifier->first_waiting;
	return first;
}

// Leaves a request for the next thread that is done with its own. Returns 1, or 0 if one is on
// watch by now, which can be given the turn, or -ENOMEM.
static int let_wait(struct notifier *notifier, const struct request *request)
{
	struct waiting *waiting = malloc(sizeof(*waiting));
	if (!waiting)
		return -ENOMEM;
	*waiting = (struct waiting){.request = *request};
	pthread_mutex_lock(&notifier->roles);
	bool left = notifier->on_watch == 0;
	if (left) {
		*notifier->last_waiting = waiting;
		notifier->last_waiting = &waiting->next;
	}
	pthread_mutex_unlock(&notifier->roles);
	if (!left)
		free(waiting);
	return left;
}

// Stays on watch until it is this thread's turn. Returns a request instead that has waited for
// a thread.
static struct waiting *wait_turn(struct notifier *notifier)
{
	pthread_mutex_lock(&notifier->roles);
	struct waiting *found = NULL;
	while (!(found = take_waiting(notifier)) && notifier->receiving > 0) {
		struct epoll_event event;
		notifier->on_watch++;
		pthread_mutex_unlock(&notifier->roles);
		while (epoll_wait(notifier->watch, &event, 1, -1) < 0 && errno == EINTR)
			;
		pthread_mutex_lock(&notifier->roles);
		notifier->on_watch--;
	}
	if (!found)
		claim_turn(notifier);
	pthread_mutex_unlock(&notifier->roles);
	return found;
}

static bool may_start(const struct notifier *notifier)
{
	return notifier->workers < notifier->workers_most && !notifier->ending;
}

// Gives the turn up to those on watch, or to a new worker. Returns false, and keeps
// the turn, when there is nobody to take it.
static bool leave_turn(struct notifier *notifier)
{
	pthread_mutex_lock(&notifier->roles);
	notifier->receiving--;
	bool taken = notifier->receiving > 0 ||
		     (notifier->on_watch > 0 && set_watch(notifier, true));
	if (!taken && may_start(notifier)) {
		notifier->workers++;
		taken = start_worker(notifier) == 0;
		notifier->workers -= !taken;
	}
	notifier->receiving += !taken;
	pthread_mutex_unlock(&notifier->roles);
	return taken;
}

// Whether threads are on watch that nothing can wake. Those wait for no file.
static bool is_watch_deaf(struct notifier *notifier)
{
	pthread_mutex_lock(&notifier->roles);
	bool deaf = notifier->on_watch > 0 && notifier->deaf;
	pthread_mutex_unlock(&notifier->roles);
	return deaf;
}

static size_t notification_size(const struct seccomp_notif_sizes *sizes)
{
	size_t size = sizes->seccomp_notif;
	return size < sizeof(struct seccomp_notif) ? sizeof(struct seccomp_notif) : size;
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

static bool listener_valid(const struct request *request)
{
	// Linux 5.0
	uint64_t id = request->id;
	return ioctl(request->session->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static int listener_give(const struct request *request, int fd, int number, bool close_on_exec)
{
	struct seccomp_notif_addfd addfd = {
		.id = request->id,
		.flags = number < 0 ? 0 : SECCOMP_ADDFD_FLAG_SETFD,
		.srcfd = (uint32_t)fd,
		.newfd = number < 0 ? 0 : (uint32_t)number,
		.newfd_flags = close_on_exec ? O_CLOEXEC : 0,
	};
	int given = ioctl(request->session->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd);
	return given < 0 ? -errno : given;
}

static bool listener_send_descriptor(const struct request *request, int fd)
{
	struct seccomp_notif_addfd addfd = {
		.id = request->id,
		.srcfd = (uint32_t)fd,
		.newfd_flags = O_CLOEXEC,
		.flags = SECCOMP_ADDFD_FLAG_SEND, // Linux 5.14
	};
	return ioctl(request->session->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd) >= 0;
}

static void listener_send(const struct request *request, const struct outcome *outcome)
{
	struct seccomp_notif_resp response = {.id = request->id};
	if (outcome->kind == OUTCOME_VALUE)
		response.val = outcome->value;
	else if (outcome->kind == OUTCOME_ERRNO)
		response.error = (int32_t)-outcome->value;
	else
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	// ENOENT: the target was killed, or a signal took it out of the call.
	ioctl(request->session->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static const struct event_source listener_source = {
	.valid = listener_valid,
	.give = listener_give,
	.send_descriptor = listener_send_descriptor,
	.send = listener_send,
	.follow = follow_start,
};

static void set_sync_wake_up(struct notifier *notifier, bool wanted)
{
	ioctl(notifier->session->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
	      wanted ? SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP : 0UL);
}

// Answers so that the target goes on on this CPU, which it waits for, unless it runs
// beside others: its call came while another target was served.
static void answer_on_cpu(struct notifier *notifier, const struct request *request,
			  const struct outcome *outcome, bool came_at_once)
{
	bool beside_others = atomic_exchange_explicit(&notifier->last_answered, request->tid,
						      memory_order_relaxed) != request->tid &&
			     came_at_once && notifier->sync_wake_up;
	if (beside_others)
		set_sync_wake_up(notifier, false);
	answer(request, outcome);
	if (beside_others)
		set_sync_wake_up(notifier, true);
}

static void take_request(const struct notifier *notifier, const struct seccomp_notif *notification,
			 uint64_t received, struct request *request_ret)
{
	struct session *session = notifier->session;
	*request_ret = (struct request){
		.session = session,
		.row = dispatch_row(notification->data.arch, notification->data.nr,
				    session->kernel_has_x32),
		.id = notification->id,
		.tid = (pid_t)notification->pid,
		.narrow = notification->data.arch == FSC_ARCH_I386 ||
			  notification->data.nr & FSC_X32_SYSCALL_BIT,
		.received = received,
	};
	memcpy(request_ret->args, notification->data.args, sizeof(request_ret->args));
}

enum share {
	SHARE_KEEP,  // this thread goes on to have the turn
	SHARE_GIVEN, // another has it
	SHARE_LEAVE, // every thread waits for some file: the kernel may look at this one
	SHARE_LATER, // the same, and what is no look has been left for later
};

// With every thread waiting for some file, a server among the targets must still be heard,
// and what it asks for itself be answered.
static enum share share_turn(struct notifier *notifier, const struct request *request)
{
	if (!request_might_block(request))
		return SHARE_KEEP;
	while (!leave_turn(notifier)) {
		if (is_watch_deaf(notifier) || at_once(request))
			return SHARE_KEEP;
		if (request->row->operation == OP_STAT)
			return SHARE_LEAVE;
		int left = let_wait(notifier, request);
		if (left)
			return left < 0 ? SHARE_LEAVE : SHARE_LATER;
	}
	return SHARE_GIVEN;
}

static void serve_waiting(struct notifier *notifier, struct waiting *waiting)
{
	struct request *request = &waiting->request;
	struct outcome outcome;
	dispatch(request, &outcome);
	answer_copy_out(request, &outcome);
	answer_on_cpu(notifier, request, &outcome, false);
	free(waiting);
}

// Receives one request and serves it, or has it served. Returns whether this thread still has
// the turn; false in *goes_on_ret when there is nothing left to serve.
static bool serve_next(struct notifier *notifier, struct seccomp_notif *notification,
		       bool *goes_on_ret)
{
	struct request request;
	struct outcome outcome;
	uint64_t start = __builtin_ia32_rdtsc();
	*goes_on_ret = receive(notifier, notification);
	if (!*goes_on_ret)
		return true;
	uint64_t received = __builtin_ia32_rdtsc();
	take_request(notifier, notification, received, &request);
	enum share share = share_turn(notifier, &request);
	if (share == SHARE_LATER)
		return true;
	if (share == SHARE_LEAVE)
		outcome_continue(&outcome);
	else
		dispatch(&request, &outcome);
	answer_copy_out(&request, &outcome);
	bool turn = share != SHARE_GIVEN || try_turn(notifier);
	answer_on_cpu(notifier, &request, &outcome, received - start < AT_ONCE);
	return turn;
}

static void *worker(void *argument)
{
	struct notifier *notifier = argument;
	SCOPED_FREE struct seccomp_notif *notification =
		malloc(notification_size(&notifier->sizes));
	bool turn = false, goes_on = notification;
	while (goes_on) {
		struct waiting *waiting = turn ? NULL : wait_turn(notifier);
		if (waiting)
			serve_waiting(notifier, waiting);
		else
			turn = serve_next(notifier, notification, &goes_on);
	}
	pthread_mutex_lock(&notifier->roles);
	notifier->receiving -= turn;
	notifier->workers--;
	notifier->ending |= turn;
	pthread_mutex_unlock(&notifier->roles);
	return NULL;
}

// A buffer that is not zeroed is refused (EINVAL) and an id of 0 unknown (ENOENT) before
// anything is waited for: whatever else they answer comes from a sandbox.
int notify_check(int listener)
{
	struct seccomp_notif_sizes sizes;
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return -errno;
	size_t size = notification_size(&sizes);
	SCOPED_FREE struct seccomp_notif *notification = malloc(size);
	if (!notification)
		return -ENOMEM;
	memset(notification, 1, size);
	struct seccomp_notif_resp response = {0};
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, notification) < 0 && errno != EINVAL)
		return -errno;
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int notify_start(struct session *session)
{
	session->source = &listener_source;
	// Detached workers use it until the process ends.
	static struct notifier notifier;
	notifier = (struct notifier){.session = session, .workers = 2};
	notifier.last_waiting = &notifier.first_waiting;
	pthread_mutex_init(&notifier.roles, NULL);
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &notifier.sizes) < 0)
		return -errno;
	notifier.sync_wake_up = ioctl(session->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
				      SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) == 0;
	notifier.watch = session->watch;
	notifier.workers_most = session_workers_allowed(WORKERS_MOST);
	for (int i = 0; i < 2; i++) {
		int error = start_worker(&notifier);
		if (error) {
			session->refused = error == -EPERM ? "clone3" : "clone";
			return error;
		}
	}
	return 0;
}
