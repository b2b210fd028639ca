// SPDX-License-Identifier: Apache-2.0
#include "supervise.h"

#include "control.h"
#include "follow.h"
#include "live.h"
#include "metadata.h"
#include "mounts.h"
#include "ptrace.h"
#include "scope.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct life {
	struct session *session;
	pid_t command; // 0 once it has ended
	bool stopped;  // COMMAND is
	uint32_t stops;
	uint32_t told; // session->changes when session->ended was called
	bool failed;   // it could not save: trying again at once is of no use
	int shown;     // the exit status that stands for COMMAND's end
};

// Until COMMAND ends the supervisor stays in its process group: a parent in another
// group of the session would pass for one that can continue COMMAND's, which the
// kernel then never treats as orphaned (setpgid(2)). A session of its own at once
// would do, too, but is an autogroup of its own (sched(7)): 0.4 us more a call.
static void leave_process_group(void)
{
	setsid();
}

// All that COMMAND has started is below us, whoever started it.
static bool nothing_left(void)
{
	siginfo_t info;
	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

static void command_changed(struct life *life, int status)
{
	int control = life->session->control;
	life->stopped = WIFSTOPPED(status);
	if (WIFSTOPPED(status)) {
		control_send_stop(control, WSTOPSIG(status), ++life->stops);
		return;
	}
	if (WIFCONTINUED(status))
		return;
	life->command = 0;
	leave_process_group();
	int trouble = life->session->ended ? life->session->ended(life->session) : -1;
	life->told = atomic_load(&life->session->changes);
	life->failed = trouble >= 0;
	// The next run may begin before this process has ended.
	if (life->session->durable && !life->failed && nothing_left())
		live_end_run(life->session);
	if (trouble >= 0) {
		life->shown = trouble;
		control_send(control, CONTROL_EXITED, trouble);
	} else if (WIFSIGNALED(status)) {
		life->shown = 128 + WTERMSIG(status);
		control_send(control, CONTROL_KILLED, WTERMSIG(status));
	} else {
		life->shown = WEXITSTATUS(status);
		control_send(control, CONTROL_EXITED, WEXITSTATUS(status));
	}
}

// What COMMAND has left behind may have changed more.
static void end(struct life *life)
{
	struct session *session = life->session;
	metadata_settle(session);
	// Or a run that shared its memory was killed.
	bool changed = session->durable && !life->failed &&
		       atomic_load(&session->page->shared.changed);
	if (session->ended && (changed || atomic_load(&session->changes) != life->told))
		session->ended(session);
	live_leave(session);
}

// Of one that has just been let go.
static bool is_traced_stop(int status)
{
	return WIFSTOPPED(status) && (status >> 16 || WSTOPSIG(status) & 0x80);
}

static void reap(struct life *life)
{
	int status;
	pid_t pid;
	int options = WNOHANG | WUNTRACED | WCONTINUED | (follow_any() ? __WALL : 0);
	while ((pid = waitpid(-1, &status, options)) > 0)
		if (!follow_hear(pid, status) && pid == life->command && !is_traced_stop(status))
			command_changed(life, status);
}

// The tracing thread reaps. Returns false when it has ended, with the last target.
static bool hear_tracer(struct life *life)
{
	struct command_change change;
	ssize_t size;
	while ((size = read(life->session->command_changes, &change, sizeof(change))) > 0)
		if (life->command > 0)
			command_changed(life, change.status);
	return size < 0;
}

// The front process speaks for the user: its end by SIGKILL is COMMAND's too, as
// if the signal had hit COMMAND itself.
static void hear_front(struct life *life)
{
	struct control_message message;
	ssize_t size = read(life->session->control, &message, sizeof(message));
	if (size >= CONTROL_HEAD) {
		// Whoever continues a job sends its whole group SIGCONT, COMMAND included;
		// a second one, late, must not undo the next stop.
		bool wanted = message.kind == CONTROL_SIGNAL ||
			      (message.kind == CONTROL_RESUME && life->stopped &&
			       message.serial == life->stops);
		if (wanted && life->command > 0)
			kill(life->command, message.value);
		return;
	}
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	scope_close(&life->session->control);
	life->session->control = -1;
	if (life->command > 0)
		kill(life->command, SIGKILL);
}

int supervise(struct session *session, pid_t command)
{
	struct life life = {.session = session, .command = command, .shown = CONTROL_TROUBLE};
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	bool traced = session->command_changes >= 0;
	SCOPED_FD changes = traced ? -1 : signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	bool served = true;

	while (life.command > 0 || served) {
		if (traced)
			served = hear_tracer(&life);
		else
			reap(&life);
		if (life.command <= 0 && !served)
			break;
		struct pollfd events[] = {
			{.fd = traced ? session->command_changes : changes, .events = POLLIN},
			{.fd = session->control, .events = POLLIN},
			// No events: POLLHUP comes unasked, POLLIN is the workers'.
			{.fd = served ? session->listener : -1},
			{.fd = session->mounts, .events = POLLPRI},
		};
		if (poll(events, 4, -1) < 0)
			continue;
		struct signalfd_siginfo info;
		if (events[0].revents && !traced)
			while (read(changes, &info, sizeof(info)) > 0)
				;
		if (events[1].revents) {
			if (!traced)
				reap(&life);
			hear_front(&life);
		}
		if (events[2].revents & POLLHUP)
			served = false;
		if (events[3].revents & (POLLPRI | POLLERR))
			mounts_changed(session);
	}
	end(&life);
	return life.shown;
}
