// SPDX-License-Identifier: Apache-2.0
//
// The command fakeroot-sc: the process that the user's shell knows.
//
// It starts the supervisor beside itself, with all signals blocked, and stands for
// COMMAND, which runs in this process's group: it stops when COMMAND stops, passes
// on the signals that it is sent, and ends as COMMAND ended. So shells and timeouts
// handle it as if COMMAND ran bare, while the supervisor, in a session of its own
// from then on, goes on serving what COMMAND left behind.
//
// It is linked statically where that can be: what the caller preloads is for COMMAND, and
// would change the signals, the paths or the clock that this process sees.
#include "control.h"
#include "scope.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define END_ROUNDS 1000
#define VARIABLE_HELD 0x80 // in the first letter of a name, see hold_back_variables()

#ifndef SYS_close_range // Linux 5.9
#define SYS_close_range 436
#endif

// Without -S, importing the site module costs 3 ms; so the one directory that
// matters is found here. The layouts: a prefix or virtual environment, Debian's
// own packages, Debian's /usr/local.
static const char bootstrap[] =
	"import sys\n"
	"place, version = sys.argv[1], 'python%d.%d' % sys.version_info[:2]\n"
	"sys.path += [place, place + '/lib/' + version + '/site-packages',\n"
	"             place + '/lib/python3/dist-packages',\n"
	"             place + '/lib/' + version + '/dist-packages']\n"
	"try:\n"
	"    from fakeroot_sc.cli import main\n"
	"except ImportError as error:\n"
	"    print('fakeroot-sc: cannot load the package for ' + sys.executable + ': '\n"
	"          + str(error) + ': install fakeroot-sc for this interpreter', file=sys.stderr)\n"
	"    sys.exit(125)\n"
	"main(sys.argv[2], sys.argv[3:])\n";

struct front {
	pid_t supervisor;
	const char *python; // that it runs in
	int control;
	int signals;
	pid_t command;     // 0: not started, or ended
	uint64_t received; // signals that this process was sent, bit n-1 for signal n
};

struct interpreter {
	char python[PATH_MAX];
	char place[PATH_MAX]; // where the package is, or a prefix of it
};

static int trouble(const char *what, const char *advice)
{
	fprintf(stderr, "fakeroot-sc: %s: %s: %s\n", what, strerror(errno), advice);
	return CONTROL_TROUBLE;
}

static bool is_refusal(int error)
{
	return error == EPERM || error == EACCES || error == ENOSYS;
}

static const char limits[] = "look at the limits of processes, memory and descriptors (ulimit -a), "
			     "and at what the sandbox forbids";

// "python -m fakeroot_sc" says which interpreter it is; else it is the one that
// was installed beside this file.
static int find_interpreter(int *argc, char ***argv, struct interpreter *found)
{
	static const char option[] = "--supervisor-python=";
	if (*argc > 2 && strncmp((*argv)[1], option, strlen(option)) == 0) {
		snprintf(found->python, PATH_MAX, "%s", (*argv)[1] + strlen(option));
		snprintf(found->place, PATH_MAX, "%s", (*argv)[2]);
		*argc -= 2;
		*argv += 2;
		return 0;
	}
	ssize_t length = readlink("/proc/self/exe", found->place, PATH_MAX - 1);
	if (length < 0 && is_refusal(errno))
		return trouble("readlink(2)", limits);
	if (length < 0)
		return trouble("/proc/self/exe", "the proc file system must be mounted on /proc");
	found->place[length] = '\0';
	for (int up = 0; up < 2; up++)
		*strrchr(found->place, '/') = '\0';
	if (snprintf(found->python, PATH_MAX, "%s/bin/python3", found->place) >= PATH_MAX ||
	    access(found->python, X_OK) < 0)
		strcpy(found->python, "python3");
	return 0;
}

static uint64_t ignored_signals(void)
{
	uint64_t ignored = 0;
	struct sigaction action;
	for (int number = 1; number <= 64; number++)
		if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			ignored |= 1ull << (number - 1);
	return ignored;
}

static uint64_t signal_bits(const sigset_t *set)
{
	uint64_t bits = 0;
	for (int number = 1; number <= 64; number++)
		if (sigismember(set, number) == 1)
			bits |= 1ull << (number - 1);
	return bits;
}

static bool starts_with(const char *text, const char *head)
{
	return strncmp(text, head, strlen(head)) == 0;
}

// What the caller tells the loader and the libc of COMMAND (ld.so(8), mallopt(3), iconv(3)) is
// not for the supervisor: an object preloaded there would stand in front of the calls that it
// makes for others. It finds them under names that mean nothing to anybody else, of the same
// length and in the same order, and gives them to COMMAND (preload.py takes the mark away).
static void hold_back_variables(void)
{
	static const char *const heads[] = {"LD_", "MALLOC_", "GLIBC_TUNABLES=", "GCONV_PATH=",
					    "LOCPATH="};
	for (char **variable = environ; *variable; variable++)
		for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++)
			if (starts_with(*variable, heads[i])) {
				**variable |= VARIABLE_HELD;
				break;
			}
}

static void run_supervisor(const struct interpreter *with, int control, const char *origin,
			   int argc, char **argv)
{
	fcntl(control, F_SETFD, 0);
	const char **command = calloc((size_t)argc + 8, sizeof(*command));
	if (!command)
		_exit(trouble("starting the supervisor", limits));
	size_t count = 0;
	command[count++] = with->python;
	command[count++] = "-I";
	command[count++] = "-S";
	command[count++] = "-c";
	command[count++] = bootstrap;
	command[count++] = with->place;
	command[count++] = origin;
	for (int i = 1; i < argc; i++)
		command[count++] = argv[i];
	hold_back_variables();
	execvp(with->python, (char *const *)command);
	_exit(trouble(with->python, "the Python that fakeroot-sc was installed for is needed"));
}

static void forward(struct front *front, int number)
{
	struct control_message message = {.kind = CONTROL_SIGNAL, .value = number};
	// Without a supervisor on the socket, COMMAND took its place (nested use).
	if (!control_put(front->control, &message, CONTROL_HEAD))
		kill(front->supervisor, number);
}

// The state of a process and its parent (proc_pid_stat(5)). False if it has gone.
static bool look_at_process(pid_t pid, char *state_ret, pid_t *parent_ret)
{
	char name[32], line[512];
	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	scope_close(&fd);
	if (size <= 0)
		return false;
	line[size] = '\0';
	const char *behind_name = strrchr(line, ')');
	return behind_name && sscanf(behind_name, ") %c %d", state_ret, parent_ret) == 2;
}

// Whether COMMAND is stopped now: the supervisor's word may be from before the last SIGCONT.
// Under ptrace it is a tracing stop, t, as is the stop of a call; that one passes at once.
static bool is_stopped(pid_t pid)
{
	char state;
	pid_t parent;
	return look_at_process(pid, &state, &parent) && (state == 'T' || state == 't');
}

static void stop_alike(int number)
{
	// Raised while blocked: one that the terminal sent the whole group may be
	// pending, and SIGCONT clears both. The other order would stop twice.
	sigset_t only;
	sigemptyset(&only);
	sigaddset(&only, number);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &only, NULL);
	sigprocmask(SIG_BLOCK, &only, NULL);
	// What continued us is no further signal to be passed on.
	const struct timespec at_once = {0};
	sigemptyset(&only);
	sigaddset(&only, SIGCONT);
	sigtimedwait(&only, NULL, &at_once);
}

// Shells look at how a job ended: one that died of ^C ends a script, too.
static int end_by_signal(const struct front *front, int number)
{
	// The same key of the terminal may have ended COMMAND before this process looks.
	sigset_t pending;
	bool unread = sigpending(&pending) == 0 && sigismember(&pending, number) == 1;
	if (unread || front->received >> (number - 1) & 1) {
		struct rlimit none = {0};
		setrlimit(RLIMIT_CORE, &none);
		signal(number, SIG_DFL);
		sigset_t only;
		sigemptyset(&only);
		sigaddset(&only, number);
		raise(number);
		sigprocmask(SIG_UNBLOCK, &only, NULL);
	}
	return 128 + number;
}

static bool kill_children(void)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	bool found = false;
	while (processes && (entry = readdir(processes))) {
		pid_t pid = atoi(entry->d_name), parent;
		char state;
		if (pid <= 0 || !look_at_process(pid, &state, &parent) || parent != getpid())
			continue;
		found = true;
		kill(pid, SIGKILL);
	}
	if (processes)
		closedir(processes);
	return found;
}

// All targets are ours now, since we are their subreaper: children at first, the rest as
// these end. None may go on: with the shim they would take their own changes for real,
// without the supervisor all else fails. One that hangs in the kernel is left in the end.
static void end_targets(void)
{
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (int round = 0; round < END_ROUNDS && kill_children(); round++) {
		const struct timespec soon = {.tv_nsec = 20 * 1000 * 1000};
		sigtimedwait(&child, NULL, &soon);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

// What the package ends the interpreter with: all else is the interpreter's own failure.
static bool ends_by_itself(int status)
{
	return status == 0 || status == 2 || (status >= CONTROL_TROUBLE && status <= 127);
}

static int end_with_supervisor(struct front *front, int status)
{
	// Nothing was started, or COMMAND was executed in its place (nested use).
	bool in_place = front->command == front->supervisor;
	if (WIFEXITED(status) && (front->command == 0 || in_place)) {
		if (in_place || ends_by_itself(WEXITSTATUS(status)))
			return WEXITSTATUS(status);
		fprintf(stderr, "fakeroot-sc: %s ended with status %d before it had started: "
				"it says why above\n",
			front->python, WEXITSTATUS(status));
		return CONTROL_TROUBLE;
	}
	if (WIFSIGNALED(status) && in_place)
		return end_by_signal(front, WTERMSIG(status));
	end_targets();
	if (WIFSIGNALED(status))
		fprintf(stderr, "fakeroot-sc: the supervisor was killed by signal %d (%s): COMMAND "
				"could not go on and was ended\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "fakeroot-sc: the supervisor ended with status %d: COMMAND could "
				"not go on and was ended\n",
			WEXITSTATUS(status));
	return CONTROL_TROUBLE;
}

// Where there is something to be read. Returns an exit status, or -1 to go on.
static int hear_supervisor(struct front *front)
{
	struct control_message message;
	ssize_t size = read(front->control, &message, sizeof(message));
	if (size < CONTROL_HEAD) {
		// Its end, or an execve(): SIGCHLD tells which. ECONNRESET: it has ended with
		// a message of ours unread. That is said once, before what it said last.
		if (size >= 0 || (errno != EAGAIN && errno != EINTR && errno != ECONNRESET)) {
			close(front->control);
			front->control = -1;
		}
		return -1;
	}
	switch (message.kind) {
	case CONTROL_TEXT:
		message.text[sizeof(message.text) - 1] = '\0';
		fprintf(stderr, "fakeroot-sc: %s\n", message.text);
		return -1;
	case CONTROL_STARTED:
		front->command = message.value;
		return -1;
	case CONTROL_STOPPED:
		if (!is_stopped(front->command))
			return -1;
		stop_alike(message.value);
		message.kind = CONTROL_RESUME;
		message.value = SIGCONT;
		control_put(front->control, &message, CONTROL_HEAD);
		return -1;
	case CONTROL_EXITED:
		return message.value;
	case CONTROL_KILLED:
		return end_by_signal(front, message.value);
	default:
		return -1;
	}
}

static int hear_child(struct front *front)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != front->supervisor)
			continue;
		if (WIFSTOPPED(status)) {
			stop_alike(WSTOPSIG(status));
			kill(front->supervisor, SIGCONT);
			continue;
		}
		// What it said last comes before the fact that it ended.
		struct pollfd more = {.fd = front->control, .events = POLLIN};
		while (front->control >= 0 && poll(&more, 1, 0) > 0) {
			int result = hear_supervisor(front);
			if (result >= 0)
				return result;
		}
		return end_with_supervisor(front, status);
	}
	return -1;
}

// A signal of the terminal has reached COMMAND as well, but for the hang-up, which
// goes to the session leader alone; one that a process sent was meant for COMMAND.
static int hear_signal(struct front *front)
{
	struct signalfd_siginfo info;
	if (read(front->signals, &info, sizeof(info)) != sizeof(info))
		return -1;
	int number = (int)info.ssi_signo;
	if (number == SIGCHLD)
		return hear_child(front);
	if (number == SIGPIPE && (pid_t)info.ssi_pid == getpid())
		return -1; // control_put()
	front->received |= 1ull << (number - 1);
	if (info.ssi_code != SI_KERNEL || (number == SIGHUP && getsid(0) == getpid()))
		forward(front, number);
	return -1;
}

static int stand_for_command(struct front *front)
{
	for (;;) {
		struct pollfd events[] = {
			{.fd = front->control, .events = POLLIN},
			{.fd = front->signals, .events = POLLIN},
		};
		if (poll(events, 2, -1) < 0)
			continue;
		int status = -1;
		if (events[0].revents)
			status = hear_supervisor(front);
		if (status < 0 && events[1].revents)
			status = hear_signal(front);
		if (status >= 0)
			return status;
	}
}

// A reader of COMMAND's output waits for every holder of the pipe, an unmounter for
// every user of the directory. Only standard error is kept, for messages.
static void let_go(const struct front *front)
{
	if (chdir("/") < 0)
		return;
	int low = front->control < front->signals ? front->control : front->signals;
	int high = front->control < front->signals ? front->signals : front->control;
	close(0);
	close(1);
	if (low > 3)
		syscall(SYS_close_range, 3, low - 1, 0);
	if (high > low + 1)
		syscall(SYS_close_range, low + 1, high - 1, 0);
	syscall(SYS_close_range, high + 1, UINT_MAX, 0);
}

// Which of the first three descriptors are closed, bit n for descriptor n. They are
// filled, or the next descriptor opened would pass for one of them; COMMAND gets
// them closed again.
static unsigned fill_standard_descriptors(void)
{
	unsigned closed = 0;
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) == fd)
			closed |= 1u << fd;
	return closed;
}

// With less the interpreter would end in the middle of its own start, in words of its own.
// How much more it takes differs from machine to machine: what is enough anywhere is told.
static const struct limit {
	int resource;
	char option;
	rlim_t unit, least, enough;
} least_limits[] = {
	{RLIMIT_AS, 'v', 1024, 24u << 20, 65536},
	{RLIMIT_DATA, 'd', 1024, 8u << 20, 16384},
	{RLIMIT_NOFILE, 'n', 1, 14, 64},
};

static bool limits_are_enough(void)
{
	for (size_t i = 0; i < sizeof(least_limits) / sizeof(*least_limits); i++) {
		const struct limit *limit = &least_limits[i];
		struct rlimit now;
		if (getrlimit((unsigned)limit->resource, &now) < 0 || now.rlim_cur >= limit->least)
			continue;
		fprintf(stderr, "fakeroot-sc: ulimit -%c %llu: too little for the supervisor: "
				"%llu are enough\n", limit->option,
			(unsigned long long)(now.rlim_cur / limit->unit),
			(unsigned long long)limit->enough);
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	if (!limits_are_enough())
		return CONTROL_TROUBLE;
	unsigned closed = fill_standard_descriptors();
	struct interpreter with;
	int error = find_interpreter(&argc, &argv, &with);
	if (error)
		return error;

	sigset_t all, before;
	uint64_t ignored = ignored_signals();
	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, &before) < 0)
		return trouble("rt_sigprocmask(2)", limits);
	signal(SIGCHLD, SIG_DFL); // ignored, children would leave no status
	// What this process cannot wait without, while nothing runs that would have to be ended.
	if (poll(NULL, 0, 0) < 0)
		return trouble("poll(2)", limits);
	if (waitpid(-1, NULL, WNOHANG) < 0 && is_refusal(errno))
		return trouble("wait4(2)", limits);

	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return trouble("socketpair(2)", limits);
	char origin[128];
	snprintf(origin, sizeof(origin), "%d:%llu:%llu:%u", ends[1],
		 (unsigned long long)signal_bits(&before), (unsigned long long)ignored, closed);

	// Should the supervisor die, COMMAND becomes this process's to end.
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	struct front front = {.control = ends[0], .python = with.python};
	front.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (front.signals < 0)
		return trouble("signalfd(2)", limits);
	front.supervisor = fork();
	if (front.supervisor == 0)
		run_supervisor(&with, ends[1], origin, argc, argv);
	if (front.supervisor < 0)
		return trouble("fork(2)", limits);
	close(ends[1]);
	let_go(&front);
	return stand_for_command(&front);
}
