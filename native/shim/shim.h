// SPDX-License-Identifier: Apache-2.0
//
// The shim: a preloaded object that stands in front of libc's functions and does
// in the program itself what the supervisor would do for it, where reading the
// inode table is all it takes. Everything else it leaves to the supervisor, by
// making the call as libc would: it traps.
//
// It lives in other people's programs, so:
//  - no libc: it is linked against nothing, and works under every one;
//  - no allocation, no lock, no thread-local storage: it is called in signal
//    handlers, between vfork() and exec, and from any number of threads (but for
//    fts(3), which no libc allows there);
//  - errno is set on failure only;
//  - it makes the calls that libc would make, by the same numbers, and further ones
//    (session_may_look()) only where no filter of the program's own can object.
#ifndef FSC_SHIM_H
#define FSC_SHIM_H

#include "chain.h"
#include "inode_table.h"
#include "kernel_call.h"
#include "session_page.h"

#include <stdbool.h>
#include <stddef.h>

// ---- the program's libc (libc.c) ----

// How it asks the kernel for attributes: which numbers, that is.
enum libc_style {
	LIBC_GLIBC_OLD, // before 2.33: stat, lstat, fstat
	LIBC_GLIBC_AT,  // 2.33 to 2.38: newfstatat for all
	LIBC_GLIBC_NEW, // since 2.39: fstat again
	LIBC_OTHER,     // musl, and whatever else: stat, lstat, fstat
};

enum libc_style libc_style(void);

// Turns what the kernel returned into what a C function does, with errno.
long libc_result(long returned);

void libc_set_errno(int error);

// ---- the session (session.c) ----

// What the supervisor publishes, or NULL when there is none: then all calls are
// to be made as they are.
const struct session_page *session_attached(void);

// call: the one at hand, see session_may_look().
enum inode_lookup session_find(const struct kernel_call *call, uint64_t dev, uint64_t ino,
			       struct inode_record *record_ret);
// False while nothing is remembered of any file.
bool session_has_records(void);

// False while every file shows its real mode and type.
bool session_has_modes(const struct session_page *page, const struct kernel_call *call);

// Whether calls may be made that libc would not make. Where that must be asked, it is
// by the number of the call that libc would make now, which must be one that traps.
bool session_may_look(const struct session_page *page, const struct kernel_call *call);

// Whether the process has never left root, as far as that can be told without the
// supervisor.
bool session_is_root(const struct session_page *page, const struct kernel_call *call);

// Makes the call as libc would. It traps, and may be interrupted before the
// supervisor has received it, even where the call never fails with EINTR.
long session_trapped(const struct kernel_call *call);

// The shared memory that targets write, or NULL: also for who may only read it. Joined when it
// is first asked for again, or changes of others are to be read there: many programs make a
// single change, most make none. call: the one at hand.
struct session_writable *session_writable(const struct kernel_call *call);

// ---- changes (looks.c, owners.c) ----

// Makes the call, which changes a file that the supervisor need not find again if it is told
// what it looks like. flags: those with which the call finds it.
long change_trapped(const struct kernel_call *call, int dirfd, const char *path, int flags);

// What the call's file looks like (RULES_CHANGE_ATTRIBUTES). False where that is not to be
// asked.
struct statx;
bool change_look(const struct kernel_call *call, int dirfd, const char *path, int flags,
		 struct statx *seen_ret);
long change_trapped_with_look(const struct kernel_call *call, int dirfd, const char *path,
			      int flags, const struct statx *seen);

// Moves the time of last change of a file that looked like this, as the kernel would for a
// change that is only remembered.
void change_touch(int dirfd, const char *path, int flags, const struct statx *seen);

// Has the supervisor forget what is remembered of a file that has no name (any more).
void change_retire(int fd);

// The path that leads to the descriptor, also where threads have tables of their own:
// "/proc/thread-self/fd/2147483647" at most.
#define CHANGE_LINK_ROOM 32
void change_name_link(int fd, char link_ret[static CHANGE_LINK_ROOM]);

// chown(2) and its kin.
long change_owner(const struct kernel_call *call, int dirfd, const char *path, int flags,
		  unsigned uid, unsigned gid);

// ---- attributes (look.c) ----

// Whether the path of the call at hand leads to a file that may have a record. flags:
// AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH.
bool look_may_be_recorded(const struct kernel_call *call, int dirfd, const char *path, int flags);

// Whether the kernel shows the descriptor's mode: a file with no other one remembered. Of a
// directory the owner must be able to search it, too.
bool look_has_plain_mode(const struct kernel_call *call, int fd, bool searchable);

#endif
