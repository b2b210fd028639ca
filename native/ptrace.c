// SPDX-License-Identifier: Apache-2.0
//
// Some facts about ptrace(2) that shape this file:
//  - Only the thread that seized a target may resume it or touch its registers. So one
//    thread does all of that; requests that may wait go to others (ptrace_pool.h).
//  - A filter's SECCOMP_RET_TRACE stops a call once (PTRACE_EVENT_SECCOMP); otherwise every
//    call stops twice, at entry and exit, before and after the kernel runs any filter (4.8).
//  - The targets' own filters and listeners outrank RET_TRACE: a call that a foreign listener
//    intercepts does not stop here. Then every call has to be stopped.
//  - Seized targets report group stops, and stay in them by PTRACE_LISTEN.
//  - A target that waits for us has not been reaped by us: its number is not another's. Only
//    SIGKILL, or another thread's execve(2), ends its wait. The latter gives the leader's
//    number to the thread that executes, which stops before the new program runs.
//  - waitpid(2) looks through the targets in the same order each time, not in that of their
//    stops: whoever stops again quickly enough comes before others, again and again.
#include "ptrace.h"

#include "answer.h"
#include "at_once.h"
#include "attach.h"
#include "bpf.h"
#include "id_map.h"
#include "kernel.h"
#include "ptrace_call.h"
#include "ptrace_give.h"
#include "ptrace_pool.h"
#include "request.h"
#include "scope.h"
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define CALL_STOP (SIGTRAP | 0x80) // PTRACE_O_TRACESYSGOOD
#define CONTINUED 0xffff            // WIFCONTINUED()

#define OPTIONS                                                                                   \
	(PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | \
	 PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)

#define NEWS_MOST 64
#define FOLLOWED_MOST 16
#define FOLLOWED_CALLS 2000 // entries and exits

struct news {
	pid_t tid;
	int status;
};

// Each of its calls stops it.
struct followed {
	_Atomic pid_t tid;
	_Atomic int calls; // that it may still make
};

struct tracer {
	struct session *session;
	pthread_t thread;
	pid_t command;
	bool command_stopped;
	int changes; // where supervise() reads what becomes of COMMAND
	struct sock_filter *filter;
	size_t filter_count;
	struct pool pool;
	// Stops and ends that were found together.
	struct news news[NEWS_MOST];
	unsigned news_first, news_end;
	pid_t last; // that had any
	struct followed followed[FOLLOWED_MOST];
	atomic_bool followed_any; // has been
	// For ptrace_start().
	sem_t started;
	int error;
};

static const struct event_source trace_source;

// Targets outlive every function's frame.
static struct tracer tracer;

// A place among those that are followed, or NULL; for 0 a free one.
static struct followed *find_followed(pid_t tid)
{
	for (size_t i = 0; i < FOLLOWED_MOST; i++)
		if (atomic_load_explicit(&tracer.followed[i].tid, memory_order_relaxed) == tid)
			return &tracer.followed[i];
	return NULL;
}

static struct followed *followed_one(pid_t tid)
{
	return atomic_load_explicit(&tracer.followed_any, memory_order_relaxed) ? find_followed(tid)
										: NULL;
}

static void resume(pid_t tid, int signal)
{
	bool every_call = atomic_load_explicit(&tracer.session->every_call, memory_order_relaxed) ||
			  followed_one(tid);
	ptrace(every_call ? PTRACE_SYSCALL : PTRACE_CONT, tid, NULL, (long)signal);
}

static void tell_command(int status)
{
	const struct command_change change = {.status = status};
	if (write(tracer.changes, &change, sizeof(change)) < 0)
		return; // the supervisor is about to end
}

static bool is_stop_signal(int signal)
{
	return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static void on_group_stop(pid_t tid, int signal)
{
	if (is_stop_signal(signal)) {
		if (tid == tracer.command) {
			tracer.command_stopped = true;
			tell_command(W_STOPCODE(signal));
		}
		ptrace(PTRACE_LISTEN, tid, NULL, NULL);
		return;
	}
	if (tid == tracer.command && tracer.command_stopped) {
		tracer.command_stopped = false;
		tell_command(CONTINUED);
	}
	resume(tid, 0);
}

static void stop_following(pid_t tid)
{
	struct followed *one = followed_one(tid);
	if (one)
		atomic_store(&one->tid, 0);
}

static void on_end(pid_t tid, int status)
{
	stop_following(tid);
	pool_forget(&tracer.pool, tid);
	if (tid == tracer.command)
		tell_command(status);
}

// The signals that can be blocked are; what else comes must not take the target elsewhere.
// SIGSTOP is the process's, so it passes, and SIGCONT may undo it; this thread goes on.
static int next_stop(struct stopped_call *call)
{
	pid_t tid = call->tid;
	int deliver = 0;
	for (;;) {
		int status;
		ptrace(PTRACE_SYSCALL, tid, NULL, (long)deliver);
		while (waitpid(tid, &status, __WALL) < 0)
			if (errno != EINTR)
				return -ESRCH;
		if (!WIFSTOPPED(status)) {
			on_end(tid, status);
			return -ESRCH;
		}
		int signal = WSTOPSIG(status), event = status >> 16;
		if (signal == CALL_STOP)
			return 0;
		if (event == PTRACE_EVENT_EXEC) {
			resume(tid, 0);
			return -ESRCH;
		}
		call->group_stop |= event == PTRACE_EVENT_STOP && is_stop_signal(signal);
		deliver = event == 0 && signal == SIGSTOP ? SIGSTOP : 0;
	}
}

// Whether the target still stands where its call stopped it. A stop or end that nobody has
// heard of yet is another one; on the way to a new program it does not stand at all.
static bool stands(pid_t tid)
{
	char name[32], line[256];
	siginfo_t news = {0};
	if (waitid(P_PID, (id_t)tid, &news, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) < 0 ||
	    news.si_pid != 0)
		return false;
	snprintf(name, sizeof(name), "/proc/%d/stat", tid);
	SCOPED_FD fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	line[size < 0 ? 0 : size] = '\0';
	const char *behind_name = strrchr(line, ')'); // proc_pid_stat(5)
	return behind_name && strncmp(behind_name, ") t", 3) == 0;
}

static bool trace_valid(const struct request *request)
{
	return !atomic_load(&request->stopped->gone) && stands(request->tid);
}

// Its filters would judge the calls that are made in its place, and may kill.
static bool has_own_filters(const struct request *request)
{
	return atomic_load(&request->session->page->sandboxes) > 0 && attach_is_sandboxed(request);
}

static int give(const struct request *request, const struct gift *gift)
{
	struct stopped_call *call = request->stopped;
	if (atomic_load(&call->gone))
		return -ESRCH;
	return ptrace_give(call, gift, next_stop);
}

static int trace_give(const struct request *request, int fd, int number, bool close_on_exec)
{
	const struct gift gift = {.fd = fd, .number = number, .close_on_exec = close_on_exec};
	if (has_own_filters(request))
		return -EACCES;
	if (!pthread_equal(pthread_self(), tracer.thread))
		return pool_give(&tracer.pool, request, &gift);
	return give(request, &gift);
}

// What a program is given to attach: it has lent its buffer (attach.h).
static bool trace_send_descriptor(const struct request *request, int fd)
{
	struct stopped_call *call = request->stopped;
	int buffer = request->row->buffer;
	if (buffer < 0 || atomic_load(&call->gone) || has_own_filters(request))
		return false;
	int given = ptrace_give_lent(call, fd, request->args[buffer], next_stop);
	if (given < 0)
		return false;
	const struct outcome outcome = {.kind = OUTCOME_VALUE, .value = given};
	trace_source.send(request, &outcome);
	return true;
}

static void trace_send(const struct request *request, const struct outcome *outcome)
{
	struct stopped_call *call = request->stopped;
	if (atomic_load(&call->gone) || !notification_valid(request))
		return;
	int64_t result = outcome->kind == OUTCOME_ERRNO ? -outcome->value : outcome->value;
	if (outcome->kind == OUTCOME_CONTINUE)
		stopped_call_continue(call);
	else if (stopped_call_skip(call, result, next_stop) != 0)
		return;
	resume(call->tid, 0);
	if (call->group_stop) // if it still is one
		ptrace(PTRACE_INTERRUPT, call->tid, NULL, NULL);
}

// May be called by a thread of the pool, for a target that stands.
static int trace_follow(const struct request *request)
{
	atomic_store(&tracer.followed_any, true);
	struct followed *one = find_followed(request->tid);
	for (int tries = 0; !one && tries < FOLLOWED_MOST; tries++) {
		pid_t none = 0;
		struct followed *free_one = find_followed(0);
		if (free_one &&
		    atomic_compare_exchange_strong(&free_one->tid, &none, request->tid))
			one = free_one;
	}
	if (one)
		atomic_store(&one->calls, FOLLOWED_CALLS);
	return one ? 0 : -EAGAIN;
}

static const struct event_source trace_source = {
	.follow = trace_follow,
	.valid = trace_valid,
	.give = trace_give,
	.send_descriptor = trace_send_descriptor,
	.send = trace_send,
};

static void on_call(struct stopped_call *call)
{
	struct session *session = tracer.session;
	struct outcome outcome;
	struct request request = {
		.session = session,
		.row = dispatch_row(call->arch, call->nr, session->kernel_has_x32),
		.tid = call->tid,
		.narrow = call->arch == FSC_ARCH_I386 || call->nr & FSC_X32_SYSCALL_BIT,
		.received = __builtin_ia32_rdtsc(),
		.stopped = call,
	};
	memcpy(request.args, call->args, sizeof(request.args));
	bool look = request.row && request.row->operation == OP_STAT;
	enum pool_taken taken = request_might_block(&request)
					? pool_submit(&tracer.pool, &request, call, false)
					: POOL_NONE;
	// With every thread waiting for some file, a server among the targets must still be
	// heard, and answered: what waits for nobody is handled here. Looking can be left to the
	// kernel, all else waits for a thread.
	bool full = taken == POOL_FULL && !at_once(&request);
	if (full && !look)
		taken = pool_submit(&tracer.pool, &request, call, true);
	if (taken == POOL_TAKEN)
		return;
	if (full && look)
		outcome_continue(&outcome);
	else
		dispatch(&request, &outcome);
	answer_copy_out(&request, &outcome);
	answer(&request, &outcome);
}

static void on_seccomp(pid_t tid)
{
	struct stopped_call call;
	// Where every call stops, its entry has been seen to already.
	if (atomic_load(&tracer.session->every_call))
		resume(tid, 0);
	else if (stopped_call_read(tid, true, &call) == 0)
		on_call(&call);
}

static uint32_t filter_says(const struct stopped_call *call)
{
	struct seccomp_data data = {
		.nr = call->nr, .arch = call->arch, .instruction_pointer = call->ip};
	memcpy(data.args, call->args, sizeof(data.args));
	return bpf_run(tracer.filter, tracer.filter_count, &data);
}

// Whether a followed target writes a map that was written in its place.
static bool is_answered_map(struct stopped_call *call)
{
	struct followed *one = followed_one(call->tid);
	if (!one)
		return false;
	if (atomic_fetch_sub(&one->calls, 1) <= 0)
		stop_following(call->tid);
	long written = call->entering ? id_map_write(tracer.session, call) : 0;
	if (written == 0)
		return false;
	stop_following(call->tid);
	if (stopped_call_skip(call, written, next_stop) == 0)
		resume(call->tid, 0);
	return true;
}

static void on_call_stop(pid_t tid)
{
	struct stopped_call call;
	int error = stopped_call_read(tid, false, &call);
	if (error == -ESRCH)
		return;
	if (!error && is_answered_map(&call))
		return;
	if (error || !call.entering || !atomic_load(&tracer.session->every_call)) {
		resume(tid, 0);
		return;
	}
	uint32_t action = filter_says(&call);
	switch (action & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_USER_NOTIF:
	case SECCOMP_RET_TRACE:
		on_call(&call);
		return;
	case SECCOMP_RET_ERRNO:
		if (stopped_call_skip(&call, -(int64_t)(action & SECCOMP_RET_DATA), next_stop) != 0)
			return;
		break;
	default:
		break;
	}
	resume(tid, 0);
}

static void on_status(pid_t tid, int status)
{
	if (!WIFSTOPPED(status)) {
		on_end(tid, status);
		return;
	}
	int signal = WSTOPSIG(status);
	switch (status >> 16) {
	case PTRACE_EVENT_SECCOMP:
		on_seccomp(tid);
		return;
	case PTRACE_EVENT_STOP:
		on_group_stop(tid, signal);
		return;
	case 0:
		if (signal == CALL_STOP)
			on_call_stop(tid);
		else
			resume(tid, signal);
		return;
	default:
		resume(tid, 0);
	}
}

static void on_job(struct job *job)
{
	if (!job->done) {
		job->gift.opening_may_wait = true;
		pool_given(&tracer.pool, job, give(&job->request, &job->gift));
		return;
	}
	answer(&job->request, &job->outcome);
	pool_finish(&tracer.pool, job);
}

// Looks for a stop or an end. Returns waitpid(2)'s result.
static pid_t hear(int options)
{
	struct news *news = &tracer.news[tracer.news_end];
	pid_t tid = waitpid(-1, &news->status, __WALL | options);
	if (tid <= 0)
		return tid;
	// It has left the stop that it was in by somebody else's will: what was to be done
	// there is not to be done here.
	for (unsigned i = tracer.news_first; i < tracer.news_end; i++)
		if (tracer.news[i].tid == tid && WIFSTOPPED(tracer.news[i].status))
			tracer.news[i].tid = 0;
	if (pool_busy(&tracer.pool))
		pool_forget(&tracer.pool, tid);
	news->tid = tid;
	tracer.news_end++;
	return tid;
}

// Where several targets have news, all of them are heard before any is resumed. One that is
// alone saves the further question.
static void hear_others(void)
{
	pid_t first = tracer.news[0].tid;
	bool alone = first == tracer.last;
	tracer.last = first;
	while (!alone && tracer.news_end < NEWS_MOST && hear(WNOHANG) > 0)
		;
}

static bool take_news(struct news *news_ret)
{
	while (tracer.news_first < tracer.news_end) {
		*news_ret = tracer.news[tracer.news_first++];
		if (news_ret->tid > 0)
			return true;
	}
	tracer.news_first = tracer.news_end = 0;
	return false;
}

// Waits for a target to stop or end, or a job. Returns false when the last target has gone.
static bool wait_event(struct news *news_ret, struct job **job_ret)
{
	sigset_t both;
	sigemptyset(&both);
	sigaddset(&both, SIGCHLD);
	sigaddset(&both, POOL_SIGNAL);
	for (;;) {
		bool busy = pool_busy(&tracer.pool);
		*job_ret = busy ? pool_take(&tracer.pool) : NULL;
		if (*job_ret || take_news(news_ret))
			return true;
		pid_t tid = hear(busy ? WNOHANG : 0);
		if (tid > 0)
			hear_others();
		else if (tid < 0 && errno == ECHILD)
			return false;
		else if (busy) // both are blocked, so that what came before the question stays
			sigwaitinfo(&both, NULL);
	}
}

// Says which call it was that failed.
static int refused(const char *call)
{
	tracer.session->refused = call;
	return -errno;
}

// What would be missed only once a target waits for it.
static int check_own_calls(pid_t child)
{
	siginfo_t news;
	if (tracer.pool.tracer < 0)
		return refused("gettid");
	if (syscall(SYS_tgkill, getpid(), tracer.pool.tracer, 0) < 0)
		return refused("tgkill");
	if (waitid(P_PID, (id_t)child, &news, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
		return refused("waitid");
	return 0;
}

static void *trace(void *argument)
{
	pid_t child = *(pid_t *)argument;
	struct news news;
	struct job *job;
	pool_init(&tracer.pool);
	tracer.thread = pthread_self();
	tracer.error = check_own_calls(child);
	if (!tracer.error && ptrace(PTRACE_SEIZE, child, NULL, (long)OPTIONS) < 0)
		tracer.error = -errno;
	bool seized = tracer.error == 0;
	// Its calls stop from the first time on that it is resumed for that.
	if (seized && atomic_load(&tracer.session->every_call))
		ptrace(PTRACE_INTERRUPT, child, NULL, NULL);
	sem_post(&tracer.started);
	while (seized && wait_event(&news, &job)) {
		if (job)
			on_job(job);
		else
			on_status(news.tid, news.status);
	}
	close(tracer.changes);
	return NULL;
}

static int start_thread(pid_t *child)
{
	int error = thread_start(trace, child);
	if (error)
		return error;
	while (sem_wait(&tracer.started) < 0)
		;
	return tracer.error;
}

int ptrace_start(struct session *session, pid_t child, const struct sock_filter *filter,
		 size_t filter_count)
{
	int ends[2];
	tracer = (struct tracer){
		.session = session, .command = child, .filter_count = filter_count};
	tracer.filter = calloc(filter_count, sizeof(*filter));
	if (!tracer.filter)
		return -ENOMEM;
	memcpy(tracer.filter, filter, filter_count * sizeof(*filter));
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	session->command_changes = ends[0];
	tracer.changes = ends[1];
	session->source = &trace_source;
	sem_init(&tracer.started, 0, 0);
	return start_thread(&child);
}
