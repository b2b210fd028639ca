// SPDX-License-Identifier: Apache-2.0
//
// kill_at N COMMAND...: kills COMMAND as it is about to make its Nth system call, of those
// behind its first getpgid(KILL_AT_MARK). Ends with 0 if it did, with 3 if COMMAND had ended
// before, and with 4 if that had not ended with 0.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_AT_MARK 0x6b696c6c

static int next_stop(pid_t pid, int *status)
{
	int number = WIFSTOPPED(*status) ? WSTOPSIG(*status) : 0;
	int given = number == (SIGTRAP | 0x80) || number == SIGTRAP || number == SIGSTOP ? 0 : number;
	return ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)given) < 0 ||
			       waitpid(pid, status, 0) < 0
		       ? -1
		       : 0;
}

int main(int argc, char **argv)
{
	long left = argc > 2 ? atol(argv[1]) : 0;
	if (left <= 0)
		return 2;
	pid_t pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	int status, marked = 0, entering = 0;
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 2;
	ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	while (next_stop(pid, &status) == 0 && WIFSTOPPED(status)) {
		struct user_regs_struct regs;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		entering = !entering;
		if (!entering || ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0)
			continue;
		if (marked && --left == 0) {
			kill(pid, SIGKILL);
			return waitpid(pid, &status, 0) < 0 ? 2 : 0;
		}
		marked |= regs.orig_rax == SYS_getpgid && (int)regs.rdi == KILL_AT_MARK;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 3 : 4;
}
