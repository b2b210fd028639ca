// SPDX-License-Identifier: Apache-2.0
//
// execve(2): the kernel's own affair; but the new program's loader must not be told
// to preload what it cannot. And seccomp(2), whose filters the shim must respect.
#include "metadata.h"
#include "preload.h"
#include "request.h"
#include "resolve.h"
#include "rules.h"
#include "scope.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define INTERPRETERS_MOST 5 // a script's interpreter may be a script (exec_binprm(), fs/exec.c)

// Pins the file that a path means to the target.
static int open_for(const struct request *request, const char *path)
{
	struct walk walk = {
		.tid = request->tid, .base = AT_FDCWD, .path = path, .follow = true};
	return walk_open(&walk);
}

// fd: O_PATH. Returns 0 or -errno.
static int read_program(int fd, struct executable *executable_ret)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	SCOPED_FD file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file < 0)
		return -errno;
	executable_read(file, executable_ret);
	return 0;
}

// Whether the file may change once more without another ctime: that is as old as
// the clock's last tick, before Linux 6.13. A tick is 10 ms at the most.
static bool is_fresh(const struct statx *real)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	int64_t age = (now.tv_sec - real->stx_ctime.tv_sec) * 1000 +
		      (now.tv_nsec - (int64_t)real->stx_ctime.tv_nsec) / 1000000;
	return age <= 10;
}

// The kind of a pinned program; of a script, that of its interpreter. A script is not
// remembered: its interpreter may change without it.
static enum executable_kind kind_of(const struct request *request, int fd, int depth)
{
	struct preload *preload = &request->session->preload;
	enum executable_kind kind;
	struct statx real;
	// Nobody may execute a file without an x bit. To read one may have effects (procfs).
	if (resolve_attributes(fd, &real) != 0 || !S_ISREG(real.stx_mode) ||
	    !rules_root_executes(real.stx_mode))
		return EXECUTABLE_UNKNOWN;
	if (preload_recall(preload, &real, &kind))
		return kind;
	struct executable executable;
	int error = read_program(fd, &executable);
	// The kernel executes what it may not show, too, and closes its memory to us.
	if (error)
		return error == -EACCES ? EXECUTABLE_FOREIGN : EXECUTABLE_UNKNOWN;
	if (executable.kind != EXECUTABLE_SCRIPT) {
		if (!is_fresh(&real))
			preload_remember(preload, &real, executable.kind);
		return executable.kind;
	}
	if (depth == INTERPRETERS_MOST || *executable.interpreter == '\0')
		return EXECUTABLE_UNKNOWN;
	SCOPED_FD interpreter = open_for(request, executable.interpreter);
	return interpreter < 0 ? EXECUTABLE_UNKNOWN : kind_of(request, interpreter, depth + 1);
}

static enum executable_kind kind_of_program(struct request *request, int flags)
{
	enum executable_kind kind;
	struct statx real;
	if (resolve_statx(request, flags, RESOLVE_ATTRIBUTES, &real) != 0)
		return EXECUTABLE_UNKNOWN;
	if (preload_recall(&request->session->preload, &real, &kind))
		return kind;
	SCOPED(subject_close) struct subject program = SUBJECT_NONE_YET;
	if (resolve_subject(request, flags, &program) != 0)
		return EXECUTABLE_UNKNOWN;
	return kind_of(request, program.fd, 0);
}

// Whether the path of the shim leads to it for the target, too.
static bool sees_shim(const struct request *request)
{
	const struct preload *preload = &request->session->preload;
	struct stat st;
	if (!atomic_load(&request->session->views))
		return true;
	SCOPED_FD found = open_for(request, preload->form[PRELOAD_X86_64]);
	return found >= 0 && fstat(found, &st) == 0 && st.st_dev == preload->dev &&
	       st.st_ino == preload->ino;
}

// One who has become another user for real may not even search the directory.
static bool may_read_shim(const struct request *request)
{
	return request->session->preload.for_all || resolve_may_act(request);
}

void op_exec(struct request *request, struct outcome *outcome)
{
	struct preload *preload = &request->session->preload;
	const struct syscall_row *row = request->row;
	enum preload_form form = PRELOAD_NOTHING;
	outcome_continue(outcome);
	if (!preload->length || !request_flags_valid(request))
		return;
	enum executable_kind kind = kind_of_program(request, request_flags(request));
	if (kind == EXECUTABLE_UNKNOWN || kind == EXECUTABLE_STATIC)
		return;
	if (kind == EXECUTABLE_X86_64 || (kind == EXECUTABLE_I386 && preload->has_i386))
		form = kind == EXECUTABLE_X86_64 ? PRELOAD_X86_64 : PRELOAD_I386;
	if (form != PRELOAD_NOTHING && (!sees_shim(request) || !may_read_shim(request)))
		form = PRELOAD_NOTHING;
	if (form == PRELOAD_X86_64 && !atomic_load(&preload->changed))
		return;
	preload_change(request, request->args[row->environment], form);
}

void op_sandbox(struct request *request, struct outcome *outcome)
{
	atomic_fetch_add(&request->session->page->sandboxes, 1);
	outcome_continue(outcome);
}
