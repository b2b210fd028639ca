// SPDX-License-Identifier: Apache-2.0
//
// The records as fakeroot(1) saves them, a line for each file:
//
//     dev=%x,ino=%u,mode=%o,uid=%u,gid=%u,nlink=%u,rdev=%u
//
// mode has the type; dev and rdev are as stat(2) has them. There is no birth time: a loaded
// record is of whichever file of that number is there, if its type fits. Extended attributes
// cannot be held.
#ifndef FSC_FAKEROOT_TEXT_H
#define FSC_FAKEROOT_TEXT_H

#include "session.h"

#include <stddef.h>

struct fakeroot_text_error {
	size_t line; // from 1
	const char *why;
};

// Puts what the text says into the session, before its first target runs. Returns 0,
// -EINVAL with what is wrong with the text, or -ENOSPC. A file's last line counts.
int fakeroot_text_load(struct session *session, const char *text, size_t size,
		       struct fakeroot_text_error *error_ret);

// Returns the text of all records but the retired ones, sorted, to be freed, with its size in bytes
// and the number of records whose extended attributes are not in it; NULL: no memory.
char *fakeroot_text_dump(struct session *session, size_t *size_ret, size_t *with_xattrs_ret);

#endif
