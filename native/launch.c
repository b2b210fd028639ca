// SPDX-License-Identifier: Apache-2.0
#include "launch.h"

#include "attach.h"
#include "kernel.h"
#include "notify.h"
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

static void report(int channel, enum launch_stage stage, int error)
{
	struct report message = {.stage = stage, .error = error};
	send(channel, &message, sizeof(message), MSG_NOSIGNAL);
}

static void fail(int channel, enum launch_stage stage)
{
	report(channel, stage, errno);
	_exit(127);
}

// Kernels refuse flags that they do not know with EINVAL: ask for less and less.
static int install_filter(const struct launch_plan *plan)
{
	static const unsigned long flags[] = {
		SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		0,
	};
	struct sock_fprog program = {
		.len = (unsigned short)(plan->filter_size / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)plan->filter,
	};
	int listener = -1;
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
					flags[i] | SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
		if (listener >= 0 || errno != EINVAL)
			break;
	}
	return listener;
}

static int send_descriptor(int channel, int fd)
{
	struct report message = {.stage = LAUNCH_NONE};
	struct iovec data = {.iov_base = &message, .iov_len = sizeof(message)};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} ancillary = {0};
	struct msghdr packet = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &ancillary,
		.msg_controllen = sizeof(ancillary),
	};
	ancillary.header = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	};
	memcpy(CMSG_DATA(&ancillary.header), &fd, sizeof(fd));
	return sendmsg(channel, &packet, MSG_NOSIGNAL) < 0 ? -1 : 0;
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

static void run_child(const struct launch_plan *plan, int channel)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fail(channel, LAUNCH_NO_PRIVS);
	int listener = install_filter(plan);
	if (listener < 0)
		fail(channel, LAUNCH_FILTER);
	if (send_descriptor(channel, listener) < 0)
		fail(channel, LAUNCH_HANDOVER);
	close(listener);
	check_round_trip(channel);
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

static enum launch_stage follow_child(struct session *session, int channel, int *error_ret)
{
	struct report message;
	int *listener = &session->listener;
	*error_ret = EPIPE;
	if (!receive_report(channel, ANSWER_TIMEOUT_MS, &message, listener))
		return LAUNCH_HANDOVER;
	if (message.stage == LAUNCH_NONE) {
		*error_ret = -notify_check(*listener);
		if (*error_ret)
			return LAUNCH_NOTIFY;
		int error = session_detach(session, channel);
		if (!error)
			error = notify_start(session);
		if (error) {
			*error_ret = -error;
			return LAUNCH_PREPARE;
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

enum launch_stage launch(struct session *session, const struct launch_plan *plan,
			 pid_t *command_ret, int *error_ret)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		*error_ret = errno;
		return LAUNCH_PREPARE;
	}
	SCOPED_FD channel = ends[0];
	pid_t child = fork();
	if (child == 0)
		run_child(plan, ends[1]);
	int failure = errno;
	close(ends[1]);
	if (child < 0) {
		*error_ret = failure;
		return LAUNCH_PREPARE;
	}
	enum launch_stage stage = follow_child(session, channel, error_ret);
	if (stage != LAUNCH_NONE) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		return stage;
	}
	*command_ret = child;
	return LAUNCH_NONE;
}
