// SPDX-License-Identifier: Apache-2.0
//
// kill_launch ROLE STEP VICTIMS COMMAND...: runs fakeroot-sc (COMMAND) and, when the process ROLE
// (f: front, s: supervisor, c: the launched one) stands before or behind its STEP-th system
// call, kills VICTIMS (any of these letters) at once. Prints how many such steps there are if
// STEP is beyond the last. Status 0 once every process of the run has ended, 1 if some are left
// after a time: they are printed and killed.
//
// The supervisor's steps count from where it begins to launch; the launched one's end with its
// execve(2).
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_S 20
#define FOLLOW                                                                                     \
	(PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |     \
	 PTRACE_O_TRACESYSGOOD)

enum role { FRONT, SUPERVISOR, LAUNCHED, ROLES };
static const char letters[] = "fsc";
static pid_t processes[ROLES];
static bool launching;

static void take_roles(pid_t parent, pid_t child)
{
	if (parent == processes[FRONT] && !processes[SUPERVISOR])
		processes[SUPERVISOR] = child;
	else if (parent == processes[SUPERVISOR] && !processes[LAUNCHED])
		processes[LAUNCHED] = child;
}

static bool counts(pid_t pid, enum role role, bool executed)
{
	struct user_regs_struct registers;
	if (pid != processes[role] || (role == LAUNCHED && executed))
		return false;
	if (role == SUPERVISOR && !launching && !ptrace(PTRACE_GETREGS, pid, NULL, &registers))
		launching = registers.orig_rax == SYS_prctl && registers.rdi == PR_SET_NAME;
	return role != SUPERVISOR || launching;
}

static void kill_victims(const char *victims)
{
	for (int role = 0; role < ROLES; role++)
		if (strchr(victims, letters[role]) && processes[role] > 0)
			kill(processes[role], SIGKILL);
}

// Returns what the tracer ends with; its end lets go of all that it traces.
static int trace(enum role role, long step, const char *victims, bool follows)
{
	long seen = 0;
	bool executed = false;
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		unsigned long news;
		int signal = 0, event = status >> 16;
		if (!WIFSTOPPED(status))
			continue;
		if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
		    event == PTRACE_EVENT_CLONE) {
			ptrace(PTRACE_GETEVENTMSG, pid, NULL, &news);
			if (event != PTRACE_EVENT_CLONE)
				take_roles(pid, (pid_t)news);
			if (!follows && (pid_t)news == processes[SUPERVISOR])
				ptrace(PTRACE_SETOPTIONS, news, NULL, PTRACE_O_TRACESYSGOOD);
		} else if (event == PTRACE_EVENT_EXEC) {
			executed |= pid == processes[LAUNCHED];
		} else if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			if (counts(pid, role, executed) && ++seen == step) {
				kill_victims(victims);
				return 0;
			}
		} else if (event == 0) {
			signal = WSTOPSIG(status);
		}
		// The options of one that is born come with it; they can be set once it stops.
		if (!follows && pid == processes[SUPERVISOR])
			ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD);
		ptrace(PTRACE_SYSCALL, pid, NULL, (long)signal);
	}
	printf("%ld\n", seen);
	fflush(stdout);
	return 0;
}

static void ring(int number)
{
	(void)number;
}

// Kills what is left. Returns whether anything was.
static bool end_rest(void)
{
	bool found = false;
	DIR *all = opendir("/proc");
	struct dirent *entry;
	while (all && (entry = readdir(all))) {
		char name[280], line[512], state;
		int parent;
		snprintf(name, sizeof(name), "/proc/%s/stat", entry->d_name);
		FILE *file = isdigit((unsigned char)*entry->d_name) ? fopen(name, "r") : NULL;
		if (file && fgets(line, sizeof(line), file) && strrchr(line, ')') &&
		    sscanf(strrchr(line, ')'), ") %c %d", &state, &parent) == 2 &&
		    parent == getpid() && state != 'Z') {
			printf("left: %.60s\n", line);
			kill(atoi(entry->d_name), SIGKILL);
			found = true;
		}
		if (file)
			fclose(file);
	}
	if (all)
		closedir(all);
	return found;
}

int main(int argc, char **argv)
{
	const struct sigaction bell = {.sa_handler = ring};
	bool left = false;
	if (argc < 5)
		return 2;
	enum role role = (enum role)(strchr(letters, *argv[1]) - letters);
	// A tracer that ptrace's own modes need for themselves leaves the launched one alone.
	bool follows = !getenv("KILL_LAUNCH_FOLLOWS_NOT");
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	pid_t tracer = fork();
	if (tracer == 0) {
		pid_t front = fork();
		if (front == 0) {
			raise(SIGSTOP);
			execvp(argv[4], argv + 4);
			_exit(127);
		}
		processes[FRONT] = front;
		waitpid(front, NULL, WUNTRACED);
		if (ptrace(PTRACE_SEIZE, front, NULL, FOLLOW) < 0)
			_exit(77);
		kill(front, SIGCONT);
		_exit(trace(role, atol(argv[2]), argv[3], follows));
	}
	sigaction(SIGALRM, &bell, NULL);
	alarm(PATIENCE_S);
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);
		if (pid == tracer && WIFEXITED(status) && WEXITSTATUS(status) == 77)
			return 77;
		if (pid < 0 && errno == EINTR) {
			left |= end_rest();
			alarm(1);
		} else if (pid < 0) {
			break;
		}
	}
	return left;
}
