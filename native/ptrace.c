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
//    SIGKILL, or another thread's execve(2), ends its wait.
#include "ptrace.h"

#include "answer.h"
#include "bpf.h"
#include "kernel.h"
#include "ptrace_call.h"
#include "ptrace_give.h"
#include "ptrace_pool.h"
#include "request.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define CALL_STOP (SIGTRAP | 0x80) // PTRACE_O_TRACESYSGOOD
#define CONTINUED 0xffff            // WIFCONTINUED()

#define OPTIONS                                                                                   \
	(PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | \
	 PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE)

struct tracer {
	struct session *session;
	pthread_t thread;
	pid_t command;
	bool command_stopped;
	int changes; // where supervise() reads what becomes of COMMAND
	struct sock_filter *filter;
	size_t filter_count;
	struct pool pool;
	// While another call is made in a target's place: stop signals that came across.
	int held_signal;
	bool held_stop;
	// For ptrace_start().
	sem_t started;
	int error;
};

// Targets outlive every function's frame.
static struct tracer tracer;

static void resume(pid_t tid, int signal)
{
	bool every_call = atomic_load_explicit(&tracer.session->every_call, memory_order_relaxed);
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

static void on_end(pid_t tid, int status)
{
	pool_forget(&tracer.pool, tid);
	if (tid == tracer.command)
		tell_command(status);
}

// Resumes the target of a call until its next stop at a call's entry or exit.
static int next_stop(void *context, pid_t tid)
{
	(void)context;
	ptrace(PTRACE_SYSCALL, tid, NULL, NULL);
	for (;;) {
		int status;
		if (waitpid(tid, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return -ESRCH;
		}
		if (!WIFSTOPPED(status)) {
			on_end(tid, status);
			return -ESRCH;
		}
		int signal = WSTOPSIG(status), event = status >> 16;
		if (signal == CALL_STOP)
			return 0;
		// The signals that can be blocked are; what else comes has to wait.
		if (event == PTRACE_EVENT_STOP)
			tracer.held_stop |= is_stop_signal(signal);
		else if (event == 0)
			tracer.held_signal = signal;
		ptrace(PTRACE_SYSCALL, tid, NULL, NULL);
	}
}

static void release_held(pid_t tid)
{
	int signal = tracer.held_signal;
	bool stop = tracer.held_stop;
	tracer.held_signal = 0;
	tracer.held_stop = false;
	resume(tid, 0);
	if (signal)
		kill(tid, signal); // SIGSTOP: the whole group's
	if (stop)
		ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
}

static bool trace_valid(const struct request *request)
{
	return !atomic_load(&request->stopped->gone);
}

static int trace_give(const struct request *request, int fd, int number, bool close_on_exec)
{
	if (!pthread_equal(pthread_self(), tracer.thread))
		return pool_give(&tracer.pool, request, fd, number, close_on_exec);
	if (atomic_load(&request->stopped->gone))
		return -ESRCH;
	int given =
		ptrace_give(request->stopped, fd, number, close_on_exec, next_stop, NULL);
	if (given == -ESRCH)
		atomic_store(&request->stopped->gone, true);
	return given;
}

static void end_call(struct stopped_call *call, int64_t result)
{
	bool judged = !atomic_load(&tracer.session->every_call);
	if (!judged && !call->replaced && stopped_call_neutralise(call, next_stop, NULL) != 0)
		return;
	stopped_call_skip(call, result);
}

static void trace_send(const struct request *request, const struct outcome *outcome)
{
	struct stopped_call *call = request->stopped;
	if (atomic_load(&call->gone))
		return;
	if (outcome->kind == OUTCOME_CONTINUE)
		stopped_call_continue(call);
	else
		end_call(call,
			 outcome->kind == OUTCOME_ERRNO ? -outcome->value : outcome->value);
	release_held(call->tid);
}

static const struct event_source trace_source = {
	.valid = trace_valid,
	.give = trace_give,
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
	atomic_fetch_add(&session->stops, 1);
	if (request_might_block(&request) && pool_submit(&tracer.pool, &request, call))
		return;
	dispatch(&request, &outcome);
	answer_copy_out(&request, &outcome);
	answer(&request, &outcome);
}

static void on_seccomp(pid_t tid)
{
	struct stopped_call call;
	// Where every call stops, its entry has been seen to already.
	if (atomic_load(&tracer.session->every_call) || stopped_call_read(tid, true, &call) != 0)
		resume(tid, 0);
	else
		on_call(&call);
}

static uint32_t filter_says(const struct stopped_call *call)
{
	struct seccomp_data data = {
		.nr = call->nr, .arch = call->arch, .instruction_pointer = call->ip};
	memcpy(data.args, call->args, sizeof(data.args));
	return bpf_run(tracer.filter, tracer.filter_count, &data);
}

static void on_call_stop(pid_t tid)
{
	struct stopped_call call;
	if (stopped_call_read(tid, false, &call) != 0 || !call.entering) {
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
		end_call(&call, -(int64_t)(action & SECCOMP_RET_DATA));
		release_held(tid);
		return;
	default:
		resume(tid, 0);
	}
}

static void on_status(pid_t tid, int status)
{
	if (pool_busy(&tracer.pool))
		pool_forget(&tracer.pool, tid);
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
		pool_given(&tracer.pool, job,
			   trace_give(&job->request, job->fd, job->number, job->close_on_exec));
		return;
	}
	answer(&job->request, &job->outcome);
	pool_finish(&tracer.pool, job);
}

// Waits for a target to stop or end, or a job. Returns false when the last target has gone.
static bool wait_event(pid_t *tid_ret, int *status_ret, struct job **job_ret)
{
	sigset_t both;
	sigemptyset(&both);
	sigaddset(&both, SIGCHLD);
	sigaddset(&both, POOL_SIGNAL);
	for (;;) {
		bool busy = pool_busy(&tracer.pool);
		*job_ret = busy ? pool_take(&tracer.pool) : NULL;
		if (*job_ret)
			return true;
		*tid_ret = waitpid(-1, status_ret, __WALL | (busy ? WNOHANG : 0));
		if (*tid_ret > 0)
			return true;
		if (*tid_ret < 0 && errno == ECHILD)
			return false;
		// Both are blocked, so that what came before the question stays pending.
		if (busy)
			sigwaitinfo(&both, NULL);
	}
}

static void *trace(void *argument)
{
	pid_t child = *(pid_t *)argument;
	pid_t tid;
	int status;
	struct job *job;
	pool_init(&tracer.pool);
	tracer.thread = pthread_self();
	tracer.error = ptrace(PTRACE_SEIZE, child, NULL, (long)OPTIONS) < 0 ? -errno : 0;
	bool seized = tracer.error == 0;
	// Its calls stop from the first time on that it is resumed for that.
	if (seized && atomic_load(&tracer.session->every_call))
		ptrace(PTRACE_INTERRUPT, child, NULL, NULL);
	sem_post(&tracer.started);
	while (seized && wait_event(&tid, &status, &job)) {
		if (job)
			on_job(job);
		else
			on_status(tid, status);
	}
	close(tracer.changes);
	return NULL;
}

static int start_thread(pid_t *child)
{
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int error = pthread_create(&thread, &attributes, trace, child);
	pthread_attr_destroy(&attributes);
	if (error)
		return -error;
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
