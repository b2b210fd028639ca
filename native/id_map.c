// SPDX-License-Identifier: Apache-2.0
//
// user_namespaces(7): who is not root may map one id, their own real one, and a group only after
// setgroups(2) has been given up. The map can be written once, by the user who made the
// namespace, from the namespace above: so the supervisor can write it.
#include "id_map.h"

#include "credentials.h"
#include "kernel.h"
#include "namespace.h"
#include "ptrace_call.h"
#include "request.h"
#include "scope.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#define TEXT_MOST 128 // of one line: three numbers

static const int writing_x86_64[] = {1, 18}; // write, pwrite64
static const int writing_i386[] = {4, 181};

static bool ends_in(const char *path, const char *name)
{
	size_t length = strlen(path), own = strlen(name);
	return length >= own && strcmp(path + length - own, name) == 0 &&
	       (length == own || path[length - own - 1] == '/');
}

static bool has_other_ids(const struct credentials *credentials)
{
	return credentials->euid != geteuid() || credentials->egid != getegid();
}

bool id_map_is_opened(const struct request *request)
{
	char path[PATH_MAX];
	if (target_read_path(request->tid, request->args[request->row->path], path) <= 0 ||
	    (!ends_in(path, "uid_map") && !ends_in(path, "gid_map")))
		return false;
	namespace_left(request->session);
	return has_other_ids(credentials_of(request));
}

static bool is_writing(const struct stopped_call *call)
{
	const int *numbers = call->arch == FSC_ARCH_I386 ? writing_i386 : writing_x86_64;
	int number = call->arch == FSC_ARCH_I386 ? call->nr : call->nr & ~FSC_X32_SYSCALL_BIT;
	return number == numbers[0] || number == numbers[1];
}

// The file as /proc tells of it, if it is one of /proc.
static bool read_name(const struct stopped_call *call, char link_ret[static 48],
		      char name_ret[static PATH_MAX])
{
	struct statfs fs;
	snprintf(link_ret, 48, "/proc/%d/fd/%d", call->tid, (int)call->args[0]);
	ssize_t length = readlink(link_ret, name_ret, PATH_MAX - 1);
	if (length < 0 || statfs(link_ret, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return false;
	name_ret[length] = '\0';
	return true;
}

// One line that maps the very id the program is told to have. Returns its length with the real
// id in that place, or 0.
static int translate(const char *text, uint32_t shown, uint32_t real, char line_ret[static TEXT_MOST])
{
	unsigned inside, outside, count;
	int used = 0;
	if (sscanf(text, "%u %u %u %n", &inside, &outside, &count, &used) != 3 ||
	    text[used] != '\0' || count != 1 || outside != shown || shown == real)
		return 0;
	return snprintf(line_ret, TEXT_MOST, "%u %u 1\n", inside, real);
}

static bool write_text(const char *name, const char *text, size_t size)
{
	SCOPED_FD fd = open(name, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, size) == (ssize_t)size;
}

// What real root need not do.
static void give_up_setgroups(const char *map)
{
	static const char deny[] = "deny";
	char name[PATH_MAX + 16];
	snprintf(name, sizeof(name), "%.*s/setgroups", (int)(strrchr(map, '/') - map), map);
	write_text(name, deny, sizeof(deny) - 1);
}

long id_map_write(struct session *session, const struct stopped_call *call)
{
	char link[48], name[PATH_MAX], text[TEXT_MOST], line[TEXT_MOST];
	uint64_t size = call->args[2];
	if (!is_writing(call) || size == 0 || size >= sizeof(text) ||
	    !read_name(call, link, name))
		return 0;
	bool groups = ends_in(name, "gid_map");
	if ((!groups && !ends_in(name, "uid_map")) ||
	    target_read(call->tid, call->args[1], text, size) != 0)
		return 0;
	text[size] = '\0';
	const struct credentials *credentials = credentials_of_task(session, call->tid);
	int length = groups ? translate(text, credentials->egid, getegid(), line)
			    : translate(text, credentials->euid, geteuid(), line);
	if (length == 0)
		return 0;
	if (groups)
		give_up_setgroups(name);
	return write_text(link, line, (size_t)length) ? (long)size : 0;
}
