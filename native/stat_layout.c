// SPDX-License-Identifier: Apache-2.0
#include "stat_layout.h"

#include "rules.h"
#include "syscall_rows.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

// struct __old_kernel_stat, <asm/stat.h>
struct old_stat {
	uint16_t dev, ino, mode, nlink, uid, gid, rdev;
	uint32_t size, atime, mtime, ctime;
};

// struct compat_stat, <asm/compat.h>; 32-bit device numbers since Linux 5.18
struct i386_stat {
	uint32_t dev, ino;
	uint16_t mode, nlink, uid, gid;
	uint32_t rdev, size, blksize, blocks;
	uint32_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
	uint32_t unused[2];
};

// struct stat64 as i386 has it, <asm/sys_ia32.h>
struct __attribute__((packed)) i386_stat64 {
	uint64_t dev;
	uint8_t pad0[4];
	uint32_t short_ino, mode, nlink, uid, gid;
	uint64_t rdev;
	uint8_t pad3[4];
	int64_t size;
	uint32_t blksize;
	int64_t blocks;
	uint32_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
	uint64_t ino;
};

_Static_assert(sizeof(struct old_stat) == 32, "__old_kernel_stat");
_Static_assert(sizeof(struct i386_stat) == 64, "compat_stat");
_Static_assert(sizeof(struct i386_stat64) == 96, "stat64");
_Static_assert(sizeof(struct stat) == 144, "stat");
_Static_assert(sizeof(struct statx) == STAT_LAYOUT_MAX, "statx");

#define MAX_NON_LFS 0x7fffffffu // <linux/fs.h>

// high2lowuid(), <linux/highuid.h>
static uint16_t low_id(uint32_t id)
{
	return id > 0xffff ? 65534 : (uint16_t)id;
}

// old_encode_dev(), which cuts neither before the sum is stored.
static uint16_t old_dev(uint32_t major, uint32_t minor)
{
	return (uint16_t)(major << 8 | minor);
}

static int encode_old(const struct statx *from, struct old_stat *to)
{
	*to = (struct old_stat){
		.dev = old_dev(from->stx_dev_major, from->stx_dev_minor),
		.ino = (uint16_t)from->stx_ino,
		.mode = from->stx_mode,
		.nlink = (uint16_t)from->stx_nlink,
		.uid = low_id(from->stx_uid),
		.gid = low_id(from->stx_gid),
		.rdev = old_dev(from->stx_rdev_major, from->stx_rdev_minor),
		.size = (uint32_t)from->stx_size,
		.atime = (uint32_t)from->stx_atime.tv_sec,
		.mtime = (uint32_t)from->stx_mtime.tv_sec,
		.ctime = (uint32_t)from->stx_ctime.tv_sec,
	};
	if (to->ino != from->stx_ino || to->nlink != from->stx_nlink)
		return -EOVERFLOW;
	return sizeof(*to);
}

static int encode_i386(const struct statx *from, struct i386_stat *to)
{
	*to = (struct i386_stat){
		.dev = rules_rdev_encode(from->stx_dev_major, from->stx_dev_minor),
		.ino = (uint32_t)from->stx_ino,
		.mode = from->stx_mode,
		.nlink = (uint16_t)from->stx_nlink,
		.uid = low_id(from->stx_uid),
		.gid = low_id(from->stx_gid),
		.rdev = rules_rdev_encode(from->stx_rdev_major, from->stx_rdev_minor),
		.size = (uint32_t)from->stx_size,
		.blksize = from->stx_blksize,
		.blocks = (uint32_t)from->stx_blocks,
		.atime = (uint32_t)from->stx_atime.tv_sec,
		.atime_nsec = from->stx_atime.tv_nsec,
		.mtime = (uint32_t)from->stx_mtime.tv_sec,
		.mtime_nsec = from->stx_mtime.tv_nsec,
		.ctime = (uint32_t)from->stx_ctime.tv_sec,
		.ctime_nsec = from->stx_ctime.tv_nsec,
	};
	if (to->ino != from->stx_ino || to->nlink != from->stx_nlink ||
	    from->stx_size > MAX_NON_LFS)
		return -EOVERFLOW;
	return sizeof(*to);
}

static int encode_i386_64(const struct statx *from, struct i386_stat64 *to)
{
	*to = (struct i386_stat64){
		.dev = rules_rdev_encode(from->stx_dev_major, from->stx_dev_minor),
		.short_ino = (uint32_t)from->stx_ino,
		.mode = from->stx_mode,
		.nlink = from->stx_nlink,
		.uid = from->stx_uid,
		.gid = from->stx_gid,
		.rdev = rules_rdev_encode(from->stx_rdev_major, from->stx_rdev_minor),
		.size = (int64_t)from->stx_size,
		.blksize = from->stx_blksize,
		.blocks = (int64_t)from->stx_blocks,
		.atime = (uint32_t)from->stx_atime.tv_sec,
		.atime_nsec = from->stx_atime.tv_nsec,
		.mtime = (uint32_t)from->stx_mtime.tv_sec,
		.mtime_nsec = from->stx_mtime.tv_nsec,
		.ctime = (uint32_t)from->stx_ctime.tv_sec,
		.ctime_nsec = from->stx_ctime.tv_nsec,
		.ino = from->stx_ino,
	};
	return sizeof(*to);
}

static int encode_native(const struct statx *from, struct stat *to)
{
	*to = (struct stat){
		.st_dev = rules_rdev_encode(from->stx_dev_major, from->stx_dev_minor),
		.st_ino = from->stx_ino,
		.st_mode = from->stx_mode,
		.st_nlink = from->stx_nlink,
		.st_uid = from->stx_uid,
		.st_gid = from->stx_gid,
		.st_rdev = rules_rdev_encode(from->stx_rdev_major, from->stx_rdev_minor),
		.st_size = (off_t)from->stx_size,
		.st_blksize = from->stx_blksize,
		.st_blocks = (blkcnt_t)from->stx_blocks,
		.st_atim = {from->stx_atime.tv_sec, from->stx_atime.tv_nsec},
		.st_mtim = {from->stx_mtime.tv_sec, from->stx_mtime.tv_nsec},
		.st_ctim = {from->stx_ctime.tv_sec, from->stx_ctime.tv_nsec},
	};
	return sizeof(*to);
}

int stat_layout_encode(int variant, const struct statx *attributes,
		       unsigned char bytes_ret[static STAT_LAYOUT_MAX])
{
	union {
		struct old_stat old;
		struct i386_stat i386;
		struct i386_stat64 i386_64;
		struct stat native;
		struct statx extended;
	} layout;
	int size;

	switch (variant) {
	case VARIANT_I386_OLDSTAT:
		size = encode_old(attributes, &layout.old);
		break;
	case VARIANT_I386_STAT:
		size = encode_i386(attributes, &layout.i386);
		break;
	case VARIANT_I386_STAT64:
		size = encode_i386_64(attributes, &layout.i386_64);
		break;
	case VARIANT_STATX:
		layout.extended = *attributes;
		size = sizeof(layout.extended);
		break;
	default:
		size = encode_native(attributes, &layout.native);
		break;
	}
	if (size > 0)
		memcpy(bytes_ret, &layout, (size_t)size);
	return size;
}
