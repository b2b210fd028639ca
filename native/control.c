// SPDX-License-Identifier: Apache-2.0
#include "control.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void control_send(int control, enum control_kind kind, int value)
{
	struct control_message message = {.kind = kind, .value = value};
	if (control >= 0)
		control_put(control, &message, CONTROL_HEAD);
}

void control_send_stop(int control, int signal, uint32_t serial)
{
	struct control_message message = {
		.kind = CONTROL_STOPPED, .value = signal, .serial = serial};
	if (control >= 0)
		control_put(control, &message, CONTROL_HEAD);
}

void control_text(int control, const char *text)
{
	struct control_message message = {.kind = CONTROL_TEXT};
	if (control < 0) {
		fprintf(stderr, "fakeroot-sc: %s\n", text);
		return;
	}
	snprintf(message.text, sizeof(message.text), "%s", text);
	control_put(control, &message, CONTROL_HEAD + strlen(message.text) + 1);
}

// Once a session. format: of the process's number.
static void __attribute__((format(printf, 4, 0)))
tell_once(const struct session *session, atomic_bool *told, pid_t tid, const char *format)
{
	char text[sizeof(((struct control_message *)NULL)->text)];
	if (atomic_exchange(told, true))
		return;
	snprintf(text, sizeof(text), format, tid);
	control_text(session->control, text);
}

void control_tell_unreadable(struct session *session, pid_t tid)
{
	tell_once(session, &session->told_unreadable, tid,
		  "process %d: its memory is closed to other processes (not dumpable): "
		  "it sees real owners and modes");
}

void control_tell_no_tracing(struct session *session, pid_t tid)
{
	tell_once(session, &session->told_no_tracing, tid,
		  "process %d wants to trace: strace, gdb and other tracers do not work inside of "
		  "--mode ptrace, where fakeroot-sc is the tracer itself");
}

void control_tell_no_map(struct session *session, pid_t tid)
{
	tell_once(session, &session->told_no_map, tid,
		  "process %d maps root's ids into a user namespace: that takes a tracer (ptrace), "
		  "which it cannot be given, so the kernel will refuse");
}

void control_tell_no_btime(struct session *session, uint64_t dev, unsigned mode)
{
	// Pipes, sockets and what is below /proc have no birth time anywhere, and no
	// numbers reused within a session's life.
	if ((!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode)) || dev == session->proc_dev)
		return;
	if (atomic_exchange(&session->told_no_btime, true))
		return;
	control_text(session->control,
		     "a file system in use gives no birth times: a file removed outside this "
		     "session may hand its owner and mode on to a new one");
}
