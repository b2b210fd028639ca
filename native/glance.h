// SPDX-License-Identifier: Apache-2.0
//
// How a file looks without being pinned: its attributes and its record as of one
// moment.
#ifndef FSC_GLANCE_H
#define FSC_GLANCE_H

#include "request.h"
#include "rules.h"

// statx(2), with RULES_ATTRIBUTES added, of the file that the row names, and the
// file's record, or an empty one. Returns as resolve_statx() does.
int glance(struct request *request, int flags, unsigned mask, struct statx *real_ret,
	   struct inode_record *record_ret);

#endif
