// SPDX-License-Identifier: Apache-2.0
//
// Messages between the supervisor and the process that the user started (front.c),
// one SOCK_SEQPACKET packet each.
#ifndef FSC_CONTROL_H
#define FSC_CONTROL_H

#include "session.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

enum control_kind {
	CONTROL_TEXT,    // supervisor: a line for standard error, in text
	CONTROL_STARTED, // supervisor: COMMAND runs as process value
	CONTROL_STOPPED, // supervisor: signal value stopped COMMAND, for the serial-th time
	CONTROL_EXITED,  // supervisor: COMMAND, or the doctor (cli.py), ended with status value
	CONTROL_KILLED,  // supervisor: signal value ended COMMAND
	CONTROL_SIGNAL,  // front: send signal value to COMMAND
	CONTROL_RESUME,  // front: it was continued after stop serial, and COMMAND is to be
};

struct control_message {
	uint32_t kind;
	int32_t value;
	uint32_t serial; // of a stop
	char text[500];
};

#define CONTROL_HEAD 12 // bytes of a message without text
#define CONTROL_TROUBLE 125 // exit status where fakeroot-sc itself failed, as of env(1)

// Puts a message on the socket. A sandbox that refuses sending may still let write(2) pass,
// which raises SIGPIPE where the other end has gone: that is blocked here and there.
static inline bool control_put(int control, const struct control_message *message, size_t size)
{
	if (send(control, message, size, MSG_NOSIGNAL) >= 0)
		return true;
	bool refused = errno == EPERM || errno == EACCES || errno == ENOSYS;
	return refused && write(control, message, size) >= 0;
}

// Sends a message; a front process that has ended is no error.
void control_send(int control, enum control_kind kind, int value);
void control_send_stop(int control, int signal, uint32_t serial);
void control_text(int control, const char *text);

// Warnings that are given once in a session.
void control_tell_unreadable(struct session *session, pid_t tid);
void control_tell_no_tracing(struct session *session, pid_t tid);
void control_tell_no_map(struct session *session, pid_t tid);
void control_tell_no_btime(struct session *session, uint64_t dev, unsigned mode);

#endif
