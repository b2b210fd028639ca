// SPDX-License-Identifier: Apache-2.0
//
// A decoded notification: which call, by whom, with which registers.
#ifndef FSC_REQUEST_H
#define FSC_REQUEST_H

#include "outcome.h"
#include "session.h"
#include "syscall_rows.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct stopped_call;

struct request {
	struct session *session;
	const struct syscall_row *row;
	uint64_t id; // of the notification
	pid_t tid;
	bool narrow;       // its pointers in memory have 32 bits: i386 or x32
	uint64_t received; // the time stamp counter at its receipt
	uint64_t args[6];
	struct stopped_call *stopped; // where the target stands, under ptrace
};

// A register by its position in the row; 0 for an argument the call has not.
static inline uint64_t request_arg(const struct request *request, int position)
{
	return position < 0 ? 0 : request->args[position];
}

// The AT_* flags in force: the call's own, or those it stands for.
static inline int request_flags(const struct request *request)
{
	return (int)((uint32_t)request_arg(request, request->row->flags) |
		     request->row->implied_flags);
}

#define REQUEST_LEAVE_ID UINT32_MAX

// An id argument; -1, in whichever width, is REQUEST_LEAVE_ID, as is one that the
// call has not. low2highuid(), <linux/highuid.h>
static inline uint32_t request_id(const struct request *request, int position)
{
	if (position < 0)
		return REQUEST_LEAVE_ID;
	uint32_t id = (uint32_t)request->args[position];
	if (request->row->variant != VARIANT_IDS16)
		return id;
	return (uint16_t)id == 0xffff ? REQUEST_LEAVE_ID : (uint16_t)id;
}

// Whether the flags argument carries only what the call accepts.
static inline bool request_flags_valid(const struct request *request)
{
	return request->row->flags < 0 ||
	       !((uint32_t)request->args[request->row->flags] & ~request->row->accepted_flags);
}

// One handler per native operation (ops_*.c).
#define X(name, NAME) void op_##name(struct request *request, struct outcome *outcome);
NATIVE_OPERATIONS(X)
#undef X

// Whether handling it may take as long as somebody else likes: a network file system, a
// target that serves the file, Python.
bool request_might_block(const struct request *request);

// Finds the row's handler and runs it.
void dispatch(struct request *request, struct outcome *outcome);

// The row of a number in an architecture (seccomp_data), or NULL.
const struct syscall_row *dispatch_row(uint32_t arch, int nr, bool kernel_has_x32);

#endif
