// SPDX-License-Identifier: Apache-2.0
//
// From what a call names to the file it means, as path_resolution(7) would have
// it for the target.
#ifndef FSC_RESOLVE_H
#define FSC_RESOLVE_H

#include "request.h"
#include "rules.h"

#include <limits.h>
#include <linux/stat.h>
#include <stdbool.h>
#include <unistd.h>

// The call cannot be looked into from outside (the target is not dumpable, say):
// the kernel executes it as it stands. Told from errors, which are negative.
#define RESOLVE_LEAVE 1

// A file, pinned.
struct subject {
	int fd; // O_PATH
	struct statx real;
};

// A directory entry: its directory, pinned, and the last component of the path
// with any trailing slashes, as the call gave them.
struct entry {
	int dirfd; // O_PATH
	char name[PATH_MAX];
};

#define SUBJECT_NONE_YET {.fd = -1}

static inline void subject_close(struct subject *subject)
{
	if (subject->fd >= 0)
		close(subject->fd);
}

static inline void entry_close(struct entry *entry)
{
	if (entry->dirfd >= 0)
		close(entry->dirfd);
}

// statx(2) of the file that the row's path or descriptor names; flags: those of
// the call. Returns 0, -errno or RESOLVE_LEAVE. -ENOENT is certain, and may be
// answered; of any other error the kernel knows best which comes first.
int resolve_statx(struct request *request, int flags, unsigned mask, struct statx *real_ret);

// Pins that file and reads its attributes with its birth time. Errors come in
// the kernel's order. Returns 0, -errno or RESOLVE_LEAVE.
int resolve_subject(struct request *request, int flags, struct subject *subject_ret);

// Pins what the row's dirfd argument itself is open on. Returns 0, -errno or RESOLVE_LEAVE.
int resolve_descriptor(struct request *request, struct subject *subject_ret);

// Pins the directory that the row's relative paths start from, by dirfd or without. Returns
// as resolve_descriptor() does.
int resolve_base(struct request *request, struct subject *subject_ret);

// Cuts a path behind its directory, which may leave nothing. False where it has no last
// component.
bool resolve_split(char raw[static PATH_MAX], char name_ret[static PATH_MAX]);

// Finds the directory of a path given by these argument positions (dirfd: -1 for
// a call without). Returns 0, -errno, or RESOLVE_LEAVE; also for a path without
// a last component ("/", "..", ""), which no call here can act on.
int resolve_entry(struct request *request, int dirfd, int path, struct entry *entry_ret);

// Opens the way to the file that the row's path names, and the file, to the user, as far as
// the caller's credentials may pass everywhere: heal.h. Returns 0, or -EACCES where
// nothing is to be done.
int resolve_heal(struct request *request);

// The same for a path that has been read, and the target's descriptor that it starts from.
// It is cut short in place.
int resolve_entry_text(struct request *request, int base, char *raw, struct entry *entry_ret);

// The attributes every rule needs, of a pinned file. Returns 0 or -errno.
int resolve_attributes(int fd, struct statx *real_ret);
#define RESOLVE_ATTRIBUTES RULES_CHANGE_ATTRIBUTES

// Whether the descriptor in the row's fd argument was opened with O_PATH, which
// fchown(2) and fchmod(2) answer with EBADF.
bool resolve_descriptor_is_path_only(const struct request *request);

#endif
