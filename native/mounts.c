// SPDX-License-Identifier: Apache-2.0
#include "mounts.h"

#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

// Kinds whose look-ups never wait for another process or machine.
static const char *const local_kinds[] = {
	"bdev",     "binfmt_misc", "bpf",      "btrfs",    "cgroup",   "cgroup2",    "configfs",
	"cpuset",   "debugfs",     "devpts",   "devtmpfs", "efivarfs", "erofs",      "exfat",
	"ext2",     "ext3",        "ext4",     "f2fs",     "fusectl",  "hugetlbfs",  "iso9660",
	"jfs",      "mqueue",      "nsfs",     "nullfs",   "overlay",  "proc",       "pstore",
	"ramfs",    "rootfs",      "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs",
	"tmpfs",    "tracefs",     "vfat",     "xfs",      "zfs",
};

int mounts_open(void)
{
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_local(const char *kind)
{
	for (size_t i = 0; i < sizeof(local_kinds) / sizeof(*local_kinds); i++)
		if (strcmp(kind, local_kinds[i]) == 0)
			return true;
	return false;
}

bool mounts_all_local(int mounts)
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
	while (local && getline(&line, &room, list) > 0) {
		// The kind is the first field behind the lone hyphen.
		char kind[64];
		const char *mark = strstr(line, " - ");
		local = mark && sscanf(mark, " - %63s", kind) == 1 && is_local(kind);
	}
	fclose(list);
	return local;
}
