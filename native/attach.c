// SPDX-License-Identifier: Apache-2.0
#include "attach.h"

#include "answer.h"
#include "credentials.h"
#include "metadata.h"
#include "places.h"
#include "proc_text.h"
#include "request.h"
#include "resolve.h"
#include "scope.h"
#include "target.h"
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#define THREADS_MOST 256 // whose filters are counted

bool attach_by_getgroups(struct request *request, struct outcome *outcome)
{
	uint64_t address = request->args[request->row->list];
	uint64_t bytes;

	switch ((int)request->args[request->row->size]) {
	case ATTACH_QUERY:
		outcome_value(outcome, ATTACH_VERSION);
		return true;
	case ATTACH_EVERY_CALL:
		atomic_store(&request->session->every_call, true);
		outcome_value(outcome, 0);
		return true;
	case ATTACH_MEMORY: {
		int error = target_read(request->tid, address, &bytes, sizeof(bytes));
		bytes = ~bytes;
		if (!error)
			error = target_write(request->tid, address, &bytes, sizeof(bytes));
		outcome_result(outcome, error);
		return true;
	}
	default:
		return false;
	}
}

// Filters that a thread runs under (Linux 5.9), or -1.
static int count_filters(int directory, const char *thread)
{
	char name[NAME_MAX + sizeof("/status")];
	int count = -1;
	snprintf(name, sizeof(name), "%s/status", thread);
	proc_text_read(directory, name, (struct proc_field[]){{"Seccomp_filters: %d", &count}, {0}});
	return count;
}

// Filters are added, never removed, and each thread has its own. Those that all
// targets have are the supervisor's and ours.
bool attach_is_sandboxed(const struct request *request)
{
	char name[32];
	int own = count_filters(AT_FDCWD, "/proc/self") - thread_filters();
	snprintf(name, sizeof(name), "/proc/%d/task", request->tid);
	DIR *threads = own < 0 ? NULL : opendir(name);
	if (!threads)
		return true;
	bool sandboxed = false;
	int seen = 0;
	struct dirent *thread;
	while (!sandboxed && (thread = readdir(threads)))
		if (*thread->d_name != '.')
			sandboxed = count_filters(dirfd(threads), thread->d_name) !=
					    own + request->session->filters ||
				    ++seen > THREADS_MOST;
	closedir(threads);
	return sandboxed;
}

static void install(struct outcome *outcome, int fd)
{
	outcome_result(outcome, fd < 0 ? -EBADF : 0);
	if (fd < 0)
		return;
	outcome->kind = OUTCOME_INSTALL_FD;
	outcome->value = fd;
}

// Files that have been cut off crash whoever maps them.
static bool is_whole(const struct session *session)
{
	return atomic_load(&session->page->magic) == SESSION_PAGE_MAGIC &&
	       !atomic_load(&session->lost);
}

// Room for what it may publish is made first. Returns the descriptor for it, or -errno.
static int join_writers(struct request *request)
{
	struct session *session = request->session;
	// Who is not root any more may read what others have changed.
	if (atomic_load(&session->page->left_root) && credentials_of(request)->fsuid != 0)
		return session->writable_reader;
	if (session->places)
		places_note(session->places, request);
	SCOPED_LOCK held = session_lock(session, &session->locks.table_writer);
	int error = session_fill_writable(session);
	if (error)
		return error;
	atomic_store(&session->page->pending_used, 1);
	session_make_room(session);
	return session->writable_memory;
}

bool attach_by_stat(struct request *request, struct outcome *outcome)
{
	const struct syscall_row *row = request->row;
	int position = row->fd >= 0 ? row->fd : row->dirfd;
	if (position < 0 ||
	    (row->path >= 0 && request->args[row->path] != request->args[row->buffer]))
		return false;
	switch ((int)request->args[position]) {
	case ATTACH_TABLE:
		install(outcome, is_whole(request->session) ? request->session->memory_reader : -1);
		return true;
	case ATTACH_WRITABLE:
		install(outcome, is_whole(request->session) ? join_writers(request) : -1);
		return true;
	default:
		return false;
	}
}

static int retire(struct request *request)
{
	struct statx real;
	int error = resolve_statx(request, AT_EMPTY_PATH, RESOLVE_ATTRIBUTES, &real);
	if (!error && real.stx_nlink == 0 && notification_valid(request))
		metadata_retire(request->session, &real);
	return error == RESOLVE_LEAVE ? -EINVAL : error;
}

bool attach_by_flags(struct request *request, struct outcome *outcome)
{
	if (request->row->flags < 0)
		return false;
	switch ((int)request->args[request->row->flags]) {
	case ATTACH_HEAL:
		outcome_result(outcome, resolve_heal(request));
		return true;
	case ATTACH_RETIRE:
		outcome_result(outcome, retire(request));
		return true;
	default:
		return false;
	}
}

bool attach_by_any(struct request *request, struct outcome *outcome)
{
	if (request->args[5] == (uint64_t)ATTACH_TRIAL && atomic_load(&request->session->on_trial)) {
		outcome_value(outcome, ATTACH_VERSION);
		return true;
	}
	uint64_t question = (uint64_t)ATTACH_SANDBOXED;
	if (request->narrow)
		question = (uint32_t)question;
	if (request->args[0] != question || request->args[1] != question)
		return false;
	outcome_value(outcome, attach_is_sandboxed(request));
	return true;
}
