// SPDX-License-Identifier: Apache-2.0
//
// A path is resolved in the supervisor, which has the same user and, until a
// target changes it, the same root and mounts as its targets. What differs goes
// through the target's own /proc entries: its working directory (/proc/TID/cwd)
// and its descriptors (/proc/TID/fd/N), whose magic links lead to the very file,
// deleted or nameless as it may be.
//
// /proc/self is the trap in this: in the supervisor it means the supervisor. A
// path that leads through it, by its text or by a symbolic link (/dev/stdin,
// /etc/mtab), is walked component by component instead (walk.c). It is found by
// its first characters, by a result that lies on /proc or has no name (a pipe, a
// socket), or by not being there.
#include "resolve.h"

#include "answer.h"
#include "control.h"
#include "credentials.h"
#include "heal.h"
#include "kernel.h"
#include "namespace.h"
#include "proc_text.h"
#include "scope.h"
#include "target.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#define PREFIX_ROOM 48 // "/proc/2147483647/fd/2147483647/" and a NUL

// A name of the target's, made usable in the supervisor.
struct place {
	int dirfd; // base for path: AT_FDCWD, or owned
	int flags; // AT_* flags to use with path
	int base;  // the target's descriptor that path starts from, or AT_FDCWD
	bool relative;
	const char *path; // for the supervisor, in text
	char *raw;        // as the target gave it, in text
	size_t length;    // of raw
	char text[PREFIX_ROOM + PATH_MAX];
};

// Leaves the text alone: clearing 4 KiB would cost more than the rest of it.
static void place_init(struct place *place, int flags, int base)
{
	place->dirfd = -1;
	place->flags = flags;
	place->base = base;
	place->relative = false;
	place->raw = place->text + PREFIX_ROOM;
	place->path = place->raw;
	place->length = 0;
}

static void place_close(struct place *place)
{
	if (place->dirfd >= 0)
		close(place->dirfd);
}

static int leave_unreadable(const struct request *request)
{
	control_tell_unreadable(request->session, request->tid);
	return RESOLVE_LEAVE;
}

// Any detour on the way there is worth a walk, not a parser.
static bool has_detour(const char *path)
{
	for (; *path; path++)
		if (path[0] == '/' && (path[1] == '/' || path[1] == '.'))
			return true;
	return false;
}

static bool names_own_process(const char *path)
{
	static const char *const prefixes[] = {
		"/proc/self", "/proc/thread-self", "/proc/mounts", "/proc/net", "/dev/fd", "/dev/std",
	};
	if (has_detour(path))
		return strstr(path, "proc/") || strstr(path, "dev/");
	if (path[1] != 'p' && path[1] != 'd')
		return false;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (strncmp(path, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

// Names of other processes under /proc mean the same in the supervisor.
static bool names_process_by_number(const char *path)
{
	return strncmp(path, "/proc/", 6) == 0 && path[6] >= '0' && path[6] <= '9';
}

static bool result_is_own_process(const struct place *place, const struct session *session,
				  const struct statx *real)
{
	dev_t dev = makedev(real->stx_dev_major, real->stx_dev_minor);
	if (dev == session->own_dev && real->stx_ino == session->own_ino)
		return true;
	if (dev == session->proc_dev)
		return place->relative || !names_process_by_number(place->raw);
	for (int i = 0; i < SESSION_NAMELESS; i++)
		if (dev == session->nameless_devs[i] && dev != 0)
			return true;
	return false;
}

// Writes a prefix so that it ends where raw begins.
static void place_prefix(struct place *place, const char *prefix, int length)
{
	char *start = place->raw - length;
	memcpy(start, prefix, (size_t)length);
	place->path = start;
}

static int place_walked(struct request *request, struct place *place)
{
	struct walk walk = {
		.tid = request->tid,
		.base = place->base,
		.start = -1,
		.path = place->raw,
		.follow = !(place->flags & AT_SYMLINK_NOFOLLOW),
		.confined = namespace_is_foreign(request),
	};
	int fd = walk_open(&walk);
	if (fd < 0)
		return fd;
	place_close(place);
	place->dirfd = fd;
	place->path = "";
	place->flags = (place->flags & ~AT_SYMLINK_NOFOLLOW) | AT_EMPTY_PATH;
	return 0;
}

// The supervisor's name for the target's base directory, or another descriptor.
// Returns its length, or -EBADF.
static int base_name(const struct request *request, int base, char name_ret[static PREFIX_ROOM])
{
	if (base < 0 && base != AT_FDCWD)
		return -EBADF;
	return base == AT_FDCWD
		       ? snprintf(name_ret, PREFIX_ROOM, "/proc/%d/cwd", request->tid)
		       : snprintf(name_ret, PREFIX_ROOM, "/proc/%d/fd/%d", request->tid, base);
}

static int place_descriptor(const struct request *request, struct place *place)
{
	char name[PREFIX_ROOM];
	int length = base_name(request, place->base, name);
	if (length < 0)
		return length;
	*place->raw = '\0';
	place_prefix(place, name, length);
	// The magic link is the descriptor: to not follow it would show the link.
	place->flags &= ~AT_SYMLINK_NOFOLLOW;
	return 0;
}

// A failed look-up behind /proc/TID: was it the target's link itself?
static int base_error(const struct request *request, const struct place *place, int error)
{
	if (place->length > 0 && !place->relative)
		return error;
	char name[PREFIX_ROOM];
	char link[1];
	base_name(request, place->base, name);
	if (readlink(name, link, sizeof(link)) >= 0)
		return error;
	if (errno == EACCES || errno == EPERM)
		return leave_unreadable(request);
	return place->base == AT_FDCWD ? error : -EBADF;
}

// Relative paths start behind the target's own link to their base directory.
static int place_relative(const struct request *request, struct place *place)
{
	char prefix[PREFIX_ROOM + 1];
	int length = base_name(request, place->base, prefix);
	if (length < 0)
		return length;
	prefix[length++] = '/';
	prefix[length] = '\0';
	if ((size_t)length + place->length < PATH_MAX) {
		place_prefix(place, prefix, length);
		return 0;
	}
	place->dirfd = open(prefix, O_PATH | O_CLOEXEC | O_DIRECTORY);
	if (place->dirfd < 0)
		return base_error(request, place, -errno);
	place->path = place->raw;
	return 0;
}

// Finds the supervisor's name for the path that has been read.
static int place_locate(struct request *request, struct place *place)
{
	if (place->length == 0)
		return place_descriptor(request, place);
	place->relative = *place->raw != '/';
	if (atomic_load(&request->session->page->views) ||
	    (!place->relative && names_own_process(place->raw)) || namespace_is_foreign(request))
		return place_walked(request, place);
	if (place->relative)
		return place_relative(request, place);
	place->path = place->raw;
	return 0;
}

// Reads the path and finds its name for the supervisor; errors in the order of
// getname_flags() and path_init().
static int place_path(struct request *request, int dirfd, int path, struct place *place)
{
	uint64_t address = request_arg(request, path);
	int flags = place->flags;
	place->base = dirfd < 0 ? AT_FDCWD : (int)request->args[dirfd];

	ssize_t length = 0;
	if (address == 0 && (flags & AT_EMPTY_PATH) && request->row->operation == OP_STAT &&
	    request->session->null_path_is_empty)
		*place->raw = '\0';
	else
		length = target_read_path(request->tid, address, place->raw);
	if (length == -EPERM)
		return leave_unreadable(request);
	if (length < 0)
		return (int)length;
	place->length = (size_t)length;
	if (length == 0 && !(flags & AT_EMPTY_PATH))
		return -ENOENT;
	return place_locate(request, place);
}

static int place_of_request(struct request *request, struct place *place)
{
	const struct syscall_row *row = request->row;
	if (row->subject != SUBJECT_DESCRIPTOR)
		return place_path(request, row->dirfd, row->path, place);
	place->base = (int)request->args[row->fd];
	if (place->base < 0) // AT_FDCWD included
		return -EBADF;
	return place_descriptor(request, place);
}

static int place_dirfd(const struct place *place)
{
	return place->dirfd >= 0 ? place->dirfd : AT_FDCWD;
}

static int walk_statx(struct request *request, struct place *place, unsigned mask,
		      struct statx *real_ret)
{
	int error = place_walked(request, place);
	if (!error && statx(place->dirfd, "", place->flags, mask, real_ret) < 0)
		error = -errno;
	return error;
}

// Whether a path that failed here may still lead somewhere for the target: through
// /proc/self behind a symbolic link. Such a path leaves the mount that it starts on,
// or meets a magic link. And the magic link in front of a relative path counts as
// one of the 40 that a path may have.
static bool may_lead_elsewhere(const struct request *request, const struct place *place, int error)
{
	if (place->dirfd >= 0 || place->length == 0 ||
	    (error != ENOENT && error != ENOTDIR && error != EACCES && error != ELOOP))
		return false;
	if (error == ELOOP)
		return place->relative;
	char name[PREFIX_ROOM];
	SCOPED_FD base = -1;
	if (place->relative) {
		base_name(request, place->base, name);
		base = open(name, O_PATH | O_CLOEXEC);
		if (base < 0)
			return false;
	}
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS,
	};
	if (place->flags & AT_SYMLINK_NOFOLLOW)
		how.flags |= O_NOFOLLOW;
	SCOPED_FD found = (int)syscall(SYS_openat2, place->relative ? base : AT_FDCWD, place->raw,
				       &how, sizeof(how));
	return found >= 0 || (errno != ENOENT && errno != ENOTDIR && errno != EACCES);
}

static int failed_statx(struct request *request, struct place *place, unsigned mask,
			struct statx *real_ret, int error)
{
	if (!may_lead_elsewhere(request, place, -error))
		return error;
	// Parts of /proc depend on who looks (/proc/sys/net): what a walk does not find may
	// still be there.
	error = walk_statx(request, place, mask, real_ret);
	return error == -ENOENT ? RESOLVE_LEAVE : error;
}

// An absolute path that the target could have looked up no better. What /proc/TID
// stands in for may be hidden from us.
static bool is_certain(const struct place *place)
{
	return place->length > 0 && !place->relative && place->dirfd < 0;
}

// Whether paths mean the same file to the target and the supervisor.
static bool has_own_view(const struct request *request)
{
	if (!atomic_load(&request->session->page->views))
		return true;
	return proc_text_same_link(request->tid, "root") &&
	       proc_text_same_link(request->tid, "ns/mnt");
}

static bool heal(struct request *request, const struct place *place)
{
	return has_own_view(request) && !namespace_is_foreign(request) &&
	       credentials_capable(credentials_of(request), CAP_DAC_OVERRIDE) &&
	       notification_valid(request) &&
	       heal_path(request->session, place_dirfd(place), place->path);
}

int resolve_statx(struct request *request, int flags, unsigned mask, struct statx *real_ret)
{
	SCOPED(place_close) struct place place;
	place_init(&place, flags, AT_FDCWD);
	int error = place_of_request(request, &place);
	if (error)
		return error == -ENOENT ? RESOLVE_LEAVE : error;
	int result = statx(place_dirfd(&place), place.path, place.flags, mask, real_ret);
	if (result < 0 && errno == EACCES && heal(request, &place))
		result = statx(place_dirfd(&place), place.path, place.flags, mask, real_ret);
	if (result < 0) {
		error = failed_statx(request, &place, mask, real_ret, -errno);
		return error == -ENOENT && !is_certain(&place) ? RESOLVE_LEAVE : error;
	}
	if (place.dirfd < 0 && place.length > 0 &&
	    result_is_own_process(&place, request->session, real_ret)) {
		int walked = walk_statx(request, &place, mask, real_ret);
		return walked == -ENOENT ? RESOLVE_LEAVE : walked;
	}
	return 0;
}

int resolve_heal(struct request *request)
{
	SCOPED(place_close) struct place place;
	place_init(&place, 0, AT_FDCWD);
	int error = place_of_request(request, &place);
	return !error && heal(request, &place) ? 0 : -EACCES;
}

int resolve_attributes(int fd, struct statx *real_ret)
{
	if (statx(fd, "", AT_EMPTY_PATH, RESOLVE_ATTRIBUTES, real_ret) < 0)
		return -errno;
	return 0;
}

// Takes the descriptor that a walk has ended with.
static int take_walked(struct place *place, struct subject *subject_ret)
{
	subject_close(subject_ret);
	subject_ret->fd = fd_release(&place->dirfd);
	return resolve_attributes(subject_ret->fd, &subject_ret->real);
}

// Opens what the place names with O_PATH and reads its attributes.
static int place_open(struct request *request, struct place *place, struct subject *subject_ret)
{
	if (place->dirfd >= 0 && *place->path == '\0')
		return take_walked(place, subject_ret);
	int nofollow = place->flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0;
	int flags = O_PATH | O_CLOEXEC | nofollow;
	subject_ret->fd = openat(place_dirfd(place), place->path, flags);
	if (subject_ret->fd < 0 && errno == EACCES && heal(request, place))
		subject_ret->fd = openat(place_dirfd(place), place->path, flags);
	int error = subject_ret->fd < 0 ? -errno
					: resolve_attributes(subject_ret->fd, &subject_ret->real);
	if (place->dirfd >= 0 || place->length == 0)
		return error ? base_error(request, place, error) : 0;
	if (!error && !result_is_own_process(place, request->session, &subject_ret->real))
		return 0;
	// What is not there may be there for the target, behind a symbolic link to
	// /proc/self. Where it is not either, the kernel's own errno stands.
	int walked = place_walked(request, place);
	if (walked)
		return error ? base_error(request, place, error) : walked;
	return take_walked(place, subject_ret);
}

int resolve_subject(struct request *request, int flags, struct subject *subject_ret)
{
	SCOPED(place_close) struct place place;
	place_init(&place, flags, AT_FDCWD);
	subject_ret->fd = -1;
	int error = place_of_request(request, &place);
	if (error)
		return error;
	error = place_open(request, &place, subject_ret);
	if (error)
		return error;
	// The target may have died since, and its task id be another's now.
	return notification_valid(request) ? 0 : RESOLVE_LEAVE;
}

static int pin_base(struct request *request, int base, struct subject *subject_ret)
{
	SCOPED(place_close) struct place place;
	place_init(&place, AT_EMPTY_PATH, base);
	subject_ret->fd = -1;
	int error = place_descriptor(request, &place);
	if (!error)
		error = place_open(request, &place, subject_ret);
	if (error)
		return error;
	return notification_valid(request) ? 0 : RESOLVE_LEAVE;
}

int resolve_descriptor(struct request *request, struct subject *subject_ret)
{
	int base = (int)request->args[request->row->dirfd];
	return base < 0 ? -EBADF : pin_base(request, base, subject_ret);
}

int resolve_base(struct request *request, struct subject *subject_ret)
{
	int dirfd = request->row->dirfd;
	return pin_base(request, dirfd < 0 ? AT_FDCWD : (int)request->args[dirfd], subject_ret);
}

// Cuts the path behind its directory. Returns the last component, trailing
// slashes included, or NULL where there is none.
static const char *split_last(char *raw, size_t length, char name_ret[static PATH_MAX])
{
	size_t end = length;
	while (end > 0 && raw[end - 1] == '/')
		end--;
	size_t start = end;
	while (start > 0 && raw[start - 1] != '/')
		start--;
	if (start == end)
		return NULL;
	if (raw[start] == '.' &&
	    (end - start == 1 || (end - start == 2 && raw[start + 1] == '.')))
		return NULL;
	memcpy(name_ret, raw + start, length - start + 1);
	raw[start] = '\0';
	return name_ret;
}

bool resolve_split(char raw[static PATH_MAX], char name_ret[static PATH_MAX])
{
	return split_last(raw, strlen(raw), name_ret);
}

int resolve_entry_text(struct request *request, int base, char *raw, struct entry *entry_ret)
{
	entry_ret->dirfd = -1;
	if (!split_last(raw, strlen(raw), entry_ret->name))
		return RESOLVE_LEAVE;

	SCOPED(place_close) struct place place;
	place_init(&place, 0, base);
	place.length = strlen(raw);
	memcpy(place.raw, raw, place.length + 1);
	// The directory is not the last component of the target's path: may_follow_link() protects
	// that one alone.
	if (place.length > 0 && place.length + 2 < PATH_MAX) {
		memcpy(place.raw + place.length, ".", 2);
		place.length++;
	}
	int error = place_locate(request, &place);
	if (error)
		return error;

	SCOPED(subject_close) struct subject directory = SUBJECT_NONE_YET;
	error = place_open(request, &place, &directory);
	if (error)
		return error;
	if (!S_ISDIR(directory.real.stx_mode))
		return -ENOTDIR;
	entry_ret->dirfd = fd_release(&directory.fd);
	return notification_valid(request) ? 0 : RESOLVE_LEAVE;
}

int resolve_entry(struct request *request, int dirfd, int path, struct entry *entry_ret)
{
	char raw[PATH_MAX];
	entry_ret->dirfd = -1;
	ssize_t length = target_read_path(request->tid, request_arg(request, path), raw);
	if (length == -EPERM)
		return leave_unreadable(request);
	if (length < 0)
		return (int)length;
	if (length == 0)
		return -ENOENT;
	return resolve_entry_text(request, dirfd < 0 ? AT_FDCWD : (int)request->args[dirfd], raw,
				  entry_ret);
}

bool resolve_descriptor_is_path_only(const struct request *request)
{
	// O_PATH descriptors have neither FMODE_READ nor FMODE_WRITE, which
	// proc_fd_link shows as a link without any permission; so has access mode
	// 3 (ioctl only), which /proc/TID/fdinfo tells apart.
	int number = (int)request->args[request->row->fd];
	char name[PREFIX_ROOM];
	struct stat link;
	snprintf(name, sizeof(name), "/proc/%d/fd/%d", request->tid, number);
	if (lstat(name, &link) < 0 || (link.st_mode & 0777) != 0)
		return false;

	unsigned flags = 0;
	snprintf(name, sizeof(name), "/proc/%d/fdinfo/%d", request->tid, number);
	proc_text_read(AT_FDCWD, name, (struct proc_field[]){{"flags: %o", &flags}, {0}});
	return flags & O_PATH;
}
