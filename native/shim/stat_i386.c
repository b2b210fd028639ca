// SPDX-License-Identifier: Apache-2.0
//
// stat(2) and its kin on i386, where every libc has layouts of its own. glibc since
// 2.33 and musl since 1.2 ask statx(2) for all of them. Programs of older libcs are
// left to the supervisor.
#include "look.h"

#include "rules.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <stddef.h>

// glibc's struct stat, without and with _FILE_OFFSET_BITS=64, and with _TIME_BITS=64.
// The second is also the kernel's struct stat64, and struct stat for musl.
struct time32 {
	int32_t sec, nsec;
};

struct __attribute__((packed)) time64 {
	int64_t sec;
	int32_t nsec, pad;
};

struct __attribute__((packed)) stat32 {
	uint64_t dev;
	uint32_t pad1, ino, mode, nlink, uid, gid;
	uint64_t rdev;
	uint32_t pad2;
	int32_t size, blksize, blocks;
	struct time32 atim, mtim, ctim;
	uint32_t reserved[2];
};

struct __attribute__((packed)) stat64 {
	uint64_t dev;
	uint32_t pad1, short_ino, mode, nlink, uid, gid;
	uint64_t rdev;
	uint32_t pad2;
	int64_t size;
	int32_t blksize;
	int64_t blocks;
	struct time32 atim, mtim, ctim;
	uint64_t ino;
};

struct __attribute__((packed)) stat64_time64 {
	uint64_t dev, ino;
	uint32_t mode, nlink, uid, gid;
	uint64_t rdev;
	int64_t size;
	int32_t blksize;
	int64_t blocks;
	struct time64 atim, mtim, ctim;
};

_Static_assert(sizeof(struct stat32) == 88, "struct stat");
_Static_assert(sizeof(struct stat64) == 96, "struct stat64");
_Static_assert(sizeof(struct stat64_time64) == 108, "struct stat with 64-bit time");

// _STAT_VER of <sys/stat.h>: the first is the kernel's oldest layout, as it is.
#define VERSION_KERNEL 1
#define VERSION_LINUX 3

struct place {
	enum { BY_PATH, BY_DESCRIPTOR, BY_DIRECTORY } by; // stat, fstat, fstatat
	int dirfd;
	const char *path;
	int flags;
};

#define PATH(path, flags) &(struct place){BY_PATH, AT_FDCWD, path, flags}
#define DESCRIPTOR(fd) &(struct place){BY_DESCRIPTOR, fd, "", AT_EMPTY_PATH}
#define AT(dirfd, path, flags) &(struct place){BY_DIRECTORY, dirfd, path, flags}

static struct time32 short_time(const struct statx_timestamp *from)
{
	return (struct time32){(int32_t)from->tv_sec, (int32_t)from->tv_nsec};
}

static struct time64 long_time(const struct statx_timestamp *from)
{
	return (struct time64){from->tv_sec, (int32_t)from->tv_nsec, 0};
}

static bool fits(int64_t value)
{
	return value == (int32_t)value;
}

static bool times_fit(const struct statx *from)
{
	return fits(from->stx_atime.tv_sec) && fits(from->stx_mtime.tv_sec) &&
	       fits(from->stx_ctime.tv_sec);
}

// What all three layouts have under the same names.
#define OWNERSHIP(from)                                                                           \
	.dev = rules_dev((from)->stx_dev_major, (from)->stx_dev_minor), .mode = (from)->stx_mode, \
	.nlink = (from)->stx_nlink, .uid = (from)->stx_uid, .gid = (from)->stx_gid,               \
	.rdev = rules_dev((from)->stx_rdev_major, (from)->stx_rdev_minor)
#define TIMES(as, from)                                                                           \
	.atim = as(&(from)->stx_atime), .mtim = as(&(from)->stx_mtime),                           \
	.ctim = as(&(from)->stx_ctime)

static int encode32(const struct statx *from, struct stat32 *to)
{
	*to = (struct stat32){
		OWNERSHIP(from),
		.ino = (uint32_t)from->stx_ino,
		.size = (int32_t)from->stx_size,
		.blksize = (int32_t)from->stx_blksize,
		.blocks = (int32_t)from->stx_blocks,
		TIMES(short_time, from),
	};
	bool all = to->ino == from->stx_ino && fits((int64_t)from->stx_size) &&
		   fits((int64_t)from->stx_blocks) && times_fit(from);
	return all ? 0 : -EOVERFLOW;
}

static int encode64(const struct statx *from, struct stat64 *to)
{
	*to = (struct stat64){
		OWNERSHIP(from),
		.short_ino = (uint32_t)from->stx_ino,
		.size = (int64_t)from->stx_size,
		.blksize = (int32_t)from->stx_blksize,
		.blocks = (int64_t)from->stx_blocks,
		TIMES(short_time, from),
		.ino = from->stx_ino,
	};
	return times_fit(from) ? 0 : -EOVERFLOW;
}

static void encode_time64(const struct statx *from, struct stat64_time64 *to)
{
	*to = (struct stat64_time64){
		OWNERSHIP(from),
		.ino = from->stx_ino,
		.size = (int64_t)from->stx_size,
		.blksize = (int32_t)from->stx_blksize,
		.blocks = (int64_t)from->stx_blocks,
		TIMES(long_time, from),
	};
}

static void decode64(const struct stat64 *from, struct statx *to)
{
	// The kernel's 32-bit form of a device, in 64 bits.
	uint32_t dev = (uint32_t)from->dev, rdev = (uint32_t)from->rdev;
	*to = (struct statx){
		.stx_dev_major = rules_rdev_major(dev),
		.stx_dev_minor = rules_rdev_minor(dev),
		.stx_ino = from->ino,
		.stx_mode = (uint16_t)from->mode,
		.stx_nlink = from->nlink,
		.stx_uid = from->uid,
		.stx_gid = from->gid,
		.stx_rdev_major = rules_rdev_major(rdev),
		.stx_rdev_minor = rules_rdev_minor(rdev),
		.stx_size = (uint64_t)from->size,
		.stx_blksize = (uint32_t)from->blksize,
		.stx_blocks = (uint64_t)from->blocks,
		.stx_atime = {.tv_sec = from->atim.sec, .tv_nsec = (uint32_t)from->atim.nsec},
		.stx_mtime = {.tv_sec = from->mtim.sec, .tv_nsec = (uint32_t)from->mtim.nsec},
		.stx_ctime = {.tv_sec = from->ctim.sec, .tv_nsec = (uint32_t)from->ctim.nsec},
	};
}

// What libcs do that know no statx(2).
static long look_old(const struct place *place, struct statx *attributes)
{
	struct stat64 buffer;
	struct kernel_call call;
	if (place->by == BY_DESCRIPTOR)
		call = KERNEL_CALL(__NR_fstat64, place->dirfd, (long)&buffer);
	else if (place->by == BY_PATH)
		call = KERNEL_CALL(place->flags ? __NR_lstat64 : __NR_stat64, (long)place->path,
				   (long)&buffer);
	else
		call = KERNEL_CALL(__NR_fstatat64, place->dirfd, (long)place->path,
				   (long)&buffer, place->flags);
	long returned = session_trapped(&call);
	if (returned == 0)
		decode64(&buffer, attributes);
	return returned;
}

static long look(const struct place *place, struct statx *attributes)
{
	if (place->by == BY_DESCRIPTOR && place->dirfd < 0)
		return -EBADF;
	long returned = -ENOSYS;
	if (libc_style() != LIBC_GLIBC_OLD)
		returned = look_statx(place->dirfd, place->path, place->flags | AT_NO_AUTOMOUNT,
				      STATX_BASIC_STATS, attributes);
	return returned == -ENOSYS ? look_old(place, attributes) : returned;
}

static int shown64(const struct place *place, struct stat64 *buffer)
{
	struct statx attributes;
	struct stat64 shown;
	long returned = look(place, &attributes);
	if (returned == 0)
		returned = encode64(&attributes, &shown);
	if (returned == 0)
		*buffer = shown;
	return (int)libc_result(returned);
}

static int shown_time64(const struct place *place, struct stat64_time64 *buffer)
{
	struct statx attributes;
	long returned = look(place, &attributes);
	if (returned == 0)
		encode_time64(&attributes, buffer);
	return (int)libc_result(returned);
}

// The plain names: glibc's smallest layout, but the only one of musl.
static int shown(const struct place *place, void *buffer)
{
	struct statx attributes;
	struct stat32 shown;
	if (libc_style() == LIBC_OTHER)
		return shown64(place, buffer);
	long returned = look(place, &attributes);
	if (returned == 0)
		returned = encode32(&attributes, &shown);
	if (returned == 0)
		*(struct stat32 *)buffer = shown;
	return (int)libc_result(returned);
}

EXPORTED(int, stat, const char *path, void *buffer)
{
	return shown(PATH(path, 0), buffer);
}

EXPORTED(int, lstat, const char *path, void *buffer)
{
	return shown(PATH(path, AT_SYMLINK_NOFOLLOW), buffer);
}

EXPORTED(int, fstat, int fd, void *buffer)
{
	return shown(DESCRIPTOR(fd), buffer);
}

EXPORTED(int, fstatat, int dirfd, const char *path, void *buffer, int flags)
{
	return shown(AT(dirfd, path, flags), buffer);
}

EXPORTED(int, stat64, const char *path, struct stat64 *buffer)
{
	return shown64(PATH(path, 0), buffer);
}

EXPORTED(int, lstat64, const char *path, struct stat64 *buffer)
{
	return shown64(PATH(path, AT_SYMLINK_NOFOLLOW), buffer);
}

EXPORTED(int, fstat64, int fd, struct stat64 *buffer)
{
	return shown64(DESCRIPTOR(fd), buffer);
}

EXPORTED(int, fstatat64, int dirfd, const char *path, struct stat64 *buffer, int flags)
{
	return shown64(AT(dirfd, path, flags), buffer);
}

EXPORTED(int, __stat64_time64, const char *path, struct stat64_time64 *buffer)
{
	return shown_time64(PATH(path, 0), buffer);
}

EXPORTED(int, __lstat64_time64, const char *path, struct stat64_time64 *buffer)
{
	return shown_time64(PATH(path, AT_SYMLINK_NOFOLLOW), buffer);
}

EXPORTED(int, __fstat64_time64, int fd, struct stat64_time64 *buffer)
{
	return shown_time64(DESCRIPTOR(fd), buffer);
}

EXPORTED(int, __fstatat64_time64, int dirfd, const char *path, struct stat64_time64 *buffer,
				int flags)
{
	return shown_time64(AT(dirfd, path, flags), buffer);
}

// Programs built with glibc before 2.33.
#define VERSIONED(version, result) (version) == VERSION_LINUX ? (result) : (int)libc_result(-EINVAL)

static int as_kernel(struct kernel_call call)
{
	return (int)libc_result(session_trapped(&call));
}

EXPORTED(int, __xstat, int version, const char *path, void *buffer)
{
	if (version == VERSION_KERNEL)
		return as_kernel(KERNEL_CALL(__NR_stat, (long)path, (long)buffer));
	return VERSIONED(version, stat(path, buffer));
}

EXPORTED(int, __lxstat, int version, const char *path, void *buffer)
{
	if (version == VERSION_KERNEL)
		return as_kernel(KERNEL_CALL(__NR_lstat, (long)path, (long)buffer));
	return VERSIONED(version, lstat(path, buffer));
}

EXPORTED(int, __fxstat, int version, int fd, void *buffer)
{
	if (version == VERSION_KERNEL)
		return as_kernel(KERNEL_CALL(__NR_fstat, fd, (long)buffer));
	return VERSIONED(version, fstat(fd, buffer));
}

EXPORTED(int, __fxstatat, int version, int dirfd, const char *path, void *buffer, int flags)
{
	return VERSIONED(version, fstatat(dirfd, path, buffer, flags));
}

EXPORTED(int, __xstat64, int version, const char *path, struct stat64 *buffer)
{
	return VERSIONED(version, stat64(path, buffer));
}

EXPORTED(int, __lxstat64, int version, const char *path, struct stat64 *buffer)
{
	return VERSIONED(version, lstat64(path, buffer));
}

EXPORTED(int, __fxstat64, int version, int fd, struct stat64 *buffer)
{
	return VERSIONED(version, fstat64(fd, buffer));
}

EXPORTED(int, __fxstatat64, int version, int dirfd, const char *path, struct stat64 *buffer,
			  int flags)
{
	return VERSIONED(version, fstatat64(dirfd, path, buffer, flags));
}

EXPORTED(int, statx, int dirfd, const char *restrict path, int flags, unsigned mask,
		   struct statx *restrict attributes)
{
	return (int)libc_result(look_statx(dirfd, path, flags, mask, attributes));
}
