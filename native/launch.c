// SPDX-License-Identifier: Apache-2.0
#include "launch.h"

#include "attach.h"
#include "descriptor_message.h"
#include "kernel.h"
#include "namespace.h"
#include "notify.h"
#include "ptrace.h"
#include "scope.h"

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

struct report {
	int32_t stage;
	int32_t error;
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
static bool report(int channel, enum launch_stage stage, int error)
{
	struct report message = {.stage = stage, .error = error};
	return write(channel, &message, sizeof(message)) == sizeof(message);
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

// Calls that LXD and Incus intercept, and others that a sandbox may, with arguments that do
// nothing. Returns how many.
static long make_trial_calls(void)
{
	syscall(SYS_mknod, "", S_IFCHR | 0600, 0);
	syscall(SYS_mknodat, AT_FDCWD, "", S_IFCHR | 0600, 0);
	syscall(SYS_setxattr, "", "trusted.", "", 0, 0);
	syscall(SYS_lsetxattr, "", "trusted.", "", 0, 0);
	syscall(SYS_chown, "", 0, 0);
	syscall(SYS_fchownat, AT_FDCWD, "", 0, 0, 0);
	syscall(SYS_chmod, "", 0);
	syscall(SYS_setuid, -1);
	return 8;
}

// A foreign listener outranks our stops: of what it intercepts we would not hear.
static void check_stops(void)
{
	long before = syscall(SYS_getgroups, ATTACH_STOPS, NULL);
	long expected = before + make_trial_calls() + 1;
	if (syscall(SYS_getgroups, ATTACH_STOPS, NULL) != expected)
		syscall(SYS_getgroups, ATTACH_EVERY_CALL, NULL);
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
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fail(channel, LAUNCH_NO_PRIVS);
	if (mode == LAUNCH_NOTIFY)
		join_listener(plan, channel);
	else
		join_tracer(plan, mode, channel);
	check_round_trip(channel);
	if (mode == LAUNCH_PTRACE)
		check_stops();
	report(channel, LAUNCH_NONE, 0);
	report(channel, LAUNCH_EXECUTE, launch_execute(plan->argv, plan->envp, &plan->origin));
	_exit(127);
}

// Receives one report, with the descriptor it may carry in *fd_ret. Returns
// false at the end: COMMAND executes, or the child has died.
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
	if (count == 0) {
		*message_ret = (struct report){.stage = LAUNCH_ANSWER, .error = ETIMEDOUT};
		return true;
	}
	if (recvmsg(channel, &packet, MSG_CMSG_CLOEXEC) != sizeof(*message_ret))
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

static enum launch_stage follow_child(struct session *session, const struct launch_plan *plan,
				      enum launch_mode mode, pid_t child, int channel,
				      int *error_ret)
{
	struct report message;
	int *listener = &session->listener;
	*error_ret = EPIPE;
	if (!receive_report(channel, ANSWER_TIMEOUT_MS, &message, listener))
		return LAUNCH_HANDOVER;
	if (message.stage == LAUNCH_NONE) {
		*error_ret = mode == LAUNCH_NOTIFY ? -notify_check(*listener) : 0;
		if (*error_ret)
			return LAUNCH_RECEIVE;
		int error = session_detach(session, channel);
		if (error) {
			*error_ret = -error;
			return LAUNCH_PREPARE;
		}
		error = start_source(session, plan, mode, child, channel);
		if (error) {
			*error_ret = -error;
			return mode == LAUNCH_NOTIFY ? LAUNCH_PREPARE : LAUNCH_TRACE;
		}
		if (!receive_report(channel, ANSWER_TIMEOUT_MS, &message, listener))
			return LAUNCH_ANSWER;
	}
	// Reading COMMAND from a slow file system may take its time.
	if (message.stage == LAUNCH_NONE && !receive_report(channel, -1, &message, listener))
		return LAUNCH_NONE;
	*error_ret = message.error;
	return (enum launch_stage)message.stage;
}

static enum launch_stage launch_as(struct session *session, const struct launch_plan *plan,
				   enum launch_mode mode, pid_t *command_ret, int *error_ret)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		*error_ret = errno;
		return LAUNCH_PREPARE;
	}
	session->filters = mode == LAUNCH_PTRACE_ALL ? 0 : 1;
	atomic_store(&session->every_call, mode == LAUNCH_PTRACE_ALL);
	SCOPED_FD channel = ends[0];
	pid_t child = fork();
	if (child == 0)
		run_child(plan, mode, ends[1]);
	int failure = errno;
	close(ends[1]);
	if (child < 0) {
		*error_ret = failure;
		return LAUNCH_PREPARE;
	}
	enum launch_stage stage = follow_child(session, plan, mode, child, channel, error_ret);
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

// What a sandbox or a kernel may refuse, while the other modes may still work.
static bool another_mode_may_do(enum launch_stage stage)
{
	return stage == LAUNCH_FILTER || stage == LAUNCH_HANDOVER || stage == LAUNCH_RECEIVE;
}

static enum launch_stage launch_in_some_mode(struct session *session,
					     const struct launch_plan *plan, pid_t *command_ret,
					     int *error_ret)
{
	if (plan->mode != LAUNCH_AUTO)
		return launch_as(session, plan, plan->mode, command_ret, error_ret);
	enum launch_stage stage = LAUNCH_NONE;
	for (enum launch_mode mode = LAUNCH_NOTIFY; mode <= LAUNCH_PTRACE_ALL; mode++) {
		if (mode != LAUNCH_NOTIFY && plan->fall_back)
			plan->fall_back(mode, stage, *error_ret);
		stage = launch_as(session, plan, mode, command_ret, error_ret);
		if (!another_mode_may_do(stage))
			break;
	}
	return stage;
}

enum launch_stage launch(struct session *session, const struct launch_plan *plan,
			 pid_t *command_ret, int *error_ret)
{
	session->privileged = namespace_has_rights();
	if (!session->privileged)
		return launch_in_some_mode(session, plan, command_ret, error_ret);
	struct launch_plan wider = *plan;
	SCOPED_FREE void *filter = namespace_filter(plan->filter, &wider.filter_size);
	if (!filter) {
		*error_ret = ENOMEM;
		return LAUNCH_PREPARE;
	}
	wider.filter = filter;
	return launch_in_some_mode(session, &wider, command_ret, error_ret);
}
