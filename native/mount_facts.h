// SPDX-License-Identifier: Apache-2.0
//
// What is known of mounts, for the supervisor and the shim.
#ifndef FSC_MOUNT_FACTS_H
#define FSC_MOUNT_FACTS_H

#include "session_page.h"

#include <linux/stat.h>
#include <stdbool.h>

struct mount_facts {
	bool read_only;
	bool no_exec;
	bool no_suid;
	bool overlay; // overlayfs: a file's birth time changes when it is copied up
	// A file whose last name has gone shows no links. FUSE servers, and NFS, may keep
	// such a file under a hidden name, and tell the links of that.
	bool tells_links;
};

// One word a mount: its id, and its facts in the upper bits. No mount has id 0.
#define MOUNT_READ_ONLY (UINT64_C(1) << 63)
#define MOUNT_OVERLAY (UINT64_C(1) << 62)
#define MOUNT_NO_EXEC (UINT64_C(1) << 61)
#define MOUNT_NO_SUID (UINT64_C(1) << 60)
#define MOUNT_TELLS_LINKS (UINT64_C(1) << 59)
#define MOUNT_BITS                                                                                 \
	(MOUNT_READ_ONLY | MOUNT_OVERLAY | MOUNT_NO_EXEC | MOUNT_NO_SUID | MOUNT_TELLS_LINKS)

// The facts of the mount that a file with these attributes (STATX_MNT_ID, Linux
// 5.8) lies on, as far as they are known.
static inline bool mount_facts_known(const struct session_page *page, const struct statx *real,
				     struct mount_facts *facts_ret)
{
	uint64_t word = atomic_load(&page->mount_facts[real->stx_mnt_id % SESSION_MOUNT_FACTS]);
	// Mounts of other namespaces change unseen.
	if (atomic_load(&page->views) || !(real->stx_mask & STATX_MNT_ID) || word == 0 ||
	    (word & ~MOUNT_BITS) != real->stx_mnt_id)
		return false;
	facts_ret->read_only = word & MOUNT_READ_ONLY;
	facts_ret->overlay = word & MOUNT_OVERLAY;
	facts_ret->no_exec = word & MOUNT_NO_EXEC;
	facts_ret->no_suid = word & MOUNT_NO_SUID;
	facts_ret->tells_links = word & MOUNT_TELLS_LINKS;
	return true;
}

#endif
