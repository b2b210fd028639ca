// SPDX-License-Identifier: Apache-2.0
//
// What kinds of file systems are mounted, and how.
#ifndef FSC_MOUNTS_H
#define FSC_MOUNTS_H

#include "session.h"

#include <linux/stat.h>
#include <stdbool.h>

struct mount_facts {
	bool read_only;
	bool no_exec;
	bool no_suid;
	bool overlay; // overlayfs: a file's birth time changes when it is copied up
};

// Starts keeping session->local, which says that every mount is of a kind known to
// answer from memory or a local disk. A kind not known counts as remote, as does a
// list that cannot be read. Opens session->mounts for poll(2), which reports
// POLLPRI when the list has changed (proc_pid_mountinfo(5)). Returns 0 or -errno.
int mounts_open(struct session *session);

// Reads the list anew and forgets all facts.
void mounts_changed(struct session *session);

// The facts of the mount that a file with these attributes (STATX_MNT_ID, Linux
// 5.8) lies on, as far as they are known.
bool mounts_known(struct session *session, const struct statx *real,
		  struct mount_facts *facts_ret);

// Finds the facts out from a descriptor of such a file, and keeps them.
void mounts_learn(struct session *session, const struct statx *real, int fd,
		  struct mount_facts *facts_ret);

#endif
