// SPDX-License-Identifier: Apache-2.0
//
// bind(2) of a socket to a path, which makes a file. Whose is to be remembered, that is
// bound here: the target's own socket (pidfd_getfd(2), Linux 5.6), to the very address
// that the target gave, since that is what getsockname(2) tells. So it takes somebody
// with the target's working directory: a child for the moment. Where a container profile
// forbids to take the socket, the kernel binds it, and the file is root's.
#include "answer.h"
#include "creation.h"
#include "landlock.h"
#include "namespace.h"
#include "scope.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define STACK_BYTES 16384

struct binding {
	int socket; // the target's number for it, then ours
	int directory; // the target's working directory
	uint32_t umask;
	int error;
	socklen_t size;
	struct sockaddr_un address;
};

// As registers have them, or for i386 an array of words (socketcall(2)).
static int read_arguments(struct request *request, uint64_t arguments_ret[static 3])
{
	const struct syscall_row *row = request->row;
	uint32_t words[3];
	if (row->socket_args < 0) {
		memcpy(arguments_ret, request->args, 3 * sizeof(*arguments_ret));
		return 0;
	}
	int error = target_read(request->tid, request->args[row->socket_args], words, sizeof(words));
	for (int i = 0; i < 3; i++)
		arguments_ret[i] = words[i];
	return error;
}

// Returns whether the address is a path's.
static bool read_address(struct request *request, struct binding *binding_ret)
{
	uint64_t arguments[3];
	*binding_ret = (struct binding){.directory = -1};
	if (read_arguments(request, arguments) != 0)
		return false;
	size_t size = (uint32_t)arguments[2];
	const size_t path_at = offsetof(struct sockaddr_un, sun_path);
	if (size <= path_at || size > sizeof(binding_ret->address) ||
	    target_read(request->tid, arguments[1], &binding_ret->address, size) != 0)
		return false;
	binding_ret->socket = (int)arguments[0];
	binding_ret->size = (socklen_t)size;
	return binding_ret->address.sun_family == AF_UNIX && *binding_ret->address.sun_path;
}

static int bind_in_child(void *context)
{
	struct binding *binding = context;
	umask(binding->umask);
	binding->error = fchdir(binding->directory) < 0 ||
					 bind(binding->socket,
					      (const struct sockaddr *)&binding->address,
					      binding->size) < 0
				 ? errno
				 : 0;
	return 0;
}

// The child shares all but working directory and umask, and is not the reaper's to see.
static long bind_as_target(void *context)
{
	struct binding *binding = context;
	unsigned char stack[STACK_BYTES] __attribute__((aligned(16)));
	binding->error = EAGAIN;
	pid_t child = clone(bind_in_child, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_FILES,
			    binding);
	if (child < 0)
		return -errno;
	while (waitpid(child, NULL, __WCLONE) < 0 && errno == EINTR)
		;
	return -binding->error;
}

static int bind_path(struct request *request, struct binding *binding)
{
	SCOPED(entry_close) struct entry entry = {.dirfd = -1};
	struct creation creation;
	char path[PATH_MAX], name[32];
	size_t room = binding->size - offsetof(struct sockaddr_un, sun_path);
	snprintf(path, sizeof(path), "%.*s", (int)room, binding->address.sun_path);
	const uint32_t mode = S_IFSOCK | 0777;
	if (resolve_entry_text(request, AT_FDCWD, path, &entry) != 0 ||
	    creation_is_ordinary(request, mode, entry.dirfd) ||
	    creation_plan(request, entry.dirfd, mode, 0, &creation) != 0)
		return RESOLVE_LEAVE;
	snprintf(name, sizeof(name), "/proc/%d/cwd", request->tid);
	SCOPED_FD directory = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	SCOPED_FD socket = target_take_descriptor(request->tid, binding->socket);
	if (directory < 0 || socket < 0 || atomic_load(&request->session->page->views) ||
	    namespace_is_foreign(request) || !notification_valid(request))
		return RESOLVE_LEAVE;
	binding->directory = directory;
	binding->socket = socket;
	binding->umask = creation_umask(request);
	int error = (int)act_run(request, bind_as_target, binding);
	return error ? error : creation_remember_entry(request->session, &entry, &creation);
}

void op_bind(struct request *request, struct outcome *outcome)
{
	struct binding binding;
	outcome_continue(outcome);
	if (creation_is_ordinary(request, S_IFSOCK | 0777, -1) || !read_address(request, &binding))
		return;
	int result = bind_path(request, &binding);
	if (result != RESOLVE_LEAVE)
		outcome_result(outcome, result);
}
