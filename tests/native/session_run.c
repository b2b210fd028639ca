// SPDX-License-Identifier: Apache-2.0
//
// A whole run without Python, for sanitizer builds: session_run FILTER SHIM COMMAND...
// SHIM may be "" for none.
// Calls that have a Python handler are left to the kernel. Exits as COMMAND does.
#include "credentials.h"
#include "control.h"
#include "launch.h"
#include "outcome.h"
#include "supervise.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct session session;

#define PLACEHOLDER_PASS 0x485341504c534150 // fakeroot_sc/passes.py

static void leave_to_kernel(struct request *request, struct outcome *outcome)
{
	(void)request;
	outcome_continue(outcome);
}

static size_t read_filter(const char *name, char *bytes, size_t room)
{
	FILE *file = fopen(name, "re");
	size_t size = file ? fread(bytes, 1, room, file) : 0;
	if (file)
		fclose(file);
	return size;
}

// The supervisor's part, in a process of its own as in a real run.
static int supervise_command(const struct launch_plan *plan, const char *shim, int control)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

	pid_t command;
	session_init(&session);
	int error = session_create(&session);
	if (error) {
		fprintf(stderr, "session_create: %d\n", error);
		return 1;
	}
	preload_init(&session.preload, *shim ? shim : NULL);
	session.python = leave_to_kernel;
	session.control = control;
	session_publish(&session, PLACEHOLDER_PASS, false);
	credentials_init(&session);
	struct launch_failure failure;
	if (launch(&session, plan, &command, &failure) != LAUNCH_NONE) {
		fprintf(stderr, "launch: stage %d, errno %d\n", (int)failure.stage, failure.error);
		return 1;
	}
	supervise(&session, command);
	return 0;
}

static int command_status(int control)
{
	struct control_message message;
	int status = 125;
	while (recv(control, &message, sizeof(message), 0) >= CONTROL_HEAD) {
		if (message.kind == CONTROL_EXITED)
			status = message.value;
		if (message.kind == CONTROL_KILLED)
			status = 128 + message.value;
		if (message.kind == CONTROL_TEXT)
			printf("%s\n", message.text);
	}
	return status;
}

int main(int argc, char **argv)
{
	static char filter[4096 * 8];
	int ends[2], supervisor_status;
	const char *traced = getenv("SESSION_PTRACE");
	if (argc < 4 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return 125;
	if (*argv[2])
		setenv("LD_PRELOAD", argv[2], 1);
	struct launch_plan plan = {
		.mode = traced ? LAUNCH_PTRACE : LAUNCH_NOTIFY,
		.argv = argv + 3,
		.envp = environ,
		.filter = filter,
		.filter_size = read_filter(argv[1], filter, sizeof(filter)),
	};
	pid_t supervisor = fork();
	if (supervisor == 0)
		return supervise_command(&plan, argv[2], ends[0]);
	close(ends[0]);
	int status = command_status(ends[1]);
	if (waitpid(supervisor, &supervisor_status, 0) < 0 || supervisor_status != 0)
		return 125;
	return status;
}
