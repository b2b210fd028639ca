// SPDX-License-Identifier: Apache-2.0
//
// credentials(7) and capabilities(7) as a target is told them: every process starts as
// root with all capabilities, and may leave that.
#ifndef FSC_CREDENTIALS_H
#define FSC_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct request;
struct session;

// Immutable once a thread has them; equal ones are one object, which lasts as long as
// the session.
struct credentials {
	uint32_t uid, euid, suid, fsuid;
	uint32_t gid, egid, sgid, fsgid;
	// Sets of capabilities, bit by number (<linux/capability.h>).
	uint64_t permitted, effective, inheritable, bounding, ambient;
	uint64_t landlock;   // the restrictions that it has put on itself, landlock.c; 0: none
	uint32_t securebits; // <linux/securebits.h>, keep-caps among them
	uint32_t group_count;
	const uint32_t *groups; // supplementary, in rising order
};

// Before the first target runs.
void credentials_init(struct session *session);

// Those of the thread that makes the call. Costs nothing while no process of the
// session has left root.
const struct credentials *credentials_of(const struct request *request);

// The same for another task of the session.
const struct credentials *credentials_of_task(struct session *session, pid_t tid);

// Gives them to the thread that makes the call: to it alone, as the kernel does (libc
// has every thread make the call). next is copied. Returns 0, or -EAGAIN when no more
// different ones can be kept, or none at all: RLIMIT_LOCKS has a hard limit.
int credentials_set(const struct request *request, const struct credentials *next);

// The call is an execve(2) that will give the process these, if it succeeds.
int credentials_set_at_exec(const struct request *request, const struct credentials *next);

// ns_capable(): whether an effective capability is there.
static inline bool credentials_capable(const struct credentials *credentials, int capability)
{
	return credentials->effective >> capability & 1;
}

// in_group_p(): whether the group is the one for files, or a supplementary one.
bool credentials_in_group(const struct credentials *credentials, uint32_t gid);

#endif
