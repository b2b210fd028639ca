// SPDX-License-Identifier: Apache-2.0
#include "launch.h"

#include "attach.h"
#include "descriptor_message.h"
#include "kernel.h"
#include "namespace.h"
#include "notify.h"
#include "ptrace.h"
#include "scope.h"
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

// A round trip takes microseconds; a supervisor that cannot answer, never ends.
#define ANSWER_TIMEOUT_MS 20000

// What the child says by its channel.
struct report {
	int32_t stage;
	int32_t error;
	char call[24];
};

static bool bit(uint64_t set, int signal)
{
	return set >> (signal - 1) & 1;
}

static void restore(const struct launch_origin *origin)
{
	sigset_t mask;
	sigemptyset(&mask);
	for (int number = 1; number <= 64; number++) {
		// 32 and 33 are libc's own, which sigaction(3) refuses.
		signal(number, bit(origin->ignored_signals, number) ? SIG_IGN : SIG_DFL);
		if (bit(origin->signal_mask, number))
			sigaddset(&mask, number);
	}
	for (int fd = 0; fd <= 2; fd++)
		if (origin->closed >> fd & 1)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

// Neither by send(2), which a sandbox may refuse, nor with a signal, which is blocked.
static bool report_call(int channel, enum launch_stage stage, const char *call, int error)
{
	struct report message = {.stage = stage, .error = error};
	snprintf(message.call, sizeof(message.call), "%s", call);
	return write(channel, &message, sizeof(message)) == sizeof(message);
}

static bool report(int channel, enum launch_stage stage, int error)
{
	return report_call(channel, stage, "", error);
}

static void fail(int channel, enum launch_stage stage)
{
	report(channel, stage, errno);
	_exit(127);
}

// Kernels refuse flags that they do not know with EINVAL: ask for less and less.
static int install(const struct sock_fprog *program, unsigned long listening)
{
	static const unsigned long flags[] = {
		SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		0,
	};
	int listener = -1;
	// The first is of no use to a filter without a listener, and refused there.
	for (size_t i = listening ? 0 : 1; i < sizeof(flags) / sizeof(*flags); i++) {
		listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags[i] | listening,
					program);
		if (listener >= 0 || errno != EINVAL)
			break;
	}
	return listener;
}

static size_t filter_count(const struct launch_plan *plan)
{
	return plan->filter_size / sizeof(struct sock_filter);
}

static int install_filter(const struct launch_plan *plan)
{
	const struct sock_fprog program = {
		.len = (unsigned short)filter_count(plan),
		.filter = (struct sock_filter *)plan->filter,
	};
	return install(&program, SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

// The same filter, but what it would notify of stops for a tracer.
static int install_stops(const struct launch_plan *plan)
{
	size_t count = filter_count(plan);
	SCOPED_FREE struct sock_filter *filter = calloc(count, sizeof(*filter));
	if (!filter)
		return -1;
	memcpy(filter, plan->filter, count * sizeof(*filter));
	for (size_t i = 0; i < count; i++)
		if (filter[i].code == (BPF_RET | BPF_K) && filter[i].k == SECCOMP_RET_USER_NOTIF)
			filter[i].k = SECCOMP_RET_TRACE;
	const struct sock_fprog program = {.len = (unsigned short)count, .filter = filter};
	return install(&program, 0);
}

static int send_descriptor(int channel, int fd)
{
	struct report message = {.stage = LAUNCH_NONE};
	return descriptor_send(channel, NULL, 0, &message, sizeof(message), fd, 0);
}

// One trapped call for the way there and back, one for the target's memory. The
// filter is the final one, so what works here works for COMMAND.
static void check_round_trip(int channel)
{
	if (syscall(SYS_getgroups, ATTACH_QUERY, NULL) != ATTACH_VERSION)
		fail(channel, LAUNCH_ANSWER);
	const uint64_t sent = 0x0123456789abcdef;
	volatile uint64_t word = sent;
	if (syscall(SYS_getgroups, ATTACH_MEMORY, &word) < 0)
		fail(channel, LAUNCH_MEMORY);
	errno = EIO;
	if (word != ~sent)
		fail(channel, LAUNCH_MEMORY);
}

// execvp(3) reports EACCES when a directory of PATH may not be searched, though
// COMMAND is nowhere: a shell says "not found" then.
static bool is_nowhere(const char *name)
{
	const char *path = getenv("PATH");
	if (strchr(name, '/'))
		return false;
	while (path && *path) {
		char file[PATH_MAX];
		size_t length = strcspn(path, ":");
		snprintf(file, sizeof(file), "%.*s/%s", (int)length, path, name);
		if (access(file, F_OK) == 0)
			return false;
		path += length + (path[length] == ':');
	}
	return true;
}

int launch_execute(char *const *argv, char *const *envp, const struct launch_origin *origin)
{
	restore(origin);
	environ = (char **)envp;
	execvp(argv[0], argv);
	int error = errno;
	return error == EACCES && is_nowhere(argv[0]) ? ENOENT : error;
}

// Without a filter on this process nobody can answer in the supervisor's place.
static bool is_filtered(void)
{
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0;
}

// Before the supervisor lets go of what it inherited: another mode may be taken yet.
static void check_filters(int channel)
{
	int error = 0;
	const char *call = is_filtered() ? trial_calls(TRIAL_KERNEL, &error) : NULL;
	if (!call)
		return;
	report_call(channel, LAUNCH_OUTSIDE, call, error);
	_exit(127);
}

// A foreign listener outranks our stops: of what it intercepts we would not hear. Returns
// the name of such a call, or "".
static const char *check_stops(void)
{
	int error;
	const char *call = trial_calls(TRIAL_SUPERVISOR, &error);
	if (call)
		syscall(SYS_getgroups, ATTACH_EVERY_CALL, NULL);
	return call ? call : "";
}

static void wait_for_word(int channel)
{
	struct report word;
	if (read(channel, &word, sizeof(word)) != sizeof(word))
		_exit(127); // the supervisor has given up, and says why
}

static void join_listener(const struct launch_plan *plan, int channel)
{
	int listener = install_filter(plan);
	if (listener < 0)
		fail(channel, LAUNCH_FILTER);
	if (send_descriptor(channel, listener) < 0) // errno is set
		fail(channel, LAUNCH_HANDOVER);
	close(listener);
}

// The filter comes first: where it cannot be had, that shows before the supervisor lets go
// of what it inherited.
static void join_tracer(const struct launch_plan *plan, enum launch_mode mode, int channel)
{
	if (mode == LAUNCH_PTRACE && install_stops(plan) < 0)
		fail(channel, LAUNCH_FILTER);
	if (!report(channel, LAUNCH_NONE, 0))
		_exit(127);
	wait_for_word(channel);
}

static void run_child(const struct launch_plan *plan, enum launch_mode mode, int channel)
{
	const char *unheard = "";
	if (mode != LAUNCH_PTRACE_ALL)
		check_filters(channel);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fail(channel, LAUNCH_NO_PRIVS);
	if (mode == LAUNCH_NOTIFY)
		join_listener(plan, channel);
	else
		join_tracer(plan, mode, channel);
	check_round_trip(channel);
	if (mode == LAUNCH_PTRACE)
		unheard = check_stops();
	if (!report_call(channel, LAUNCH_NONE, unheard, 0))
		_exit(127);
	// The user is told of a mode that is not the best one before COMMAND says anything.
	if (mode != LAUNCH_NOTIFY)
		wait_for_word(channel);
	report(channel, LAUNCH_EXECUTE, launch_execute(plan->argv, plan->envp, &plan->origin));
	_exit(127);
}

static void set_failure(struct launch_failure *failure_ret, enum launch_stage stage,
			const char *call, int error)
{
	*failure_ret = (struct launch_failure){.stage = stage, .error = error};
	snprintf(failure_ret->call, sizeof(failure_ret->call), "%s", call);
}

static bool is_refusal(int error)
{
	return error == EPERM || error == EACCES || error == ENOSYS;
}

// Receives one report, with the descriptor it may carry in *fd_ret. Returns
// false at the end: COMMAND executes, or the child has died. The descriptor is -errno where a
// sandbox has refused to receive it.
static bool receive_report(int channel, int timeout_ms, struct report *message_ret, int *fd_ret)
{
	struct iovec data = {.iov_base = message_ret, .iov_len = sizeof(*message_ret)};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} ancillary;
	struct msghdr packet = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &ancillary,
		.msg_controllen = sizeof(ancillary),
	};
	struct pollfd ready = {.fd = channel, .events = POLLIN};
	int count;
	do
		count = poll(&ready, 1, timeout_ms);
	while (count < 0 && errno == EINTR);
	if (count <= 0) {
		*message_ret = (struct report){
			.stage = count < 0 ? LAUNCH_PREPARE : LAUNCH_ANSWER,
			.error = count < 0 ? errno : ETIMEDOUT,
		};
		strcpy(message_ret->call, count < 0 ? "poll" : "");
		return true;
	}
	ssize_t size = recvmsg(channel, &packet, MSG_CMSG_CLOEXEC);
	if (size < 0 && is_refusal(errno)) {
		// The message alone: other modes need no descriptor.
		*fd_ret = -errno;
		packet.msg_controllen = 0;
		size = read(channel, message_ret, sizeof(*message_ret));
	}
	if (size != sizeof(*message_ret))
		return false;
	struct cmsghdr *header = CMSG_FIRSTHDR(&packet);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(fd_ret, CMSG_DATA(header), sizeof(*fd_ret));
	return true;
}

static int start_source(struct session *session, const struct launch_plan *plan,
			enum launch_mode mode, pid_t child, int channel)
{
	if (mode == LAUNCH_NOTIFY)
		return notify_start(session);
	int error = ptrace_start(session, child, plan->filter, filter_count(plan));
	return error || report(channel, LAUNCH_NONE, 0) ? error : -EPIPE;
}

// Answers the child's first report: the event source is started. False with the failure.
static bool serve_child(struct session *session, const struct launch_plan *plan,
			enum launch_mode mode, pid_t child, int channel,
			struct launch_failure *failure_ret)
{
	bool listens = mode == LAUNCH_NOTIFY;
	session->refused = "";
	if (listens && session->listener < 0) {
		set_failure(failure_ret, LAUNCH_HANDOVER, "recvmsg", -session->listener);
		session->listener = -1;
		return false;
	}
	int error = listens ? notify_check(session->listener) : 0;
	enum launch_stage stage = LAUNCH_RECEIVE;
	if (!error) {
		stage = LAUNCH_PREPARE;
		error = session_detach(session, channel);
	}
	if (!error) {
		stage = listens ? LAUNCH_PREPARE : LAUNCH_TRACE;
		error = start_source(session, plan, mode, child, channel);
	}
	if (error)
		set_failure(failure_ret, stage, session->refused, -error);
	return !error;
}

// reason: why no better mode was taken, or NULL; unheard: a call that somebody else intercepts,
// for whose sake every call stops now, or "".
static void tell_fall_back(const struct launch_plan *plan, enum launch_mode mode,
			   const struct launch_failure *reason, const char *unheard)
{
	struct launch_failure intercepted;
	if (*unheard) {
		set_failure(&intercepted, LAUNCH_OUTSIDE, unheard, EBUSY);
		mode = LAUNCH_PTRACE_ALL;
		reason = &intercepted;
	}
	if (reason && plan->fall_back)
		plan->fall_back(mode, reason);
}

static enum launch_stage follow_child(struct session *session, const struct launch_plan *plan,
				      enum launch_mode mode, pid_t child, int channel,
				      const struct launch_failure *reason,
				      struct launch_failure *failure_ret)
{
	struct report message;
	int *listener = &session->listener;
	set_failure(failure_ret, LAUNCH_HANDOVER, "", EPIPE);
	if (!receive_report(channel, ANSWER_TIMEOUT_MS, &message, listener))
		return LAUNCH_HANDOVER;
	if (message.stage == LAUNCH_NONE) {
		if (!serve_child(session, plan, mode, child, channel, failure_ret))
			return failure_ret->stage;
		set_failure(failure_ret, LAUNCH_ANSWER, "", EPIPE);
		if (!receive_report(channel, ANSWER_TIMEOUT_MS, &message, listener))
			return LAUNCH_ANSWER;
		atomic_store(&session->on_trial, false);
	}
	message.call[sizeof(message.call) - 1] = '\0';
	if (message.stage == LAUNCH_NONE && mode != LAUNCH_NOTIFY) {
		tell_fall_back(plan, mode, reason, message.call);
		if (!report(channel, LAUNCH_NONE, 0))
			return LAUNCH_ANSWER;
	}
	// Reading COMMAND from a slow file system may take its time.
	if (message.stage == LAUNCH_NONE && !receive_report(channel, -1, &message, listener))
		return LAUNCH_NONE;
	set_failure(failure_ret, (enum launch_stage)message.stage, message.call, message.error);
	return failure_ret->stage;
}

static enum launch_stage launch_as(struct session *session, const struct launch_plan *plan,
				   enum launch_mode mode, const struct launch_failure *reason,
				   pid_t *command_ret, struct launch_failure *failure_ret)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		set_failure(failure_ret, LAUNCH_PREPARE, "socketpair", errno);
		return LAUNCH_PREPARE;
	}
	session->filters = mode == LAUNCH_PTRACE_ALL ? 0 : 1;
	atomic_store(&session->every_call, mode == LAUNCH_PTRACE_ALL);
	atomic_store(&session->on_trial, true);
	SCOPED_FD channel = ends[0];
	pid_t child = fork();
	if (child == 0) {
		// Or it would keep its own channel open, and the listener in it, and wait for
		// ever if the supervisor is killed now.
		close(ends[0]);
		run_child(plan, mode, ends[1]);
	}
	int failure = errno;
	close(ends[1]);
	if (child < 0) {
		set_failure(failure_ret, LAUNCH_PREPARE, "clone", failure);
		return LAUNCH_PREPARE;
	}
	enum launch_stage stage =
		follow_child(session, plan, mode, child, channel, reason, failure_ret);
	if (stage != LAUNCH_NONE) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		scope_close(&session->listener);
		session->listener = -1;
		return stage;
	}
	*command_ret = child;
	return LAUNCH_NONE;
}

// What a sandbox or a kernel may refuse, while a later mode may still work. ptrace-all sees
// every call before any filter does.
static enum launch_mode next_mode(const struct launch_plan *plan, enum launch_mode mode,
				  const struct launch_failure *failure)
{
	bool may_choose = plan->mode == LAUNCH_AUTO || plan->mode == LAUNCH_PTRACE;
	if (!may_choose || mode == LAUNCH_PTRACE_ALL)
		return LAUNCH_AUTO;
	switch (failure->stage) {
	case LAUNCH_OUTSIDE:
		return LAUNCH_PTRACE_ALL;
	case LAUNCH_FILTER:
	case LAUNCH_HANDOVER:
	case LAUNCH_RECEIVE:
		return plan->mode == LAUNCH_AUTO ? mode + 1 : LAUNCH_AUTO;
	default:
		return LAUNCH_AUTO;
	}
}

static enum launch_stage launch_in_some_mode(struct session *session,
					     const struct launch_plan *plan, pid_t *command_ret,
					     struct launch_failure *failure_ret)
{
	enum launch_mode mode = plan->mode == LAUNCH_AUTO ? LAUNCH_NOTIFY : plan->mode;
	enum launch_stage stage =
		launch_as(session, plan, mode, NULL, command_ret, failure_ret);
	while (stage != LAUNCH_NONE) {
		const struct launch_failure reason = *failure_ret;
		mode = next_mode(plan, mode, &reason);
		if (mode == LAUNCH_AUTO)
			break;
		stage = launch_as(session, plan, mode, &reason, command_ret, failure_ret);
	}
	return stage;
}

enum launch_stage launch(struct session *session, const struct launch_plan *plan,
			 pid_t *command_ret, struct launch_failure *failure_ret)
{
	session->privileged = namespace_has_rights();
	if (!session->privileged)
		return launch_in_some_mode(session, plan, command_ret, failure_ret);
	struct launch_plan wider = *plan;
	SCOPED_FREE void *filter = namespace_filter(plan->filter, &wider.filter_size);
	if (!filter) {
		set_failure(failure_ret, LAUNCH_PREPARE, "", ENOMEM);
		return LAUNCH_PREPARE;
	}
	wider.filter = filter;
	return launch_in_some_mode(session, &wider, command_ret, failure_ret);
}
