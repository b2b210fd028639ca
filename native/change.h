// SPDX-License-Identifier: Apache-2.0
//
// What chown(2) and chmod(2) share: a file about to be changed.
#ifndef FSC_CHANGE_H
#define FSC_CHANGE_H

#include "resolve.h"

// Finds the file that the call changes and asks what the kernel would ask of
// real root: flags (EINVAL), O_PATH descriptors (EBADF), read-only mounts
// (EROFS), immutable and append-only files (EPERM). The file is pinned if so
// wanted; otherwise subject_ret->fd may be -1. Returns 0, -errno or
// RESOLVE_LEAVE.
int change_begin(struct request *request, bool pin, struct subject *subject_ret);

// Moves the file's time of last change, as the kernel would have for a change that is only
// remembered; a target whose shim has looked at the file does so itself. Returns 0 or -errno.
int change_touch(struct request *request, const struct subject *subject);

// Makes an outcome of what change_begin() or a change returned.
void change_outcome(struct outcome *outcome, int result);

#endif
