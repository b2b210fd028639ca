// SPDX-License-Identifier: Apache-2.0
#include "mounts.h"

#include "kernel.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

// Kinds whose look-ups never wait for another process or machine.
static const char *const local_kinds[] = {
	"bdev",     "binfmt_misc", "bpf",      "btrfs",    "cgroup",   "cgroup2",    "configfs",
	"cpuset",   "debugfs",     "devpts",   "devtmpfs", "efivarfs", "erofs",      "exfat",
	"ext2",     "ext3",        "ext4",     "f2fs",     "fusectl",  "hugetlbfs",  "iso9660",
	"jfs",      "mqueue",      "nsfs",     "nullfs",   "overlay",  "proc",       "pstore",
	"ramfs",    "rootfs",      "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs",
	"tmpfs",    "tracefs",     "vfat",     "xfs",      "zfs",
};

static bool is_local(const char *kind)
{
	for (size_t i = 0; i < sizeof(local_kinds) / sizeof(*local_kinds); i++)
		if (strcmp(kind, local_kinds[i]) == 0)
			return true;
	return false;
}

// The kind is the first field behind the lone hyphen.
static bool is_line_local(const char *line)
{
	char kind[64];
	const char *mark = strstr(line, " - ");
	return mark && sscanf(mark, " - %63s", kind) == 1 && is_local(kind);
}

bool mounts_is_local(const char *list, uint64_t id)
{
	FILE *lines = fopen(list, "re");
	SCOPED_FREE char *line = NULL;
	size_t room = 0;
	unsigned long long seen;
	bool local = false;
	while (lines && !local && getline(&line, &room, lines) > 0)
		local = sscanf(line, "%llu ", &seen) == 1 && seen == id && is_line_local(line);
	if (lines)
		fclose(lines);
	return local;
}

static bool all_local(int mounts)
{
	if (mounts < 0 || lseek(mounts, 0, SEEK_SET) < 0)
		return false;
	int copy = fcntl(mounts, F_DUPFD_CLOEXEC, 0);
	FILE *list = copy < 0 ? NULL : fdopen(copy, "r");
	if (!list) {
		scope_close(&copy);
		return false;
	}
	SCOPED_FREE char *line = NULL;
	size_t room = 0;
	bool local = true;
	while (local && getline(&line, &room, list) > 0)
		local = is_line_local(line);
	fclose(list);
	return local;
}

// File systems of the kernel's own that keep their link counts themselves.
static bool tells_links(const struct statfs *fs)
{
	switch ((unsigned long)fs->f_type) {
	case EXT4_SUPER_MAGIC: // and ext2, ext3
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
	case RAMFS_MAGIC:
	case TMPFS_MAGIC:
	case XFS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

int mounts_open(struct session *session)
{
	session->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (session->mounts < 0)
		return -errno;
	mounts_changed(session);
	return 0;
}

void mounts_changed(struct session *session)
{
	atomic_store(&session->local, all_local(session->mounts));
	for (int i = 0; i < SESSION_MOUNT_FACTS; i++)
		atomic_store(&session->page->mount_facts[i], 0);
}

bool mounts_known(struct session *session, const struct statx *real,
		  struct mount_facts *facts_ret)
{
	return mount_facts_known(session->page, real, facts_ret);
}

void mounts_learn(struct session *session, const struct statx *real, int fd,
		  struct mount_facts *facts_ret)
{
	struct statfs fs;
	*facts_ret = (struct mount_facts){0};
	if (fstatfs(fd, &fs) < 0)
		return;
	facts_ret->read_only = fs.f_flags & ST_RDONLY;
	facts_ret->overlay = fs.f_type == OVERLAYFS_SUPER_MAGIC;
	facts_ret->no_exec = fs.f_flags & ST_NOEXEC;
	facts_ret->no_suid = fs.f_flags & ST_NOSUID;
	facts_ret->tells_links = tells_links(&fs);
	if (!(real->stx_mask & STATX_MNT_ID))
		return;
	uint64_t word = real->stx_mnt_id;
	word |= facts_ret->read_only ? MOUNT_READ_ONLY : 0;
	word |= facts_ret->overlay ? MOUNT_OVERLAY : 0;
	word |= facts_ret->no_exec ? MOUNT_NO_EXEC : 0;
	word |= facts_ret->no_suid ? MOUNT_NO_SUID : 0;
	word |= facts_ret->tells_links ? MOUNT_TELLS_LINKS : 0;
	atomic_store(&session->page->mount_facts[real->stx_mnt_id % SESSION_MOUNT_FACTS],
		     word);
}
