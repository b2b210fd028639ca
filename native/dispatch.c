// SPDX-License-Identifier: Apache-2.0
//
// From a call's number to its row, from the row to its handler.
#define FSC_SYSCALL_TABLES
#include "request.h"

#include "attach.h"
#include "kernel.h"
#include "metadata.h"
#include "namespace.h"
#include "places.h"
#include "scope.h"

static const struct syscall_row *row_at(const uint8_t *index, size_t size, uint32_t nr)
{
	return nr < size && index[nr] ? &syscall_rows[index[nr] - 1] : NULL;
}

const struct syscall_row *dispatch_row(uint32_t arch, int nr, bool kernel_has_x32)
{
	uint32_t number = (uint32_t)nr;
	if (arch == FSC_ARCH_I386)
		return row_at(syscall_index_i386, sizeof(syscall_index_i386), number);
	if (arch != FSC_ARCH_X86_64)
		return NULL;
	// A kernel without x32 answers its numbers with ENOSYS, and so shall we.
	if (number & FSC_X32_SYSCALL_BIT) {
		if (!kernel_has_x32)
			return NULL;
		number &= ~(uint32_t)FSC_X32_SYSCALL_BIT;
	}
	return row_at(syscall_index_x86_64, sizeof(syscall_index_x86_64), number);
}

static bool is_id(int operation)
{
	return operation == OP_GETUID || operation == OP_GETEUID || operation == OP_GETGID ||
	       operation == OP_GETEGID;
}

// What touches no file waits for the target's memory at most, which a file server
// may be behind. Nor does looking at a local file wait: a disk may have to be read,
// but that comes to an end by itself. Removing a large file may take long; the
// supervisor does so only where records are at stake.
bool request_might_block(const struct request *request)
{
	struct session *session = request->session;
	if (!request->row || is_id(request->row->operation))
		return false;
	if (request->row->operation == OP_PYTHON || !atomic_load(&session->local) ||
	    atomic_load(&session->page->views))
		return true;
	return request->row->subject == SUBJECT_ENTRY && inode_table_count(&session->table) > 0;
}

void dispatch(struct request *request, struct outcome *outcome)
{
	static void (*const handlers[])(struct request *, struct outcome *) = {
#define X(name, NAME) [OP_##NAME] = op_##name,
		NATIVE_OPERATIONS(X)
#undef X
	};
	if (!request->row) {
		outcome_continue(outcome);
		return;
	}
	struct session *session = request->session;
	SCOPED(namespace_rights_restore) struct namespace_rights rights =
		namespace_rights_take(request);
	metadata_settle(session);
	uint32_t changes = atomic_load(&session->changes);
	if (attach_by_any(request, outcome))
		return;
	else if (request->row->operation == OP_PYTHON)
		session->python(request, outcome);
	else
		handlers[request->row->operation](request, outcome);
	if (session->places && changes != atomic_load(&session->changes))
		places_note(session->places, request);
}
