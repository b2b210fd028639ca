// SPDX-License-Identifier: Apache-2.0
//
// open(2) that creates. The kernel does it, unless there is something to be remembered
// of the new file: then it is made here, and the target is given a descriptor.
// A name that is there already is the kernel's.
#include "answer.h"
#include "control.h"
#include "creation.h"
#include "id_map.h"
#include "landlock.h"
#include "namespace.h"
#include "scope.h"
#include "target.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TEMPORARY (O_TMPFILE & ~O_DIRECTORY)
#define LINKS_MOST 40 // MAXSYMLINKS
// What the new descriptor need not be opened with.
#define DONE_FLAGS (O_CREAT | O_EXCL | O_NOFOLLOW | O_TRUNC | TEMPORARY | O_DIRECTORY)

// VALID_OPEN_FLAGS, <linux/fcntl.h>; openat2(2) refuses every other.
#define VALID_FLAGS UINT64_C(0x7fffc3)

struct opening {
	uint64_t flags;
	uint64_t mode;
	uint64_t resolve;
};

// Whether a later kernel's struct open_how asks for more than we know (E2BIG where the
// kernel does not know it either).
static bool asks_for_more(struct request *request, uint64_t address, uint64_t size)
{
	unsigned char more[4096];
	const size_t known = sizeof(struct open_how);
	if (size > sizeof(more) ||
	    target_read(request->tid, address + known, more, size - known) != 0)
		return true;
	for (size_t i = 0; i < size - known; i++)
		if (more[i])
			return true;
	return false;
}

static int read_opening(struct request *request, struct opening *opening_ret)
{
	const struct syscall_row *row = request->row;
	struct open_how how = {0};
	if (row->how < 0) {
		uint32_t flags = row->open_flags < 0 ? O_CREAT | O_WRONLY | O_TRUNC
						     : (uint32_t)request->args[row->open_flags];
		*opening_ret = (struct opening){
			.flags = flags, .mode = (uint32_t)request->args[row->mode] & 07777};
		return 0;
	}
	uint64_t size = request->args[row->size];
	if (size < sizeof(how))
		return -EINVAL;
	int error = target_read(request->tid, request->args[row->how], &how, sizeof(how));
	if (!error && size > sizeof(how) && asks_for_more(request, request->args[row->how], size))
		error = -E2BIG;
	*opening_ret = (struct opening){how.flags, how.mode, how.resolve};
	if (!error && (how.flags & ~VALID_FLAGS || how.mode & ~(uint64_t)07777))
		error = -EINVAL;
	return error;
}

static bool creates(const struct opening *opening)
{
	return opening->flags & (O_CREAT | TEMPORARY) && !(opening->flags & O_PATH);
}

// Opens the file once more, as the call has it. Returns a descriptor or -errno.
static int open_again(const struct request *request, int file,
		      const struct opening *opening)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
	int flags = ((int)opening->flags & ~DONE_FLAGS) | O_CLOEXEC | O_NOCTTY;
	return (int)ACT_3(request, openat, AT_FDCWD, name, flags);
}

// Gives the target the file; where that cannot be, there shall be none.
static void hand_over(struct request *request, struct outcome *outcome, int file,
		      const struct opening *opening, const struct entry *entry)
{
	SCOPED_FD fd = open_again(request, file, opening);
	int number = fd;
	if (fd >= 0)
		number = answer_install(request, fd, opening->flags & O_CLOEXEC);
	if (number < 0 && ACT_3(request, unlinkat, entry->dirfd, entry->name, 0) == 0)
		creation_forget(request->session, file);
	if (number < 0)
		outcome_result(outcome, number);
	else
		outcome_value(outcome, number);
}

// Pins a directory as openat2(2) with restrictions finds it: it is the kernel that keeps to
// them, from the target's own directory. What would mean another file in the
// supervisor is behind /proc/self, so on another mount or behind a magic link, and
// each of the restrictions forbids one of these; or it is below another root.
// Returns 0, or RESOLVE_LEAVE where the kernel finds none either.
static int open_restricted(struct request *request, const char *path, uint64_t resolve,
			   int *directory_ret)
{
	SCOPED(subject_close) struct subject base = SUBJECT_NONE_YET;
	bool absolute = *path == '/' && !(resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT));
	if (resolve & RESOLVE_CACHED || (absolute && atomic_load(&request->session->page->views)))
		return RESOLVE_LEAVE;
	if (!absolute && resolve_base(request, &base) != 0)
		return RESOLVE_LEAVE;
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = resolve,
	};
	int fd = (int)syscall(SYS_openat2, base.fd, path, &how, sizeof(how));
	*directory_ret = fd;
	return fd < 0 ? RESOLVE_LEAVE : 0;
}

static int read_path(struct request *request, char path_ret[static PATH_MAX])
{
	uint64_t address = request->args[request->row->path];
	return target_read_path(request->tid, address, path_ret) > 0 ? 0 : RESOLVE_LEAVE;
}

static int find_directory(struct request *request, const struct opening *opening,
			  struct subject *directory_ret)
{
	char path[PATH_MAX];
	if (!opening->resolve)
		return resolve_subject(request, 0, directory_ret);
	return read_path(request, path) == 0 ? open_restricted(request, path, opening->resolve,
							       &directory_ret->fd)
					     : RESOLVE_LEAVE;
}

static int find_entry(struct request *request, const struct opening *opening, struct entry *entry)
{
	char path[PATH_MAX];
	entry->dirfd = -1;
	if (!opening->resolve)
		return resolve_entry(request, request->row->dirfd, request->row->path, entry);
	if (read_path(request, path) != 0 || !resolve_split(path, entry->name))
		return RESOLVE_LEAVE;
	return open_restricted(request, *path ? path : ".", opening->resolve, &entry->dirfd);
}

static int make_temporary(struct request *request, struct outcome *outcome,
			  const struct opening *opening)
{
	SCOPED(subject_close) struct subject directory = SUBJECT_NONE_YET;
	struct creation creation;
	int error = find_directory(request, opening, &directory);
	if (error)
		return error;
	uint32_t mode = S_IFREG | ((uint32_t)opening->mode & 07777);
	error = creation_plan(request, directory.fd, mode, 0, &creation);
	if (error || !creation.fields)
		return error ? error : RESOLVE_LEAVE;
	int flags = ((int)opening->flags & ~(O_CREAT | O_NOFOLLOW)) | O_CLOEXEC;
	SCOPED_FD made =
		(int)ACT_4(request, openat, directory.fd, ".", flags, creation.real_mode);
	if (made < 0)
		return made;
	error = creation_remember(request->session, made, &creation);
	if (error)
		return error;
	int number = answer_install(request, made, opening->flags & O_CLOEXEC);
	if (number < 0)
		return number;
	outcome_value(outcome, number);
	return 0;
}

// Follows a symbolic link in place of the entry. Returns 0, or -errno or RESOLVE_LEAVE
// where it does not lead to a name that can be made.
static int follow_link(struct request *request, struct entry *entry)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(entry->dirfd, entry->name, target, sizeof(target) - 1);
	if (length <= 0)
		return RESOLVE_LEAVE;
	target[length] = '\0';
	char *slash = strrchr(target, '/');
	const char *name = slash ? slash + 1 : target;
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return RESOLVE_LEAVE;
	memcpy(entry->name, name, strlen(name) + 1);
	if (!slash)
		return 0;
	memcpy(slash + 1, ".", 2);
	int directory = walk_open(&(struct walk){
		.tid = request->tid,
		.start = entry->dirfd,
		.path = target,
		.follow = true,
		.confined = namespace_is_foreign(request),
	});
	if (directory < 0)
		return directory;
	close(entry->dirfd);
	entry->dirfd = directory;
	return notification_valid(request) ? 0 : RESOLVE_LEAVE;
}

// Finds the name under which the call would make a file; RESOLVE_LEAVE if it is there.
static int find_new_name(struct request *request, const struct opening *opening,
			 struct entry *entry)
{
	int error = find_entry(request, opening, entry);
	for (int links = 0; !error && links <= LINKS_MOST; links++) {
		struct stat st;
		size_t length = strlen(entry->name);
		if (entry->name[length - 1] == '/')
			return RESOLVE_LEAVE;
		if (fstatat(entry->dirfd, entry->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : RESOLVE_LEAVE;
		if (!S_ISLNK(st.st_mode) || opening->flags & (O_EXCL | O_NOFOLLOW) ||
		    opening->resolve || walk_may_follow(entry->dirfd, &st, true) != 0)
			return RESOLVE_LEAVE;
		error = follow_link(request, entry);
	}
	return error ? error : RESOLVE_LEAVE;
}

// Where the file system has no O_TMPFILE, or the target may not have written to such a file.
static int create_plainly(const struct request *request, const struct entry *entry,
			  const struct creation *creation, const struct opening *opening)
{
	int flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | ((int)opening->flags & O_ACCMODE);
	SCOPED_FD made = (int)ACT_4(request, openat, entry->dirfd, entry->name, flags,
				    creation->real_mode);
	if (made < 0)
		return made;
	int error = creation_remember(request->session, made, creation);
	return error ? error : fd_release(&made);
}

static int make_file(struct request *request, struct outcome *outcome,
		     const struct opening *opening)
{
	SCOPED(entry_close) struct entry entry = {.dirfd = -1};
	struct creation creation;
	uint32_t mode = S_IFREG | ((uint32_t)opening->mode & 07777);
	// A directory is not made.
	if (opening->flags & O_DIRECTORY)
		return RESOLVE_LEAVE;
	if (find_new_name(request, opening, &entry) != 0)
		return RESOLVE_LEAVE;
	if (creation_is_ordinary(request, mode, entry.dirfd))
		return RESOLVE_LEAVE;
	int error = creation_plan(request, entry.dirfd, mode, 0, &creation);
	if (error || !creation.fields)
		return RESOLVE_LEAVE;
	SCOPED_FD made = creation_link_file(request, &entry, &creation);
	if (made == -EOPNOTSUPP || made == -EISDIR || made == -EINVAL || made == -ENOENT ||
	    made == -EACCES)
		made = create_plainly(request, &entry, &creation, opening);
	if (made == -EEXIST)
		return opening->flags & O_EXCL ? -EEXIST : RESOLVE_LEAVE;
	if (made < 0)
		return made;
	hand_over(request, outcome, made, opening, &entry);
	return 0;
}

static bool may_write(const struct opening *opening)
{
	return (opening->flags & O_ACCMODE) != O_RDONLY &&
	       !(opening->flags & (O_PATH | O_EXCL | TEMPORARY));
}

static void follow_to_map(struct request *request)
{
	if (id_map_is_opened(request) && request->session->source->follow(request) != 0)
		control_tell_no_map(request->session, request->tid);
}

void op_open(struct request *request, struct outcome *outcome)
{
	struct opening opening;
	outcome_continue(outcome);
	if (read_opening(request, &opening) != 0)
		return;
	// For new files, which are many, only once somebody has made a namespace that was seen.
	if (may_write(&opening) &&
	    (!creates(&opening) || atomic_load(&request->session->namespaces)))
		follow_to_map(request);
	if (!creates(&opening) ||
	    creation_is_ordinary(request, S_IFREG | (uint32_t)opening.mode, -1))
		return;
	int result = opening.flags & TEMPORARY ? make_temporary(request, outcome, &opening)
					       : make_file(request, outcome, &opening);
	if (result < 0)
		outcome_result(outcome, result);
}
