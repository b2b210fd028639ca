// SPDX-License-Identifier: Apache-2.0
//
// What kinds of file systems are mounted, and how.
#ifndef FSC_MOUNTS_H
#define FSC_MOUNTS_H

#include "mount_facts.h"
#include "session.h"

#include <linux/stat.h>
#include <stdbool.h>

// Starts keeping session->local, which says that every mount is of a kind known to
// answer from memory or a local disk. A kind not known counts as remote, as does a
// list that cannot be read. Opens session->mounts for poll(2), which reports
// POLLPRI when the list has changed (proc_pid_mountinfo(5)). Returns 0 or -errno.
int mounts_open(struct session *session);

// Reads the list anew and forgets all facts.
void mounts_changed(struct session *session);

// Whether a mount in a list of mounts (/proc/PID/mountinfo) is of such a kind.
bool mounts_is_local(const char *list, uint64_t id);

// mount_facts_known() of the session.
bool mounts_known(struct session *session, const struct statx *real,
		  struct mount_facts *facts_ret);

// Finds the facts out from a descriptor of such a file, and keeps them.
void mounts_learn(struct session *session, const struct statx *real, int fd,
		  struct mount_facts *facts_ret);

#endif
