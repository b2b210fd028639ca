// SPDX-License-Identifier: Apache-2.0
//
// chown(2) and its kin, by root, of a file that has nothing but an owner to lose: a pending
// change (pending.h), at the price of a look. The rules are those of ops_chown.c; whatever
// is not plain is the supervisor's.
#include "look.h"

#include "mount_facts.h"
#include "rules.h"

#include <asm/unistd.h>
#include <linux/fcntl.h>

#define LEAVE_ID ((unsigned)-1)

#ifdef __x86_64__

// Where the file is, as far as that has a say.
static bool is_plain_place(const struct session_page *page, const struct statx *seen,
			   bool *overlay_ret)
{
	const unsigned needed = STATX_BASIC_STATS | STATX_BTIME;
	struct mount_facts facts;
	if ((seen->stx_mask & needed) != needed || seen->stx_nlink == 0 ||
	    seen->stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND) ||
	    !mount_facts_known(page, seen, &facts) || facts.read_only)
		return false;
	*overlay_ret = facts.overlay;
	return true;
}

// What the file shows, and whether that is the owner and a mode which a change of the owner
// leaves alone.
static bool is_plain_file(const struct session_page *page, const struct kernel_call *call,
			  const struct statx *seen, struct statx *shown_ret)
{
	struct inode_record record;
	bool overlay;
	if (!is_plain_place(page, seen, &overlay))
		return false;
	*shown_ret = *seen;
	switch (session_find(call, rules_dev(seen->stx_dev_major, seen->stx_dev_minor),
			     seen->stx_ino, &record)) {
	case INODE_ABSENT:
		// Copied up, it would have another birth time.
		if (overlay)
			return false;
		rules_show_ids_and_mode(NULL, page->unknown_is_real, shown_ret);
		break;
	case INODE_FOUND:
		if (record.fields & INODE_RETIRED || record.xattrs ||
		    rules_record_owner(&record, seen) != RULES_THIS_FILE)
			return false;
		rules_show_ids_and_mode(&record, page->unknown_is_real, shown_ret);
		break;
	default:
		return false;
	}
	unsigned type = shown_ret->stx_mode & RULES_TYPE_MASK;
	return (type == 0100000 || type == 0040000 || type == 0120000) &&
	       !(shown_ret->stx_mode & 06000);
}

// The kernel refuses descriptors opened with O_PATH.
static bool is_open(int fd)
{
	struct kernel_call call = KERNEL_CALL(__NR_fcntl, fd, F_GETFL);
	long flags = kernel_call_plain(&call);
	return flags >= 0 && !(flags & O_PATH);
}

static bool publish(struct session_writable *shared, const struct statx *seen,
		    const struct statx *shown, unsigned uid, unsigned gid)
{
	struct inode_record change = {
		.uid = uid == LEAVE_ID ? shown->stx_uid : uid,
		.gid = gid == LEAVE_ID ? shown->stx_gid : gid,
		.mode = seen->stx_mode,
	};
	if (change.uid != shown->stx_uid)
		change.fields |= INODE_UID;
	if (change.gid != shown->stx_gid)
		change.fields |= INODE_GID;
	if (change.fields == 0)
		return true;
	rules_identity(seen, &change.identity);
	return pending_publish(&shared->pending, &change);
}

long change_owner(const struct kernel_call *call, int dirfd, const char *path, int flags,
		  unsigned uid, unsigned gid)
{
	const struct session_page *page = session_attached();
	struct session_writable *shared = page ? session_writable(call) : NULL;
	struct statx seen, shown;
	uint32_t before = page ? atomic_load(&page->retirements) : 0;
	if (!shared || flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) ||
	    !change_look(call, dirfd, path, flags, &seen))
		return session_trapped(call);
	bool plain = !atomic_load(&page->pending_closed) && session_is_root(page, call) &&
		     is_plain_file(page, call, &seen, &shown) &&
		     (call->number != __NR_fchown || is_open(dirfd)) &&
		     before == atomic_load(&page->retirements);
	if (!plain || !publish(shared, &seen, &shown, uid, gid))
		return change_trapped_with_look(call, dirfd, path, flags, &seen);
	change_touch(dirfd, path, flags, &seen);
	return 0;
}

#else

long change_owner(const struct kernel_call *call, int dirfd, const char *path, int flags,
		  unsigned uid, unsigned gid)
{
	(void)uid;
	(void)gid;
	return change_trapped(call, dirfd, path, flags);
}

#endif
