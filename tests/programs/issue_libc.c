// SPDX-License-Identifier: Apache-2.0
//
// Issues a system call by the function of the C library that stands for it, so that a
// preloaded object can stand in for that; by its number where there is no such function.
//
//   -D_FILE_OFFSET_BITS=64, -D_TIME_BITS=64   stat64(), __stat64_time64(): what the C
//                                             library makes of stat() under them
//   -DOLD_FORMS   __xstat() and its kin, which programs built before glibc 2.33 call,
//                 and remove() and eaccess() where they mean the same
//
// The functions are declared here by their symbols, with registers or stack words for
// arguments: so the compiler assumes nothing of a pointer, and the high half of a
// register is what the script says also where the function takes an int.
#include "issue.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef unsigned long word;
typedef word function(word, word, word, word, word, word);

#if defined(__i386__) && defined(_TIME_BITS) && _TIME_BITS == 64
#define FORM(name) "__" name "64_time64"
#elif defined(_FILE_OFFSET_BITS) && _FILE_OFFSET_BITS == 64
#define FORM(name) name "64"
#define SYSTEM_CALL_S_STRUCT
#else
#define FORM(name) name
#ifndef __i386__
#define SYSTEM_CALL_S_STRUCT
#endif
#endif

#ifdef __i386__
#define STAT(name) SYS_##name##64
#define SYS_FSTATAT SYS_fstatat64
#define IDS32(name) SYS_##name##32
#define STAT_VERSION 3        // _STAT_VER_LINUX
#define KERNEL_STAT_VERSION 1 // _STAT_VER_KERNEL
#define MKNOD_VERSION 1       // _MKNOD_VER_LINUX
#else
#define STAT(name) SYS_##name
#define SYS_FSTATAT SYS_newfstatat
#define IDS32(name) SYS_##name
#define STAT_VERSION 1
#define KERNEL_STAT_VERSION 0
#define MKNOD_VERSION 0
#endif

enum kind {
	RESULT,      // an int, with errno
	ID,          // an id; without errors
	ATTRIBUTES,  // RESULT, and a struct stat behind path or descriptor
	OLD_STAT,    // ATTRIBUTES, behind the version of the struct
	KERNEL_STAT, // the same, the version being the system call's own
	DEVICE,      // RESULT, the last argument a dev_t
	OLD_DEVICE,  // the same, pointed to, behind a version
	EACCESS,     // faccessat2() as far as eaccess() does it
	REMOVE,      // unlink() or rmdir(), the one that remove() finds to be right
};

// Name, symbol, system call and its count of arguments.
#define COMMON_CALLS(CALL)                                                                        \
	CALL(statx, "statx", SYS_statx, 5, RESULT)                                                \
	CALL(chown, "chown", IDS32(chown), 3, RESULT)                                             \
	CALL(lchown, "lchown", IDS32(lchown), 3, RESULT)                                          \
	CALL(fchown, "fchown", IDS32(fchown), 3, RESULT)                                          \
	CALL(fchownat, "fchownat", SYS_fchownat, 5, RESULT)                                       \
	CALL(chmod, "chmod", SYS_chmod, 2, RESULT)                                                \
	CALL(fchmod, "fchmod", SYS_fchmod, 2, RESULT)                                             \
	CALL(fchmodat, "fchmodat", SYS_fchmodat, 3, RESULT)                                       \
	CALL(getuid, "getuid", IDS32(getuid), 0, ID)                                              \
	CALL(geteuid, "geteuid", IDS32(geteuid), 0, ID)                                           \
	CALL(getgid, "getgid", IDS32(getgid), 0, ID)                                              \
	CALL(getegid, "getegid", IDS32(getegid), 0, ID)                                           \
	CALL(getresuid, "getresuid", IDS32(getresuid), 3, RESULT)                                 \
	CALL(getresgid, "getresgid", IDS32(getresgid), 3, RESULT)                                 \
	CALL(getgroups, "getgroups", IDS32(getgroups), 2, RESULT)                                 \
	CALL(unlinkat, "unlinkat", SYS_unlinkat, 3, RESULT)                                       \
	CALL(rename, "rename", SYS_rename, 2, RESULT)                                             \
	CALL(renameat, "renameat", SYS_renameat, 4, RESULT)                                       \
	CALL(linkat, "linkat", SYS_linkat, 5, RESULT)                                             \
	CALL(renameat2, "renameat2", SYS_renameat2, 5, RESULT)                                    \
	CALL(access, "access", SYS_access, 2, RESULT)                                             \
	CALL(faccessat, "faccessat", SYS_faccessat, 3, RESULT)

#ifndef OLD_FORMS
#define FORM_CALLS(CALL)                                                                          \
	CALL(stat, FORM("stat"), STAT(stat), 2, ATTRIBUTES)                                       \
	CALL(lstat, FORM("lstat"), STAT(lstat), 2, ATTRIBUTES)                                    \
	CALL(fstat, FORM("fstat"), STAT(fstat), 2, ATTRIBUTES)                                    \
	CALL(fstatat, FORM("fstatat"), SYS_FSTATAT, 4, ATTRIBUTES)                                \
	CALL(mknod, "mknod", SYS_mknod, 3, DEVICE)                                                \
	CALL(mknodat, "mknodat", SYS_mknodat, 4, DEVICE)                                          \
	CALL(faccessat2, "faccessat", SYS_faccessat2, 4, RESULT)                                  \
	CALL(unlink, "unlink", SYS_unlink, 1, RESULT)                                             \
	CALL(rmdir, "rmdir", SYS_rmdir, 1, RESULT)
#else
#define FORM_CALLS(CALL)                                                                          \
	CALL(xstat, FORM("__xstat"), STAT(stat), 2, OLD_STAT)                                     \
	CALL(lxstat, FORM("__lxstat"), STAT(lstat), 2, OLD_STAT)                                  \
	CALL(fxstat, FORM("__fxstat"), STAT(fstat), 2, OLD_STAT)                                  \
	CALL(fxstatat, FORM("__fxstatat"), SYS_FSTATAT, 4, OLD_STAT)                              \
	CALL(xmknod, "__xmknod", SYS_mknod, 3, OLD_DEVICE)                                        \
	CALL(xmknodat, "__xmknodat", SYS_mknodat, 4, OLD_DEVICE)                                  \
	CALL(eaccess, "eaccess", SYS_faccessat2, 4, EACCESS)                                      \
	CALL(remove_file, "remove", SYS_unlink, 1, REMOVE)                                        \
	CALL(remove_directory, "remove", SYS_rmdir, 1, REMOVE)
#endif

#if defined(OLD_FORMS) && defined(__i386__)
#define KERNEL_CALLS(CALL)                                                                        \
	CALL(kernel_xstat, "__xstat", SYS_stat, 2, KERNEL_STAT)                                   \
	CALL(kernel_lxstat, "__lxstat", SYS_lstat, 2, KERNEL_STAT)                                \
	CALL(kernel_fxstat, "__fxstat", SYS_fstat, 2, KERNEL_STAT)
#else
#define KERNEL_CALLS(CALL)
#endif

#define CALLS(CALL) COMMON_CALLS(CALL) FORM_CALLS(CALL) KERNEL_CALLS(CALL)

// Weak: musl 1.2.3 has neither statx() nor renameat2().
#define DECLARE(name, symbol, number, arity, kind)                                                \
	extern function libc_##name __asm__(symbol) __attribute__((weak));
#define ENTER(name, symbol, number, arity, kind) {number, libc_##name, arity, kind},

CALLS(DECLARE)

struct row {
	long number;
	function *function;
	int arity;
	enum kind kind;
};

static const struct row rows[] = {CALLS(ENTER)};

static word call(function *function, const word words[ARGUMENTS])
{
	return function(words[0], words[1], words[2], words[3], words[4], words[5]);
}

#ifdef SYSTEM_CALL_S_STRUCT
static word call_for_attributes(function *function, word words[ARGUMENTS], int buffer)
{
	(void)buffer;
	return call(function, words);
}
#else
// What the system call writes; this form of the C library's struct differs.
struct kernel_stat {
	unsigned long long dev;
	unsigned pad, short_ino, mode, nlink, uid, gid;
	unsigned long long rdev;
	unsigned pad3;
	long long size;
	unsigned blksize;
	unsigned long long blocks;
	unsigned atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns;
	unsigned long long ino;
};
_Static_assert(sizeof(struct kernel_stat) == 96, "i386: struct stat64 of <asm/stat.h>");

static word call_for_attributes(function *function, word words[ARGUMENTS], int buffer)
{
	struct kernel_stat *target = (struct kernel_stat *)words[buffer];
	struct stat own;
	words[buffer] = (word)&own;
	word result = call(function, words);
	if (result == 0)
		*target = (struct kernel_stat){
			.dev = own.st_dev,
			.short_ino = (unsigned)own.st_ino,
			.mode = own.st_mode,
			.nlink = own.st_nlink,
			.uid = own.st_uid,
			.gid = own.st_gid,
			.rdev = own.st_rdev,
			.size = own.st_size,
			.blksize = (unsigned)own.st_blksize,
			.blocks = (unsigned long long)own.st_blocks,
			.atime = (unsigned)own.st_atim.tv_sec,
			.atime_ns = (unsigned)own.st_atim.tv_nsec,
			.mtime = (unsigned)own.st_mtim.tv_sec,
			.mtime_ns = (unsigned)own.st_mtim.tv_nsec,
			.ctime = (unsigned)own.st_ctim.tv_sec,
			.ctime_ns = (unsigned)own.st_ctim.tv_nsec,
			.ino = own.st_ino,
		};
	return result;
}
#endif

static bool is_directory(word path)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_NOFOLLOW | O_DIRECTORY, 0);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

// Whether the function means the same with these arguments.
static bool stands_for(const struct row *row, const word arguments[ARGUMENTS])
{
	switch (row->kind) {
	case DEVICE:
	case OLD_DEVICE:
		// glibc refuses what exceeds the 32 bits that the kernel looks at.
		return arguments[row->arity - 1] <= UINT32_MAX;
	case EACCESS:
		return (int)arguments[0] == AT_FDCWD && (int)arguments[3] == AT_EACCESS;
	case REMOVE:
		return is_directory(arguments[0]) == (row->number == SYS_rmdir);
	default:
		return true;
	}
}

static word call_row(const struct row *row, const word arguments[ARGUMENTS])
{
	word words[ARGUMENTS] = {0};
	size_t size = (size_t)row->arity * sizeof(word);
	dev_t device;
	switch (row->kind) {
	case ATTRIBUTES:
		memcpy(words, arguments, size);
		return call_for_attributes(row->function, words, row->arity == 4 ? 2 : 1);
	case OLD_STAT:
		words[0] = STAT_VERSION;
		memcpy(words + 1, arguments, size);
		return call_for_attributes(row->function, words, row->arity == 4 ? 3 : 2);
	case KERNEL_STAT:
		words[0] = KERNEL_STAT_VERSION;
		memcpy(words + 1, arguments, size);
		return call(row->function, words);
	case OLD_DEVICE:
		device = arguments[row->arity - 1];
		words[0] = MKNOD_VERSION;
		memcpy(words + 1, arguments, size);
		words[row->arity] = (word)&device;
		return call(row->function, words);
	case EACCESS:
		words[0] = arguments[1];
		words[1] = arguments[2];
		return call(row->function, words);
	default:
		memcpy(words, arguments, size);
		return call(row->function, words);
	}
}

#if defined(__i386__) || !defined(__GLIBC__)
// These C libraries (glibc on x86-64 does not) read paths and write attributes by
// themselves: a bad pointer ends the program there, which stands for EFAULT here.
static sigjmp_buf fault;

static void on_fault(int signal_number)
{
	(void)signal_number;
	siglongjmp(fault, 1);
}

static word call_guarded(const struct row *row, const word arguments[ARGUMENTS])
{
	static const struct sigaction action = {.sa_handler = on_fault};
	sigaction(SIGSEGV, &action, NULL);
	if (sigsetjmp(fault, 1)) {
		errno = EFAULT;
		return (word)-1;
	}
	return call_row(row, arguments);
}
#else
#define call_guarded call_row
#endif

long issue(long number, const word arguments[ARGUMENTS])
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *row = &rows[i];
		if (row->number == number && row->function && stands_for(row, arguments)) {
			word result = call_guarded(row, arguments);
			// The register's high half is nobody's where the function returns 32 bits.
			return row->kind == ID ? (long)(uid_t)result : (int)result;
		}
	}
	return syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
		       arguments[5]);
}
