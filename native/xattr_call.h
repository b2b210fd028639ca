// SPDX-License-Identifier: Apache-2.0
//
// What the calls on extended attributes share: arguments, and the file.
#ifndef FSC_XATTR_CALL_H
#define FSC_XATTR_CALL_H

#include "inode_table.h"
#include "request.h"
#include "resolve.h"
#include "xattr_rules.h"

#include <limits.h>
#include <stddef.h>

#define XATTR_NAME_ROOM (XATTR_NAME_MAX + 1)

// struct xattr_args, <linux/xattr.h> (Linux 6.13), or the registers in its place.
struct xattr_call {
	char name[XATTR_NAME_ROOM];
	enum xattr_kind kind;
	uint64_t value; // address
	size_t size;
	uint32_t flags;
};

// A file that is asked for or changed.
struct xattr_file {
	struct subject subject;
	struct inode_record record;
	struct statx shown;
	char link[32]; // leads to the pinned file, symbolic link as it may be
};

#define XATTR_FILE_NONE_YET {.subject = SUBJECT_NONE_YET}

static inline void xattr_file_close(struct xattr_file *file)
{
	subject_close(&file->subject);
}

// Reads the arguments. Returns false where the kernel will refuse them, whoever asks.
bool xattr_call_read(struct request *request, struct xattr_call *call_ret);

enum xattr_aim {
	XATTR_TO_READ,
	XATTR_TO_CHANGE,
	XATTR_TO_REMEMBER, // what is real need not be touched: the file may stay unpinned
};

// Pins the file and finds what is remembered of it. Returns 0, -errno or RESOLVE_LEAVE.
int xattr_file_find(struct request *request, enum xattr_aim aim, struct xattr_file *file_ret);

// What attributes of the user's own kind ask: acl_permission(). 0 for others.
int xattr_file_may(struct request *request, enum xattr_kind kind, const struct xattr_file *file,
		   uint32_t mask);

// xattr_resolve_name(): whether the file may have such a one at all. Returns 0 or -errno.
int xattr_file_takes(const struct session *session, const struct xattr_file *file,
		     const char *name);

// Reads the record anew, under the lock of the file that the caller holds.
void xattr_file_edit(struct session *session, struct xattr_file *file);

#endif
