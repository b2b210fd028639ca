// SPDX-License-Identifier: Apache-2.0
//
// user_namespaces(7): a target in another one than its supervisor has no rights outside of it,
// whatever its supervisor has, though both are the same user to the kernel.
#ifndef FSC_NAMESPACE_H
#define FSC_NAMESPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct request;
struct session;

// Some target may be in another user namespace from now on. Until then nobody is asked.
void namespace_left(struct session *session);

// Whether the caller is in another user namespace than the supervisor.
bool namespace_is_foreign(const struct request *request);

// Whether the kernel would let this thread follow the magic links of the process that a directory
// below /proc is about: ptrace_may_access() of the same user.
bool namespace_may_follow(pid_t tid, int directory);

// The thread that handles the request has no capability meanwhile, if the caller has none here.
// For a supervisor without any (an ordinary user's) there is nothing to do.
struct namespace_rights {
	bool taken;
};

struct namespace_rights namespace_rights_take(const struct request *request);
void namespace_rights_restore(struct namespace_rights *rights);

// Whether this process has capabilities.
bool namespace_has_rights(void);

// A filter in allocated memory that traps clone3(2) as well, whose flags no filter can see: where
// it matters who has left the namespace. NULL without memory.
void *namespace_filter(const void *filter, size_t *size);

#endif
