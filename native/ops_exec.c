// SPDX-License-Identifier: Apache-2.0
//
// execve(2): the kernel's own affair; but the new program's loader must not be told
// to preload what it cannot. And seccomp(2), whose filters the shim must respect.
#include "exec_credentials.h"
#include "metadata.h"
#include "mounts.h"
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

// Whether a path is that of an emulator of another machine: qemu-aarch64, say.
static bool is_emulator(const char *path)
{
	static const char head[] = "qemu-";
	const char *name = strrchr(path, '/');
	return name && strncmp(name + 1, head, sizeof(head) - 1) == 0;
}

// fd: O_PATH. Returns 0 or -errno.
static int read_program(int fd, struct executable *executable_ret)
{
	char name[32], path[PATH_MAX];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	SCOPED_FD file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file < 0)
		return -errno;
	executable_read(file, executable_ret);
	ssize_t length = readlink(name, path, sizeof(path) - 1);
	path[length < 0 ? 0 : length] = '\0';
	if (executable_ret->kind != EXECUTABLE_SCRIPT && is_emulator(path))
		executable_ret->kind = EXECUTABLE_FOREIGN;
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

// Whether the file has a record, the set-id bits of which its mount may forbid.
static bool lacks_mount_facts(const struct request *request, const struct statx *real)
{
	struct mount_facts facts;
	return metadata_may_know(request->session,
				 rules_dev(real->stx_dev_major, real->stx_dev_minor),
				 real->stx_ino) &&
	       !mounts_known(request->session, real, &facts);
}

// The kind of a pinned program and its attributes; of a script, those of its interpreter.
// A script is not remembered: its interpreter may change without it.
static enum executable_kind kind_of(const struct request *request, int fd, int depth,
				    struct statx *real_ret)
{
	struct preload *preload = &request->session->preload;
	enum executable_kind kind;
	// Nobody may execute a file without an x bit. To read one may have effects (procfs).
	if (resolve_attributes(fd, real_ret) != 0 || !S_ISREG(real_ret->stx_mode) ||
	    !rules_root_executes(real_ret->stx_mode))
		return EXECUTABLE_UNKNOWN;
	struct mount_facts facts;
	if (lacks_mount_facts(request, real_ret))
		mounts_learn(request->session, real_ret, fd, &facts);
	if (preload_recall(preload, real_ret, &kind))
		return kind;
	struct executable executable;
	int error = read_program(fd, &executable);
	// The kernel executes what it may not show, too, and closes its memory to us.
	if (error)
		return error == -EACCES ? EXECUTABLE_FOREIGN : EXECUTABLE_UNKNOWN;
	if (executable.kind != EXECUTABLE_SCRIPT) {
		if (!is_fresh(real_ret))
			preload_remember(preload, real_ret, executable.kind);
		return executable.kind;
	}
	if (depth == INTERPRETERS_MOST || *executable.interpreter == '\0')
		return EXECUTABLE_UNKNOWN;
	SCOPED_FD interpreter = open_for(request, executable.interpreter);
	return interpreter < 0 ? EXECUTABLE_UNKNOWN
			       : kind_of(request, interpreter, depth + 1, real_ret);
}

// The memory of a program whose file may not be read is closed to us (would_dump()). Root
// reads every file, so that of the user's own is opened.
static bool is_closed(const struct statx *real)
{
	return S_ISREG(real->stx_mode) && rules_root_executes(real->stx_mode) &&
	       !(real->stx_mode & S_IRUSR) && real->stx_uid == geteuid() && geteuid() != 0;
}

static int look_at_program(struct request *request, int flags, struct statx *real_ret)
{
	int error = resolve_statx(request, flags, RESOLVE_ATTRIBUTES, real_ret);
	if (error || !is_closed(real_ret) || resolve_heal(request) != 0)
		return error;
	return resolve_statx(request, flags, RESOLVE_ATTRIBUTES, real_ret);
}

static enum executable_kind kind_of_program(struct request *request, int flags,
					    struct statx *real_ret)
{
	enum executable_kind kind;
	if (look_at_program(request, flags, real_ret) != 0)
		return EXECUTABLE_UNKNOWN;
	if (preload_recall(&request->session->preload, real_ret, &kind) &&
	    !lacks_mount_facts(request, real_ret))
		return kind;
	SCOPED(subject_close) struct subject program = SUBJECT_NONE_YET;
	if (resolve_subject(request, flags, &program) != 0)
		return EXECUTABLE_UNKNOWN;
	return kind_of(request, program.fd, 0, real_ret);
}

// Whether the path of the shim leads to it for the target, too.
static bool sees_shim(const struct request *request)
{
	const struct preload *preload = &request->session->preload;
	struct stat st;
	if (!atomic_load(&request->session->page->views))
		return true;
	SCOPED_FD found = open_for(request, preload->form[PRELOAD_X86_64]);
	return found >= 0 && fstat(found, &st) == 0 && st.st_dev == preload->dev &&
	       st.st_ino == preload->ino;
}

// Which form of LD_PRELOAD the program can take; false for one that is none.
static bool choose_form(const struct request *request, enum executable_kind kind,
			enum preload_form *form_ret)
{
	const struct preload *preload = &request->session->preload;
	*form_ret = PRELOAD_NOTHING;
	if (kind == EXECUTABLE_UNKNOWN)
		return false;
	if (kind == EXECUTABLE_X86_64 || (kind == EXECUTABLE_I386 && preload->has_i386))
		*form_ret = kind == EXECUTABLE_X86_64 ? PRELOAD_X86_64 : PRELOAD_I386;
	if (*form_ret != PRELOAD_NOTHING && !sees_shim(request))
		*form_ret = PRELOAD_NOTHING;
	return true;
}

void op_exec(struct request *request, struct outcome *outcome)
{
	const struct preload *preload = &request->session->preload;
	enum preload_form form;
	struct statx real;
	outcome_continue(outcome);
	if (!request_flags_valid(request))
		return;
	if (!preload->length && !exec_may_change_credentials(request)) {
		look_at_program(request, request_flags(request), &real);
		return;
	}
	enum executable_kind kind = kind_of_program(request, request_flags(request), &real);
	int error = kind == EXECUTABLE_UNKNOWN ? 0 : exec_change_credentials(request, &real);
	if (error)
		outcome_result(outcome, error);
	else if (preload->length && choose_form(request, kind, &form))
		preload_change(request, request->args[request->row->environment], form);
}

void op_sandbox(struct request *request, struct outcome *outcome)
{
	atomic_fetch_add(&request->session->page->sandboxes, 1);
	outcome_continue(outcome);
}
