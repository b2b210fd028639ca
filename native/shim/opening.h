// SPDX-License-Identifier: Apache-2.0
#ifndef FSC_SHIM_OPENING_H
#define FSC_SHIM_OPENING_H

#include "shim.h"

// Whether the kernel may make a file of this mode by itself: it will look as it should, and
// stay open to the user. needed: the permissions that takes.
bool opening_is_ordinary(const struct session_page *page, const struct kernel_call *call,
			 unsigned mode, unsigned needed);

// open(2) as libc makes it. What root may open and the user may not, the supervisor opens
// to the user. Returns a descriptor or -errno.
long opening_at(int dirfd, const char *path, int flags, unsigned mode);

// mkdir(2). Returns 0 or -errno.
long creations_mkdir(const char *path, unsigned mode);

// Asks for that. Returns whether another attempt is worth making.
bool opening_heal(int dirfd, const char *path);

#endif
