// SPDX-License-Identifier: Apache-2.0
//
// capabilities(7) of files: remembered with a mark of the contents that they were given
// to. Writing takes them away, as in the kernel (file_remove_privs()), without a call that
// we see: the mark is the time of the last modification and the size, and, since touch(1)
// sets that time too, a checksum of the contents, which is compared where only the time
// has changed.
#ifndef FSC_FILE_CAPABILITY_H
#define FSC_FILE_CAPABILITY_H

#include "credential_rules.h"
#include "session.h"
#include "xattr_store.h"

#include <linux/stat.h>

#define FILE_CAPABILITY_MOST 24 // bytes: XATTR_CAPS_SZ_3

// cap_convert_nscap() and what reading it back shows: bytes of a value, changed in place.
// Returns its size or -EINVAL.
int file_capability_convert(void *value, size_t size);

// A checksum of what is in a regular file, by an O_PATH descriptor: to be taken without a
// lock. False for a file that is too large, changes meanwhile or cannot be read.
#define FILE_CONTENTS_MOST ((uint64_t)64 << 20)
bool file_contents(int fd, uint64_t *contents_ret);

// Keeps a value for a file with these attributes, and contents unless NULL. Returns 0 or
// -ENOMEM.
int file_capability_put(struct session *session, uint32_t *xattrs, const struct statx *real,
			const uint64_t *contents, const void *value, size_t size);

// Whether one that is remembered still holds; fd: of the file, or -1.
bool file_capability_holds(struct session *session, uint32_t xattrs, const struct statx *real,
			   int fd);

// The modification time has been set, not the contents changed.
void file_capability_touch(struct session *session, uint32_t *xattrs, const struct statx *real);

// Whether an attribute of that name, which may be our mark, may have so many bytes.
bool file_capability_fits(const char *name, size_t size);

// Takes it away. Whether the file really has one of its own is for the kernel to see to.
void file_capability_drop(struct session *session, uint32_t xattrs);

// What execve(2) goes by; leaves the file's other parts alone.
void file_capability_execute(struct session *session, uint32_t xattrs,
			     struct executed_file *file);

#endif
