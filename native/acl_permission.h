// SPDX-License-Identifier: Apache-2.0
//
// Who may do what to a file that may have an ACL.
#ifndef FSC_ACL_PERMISSION_H
#define FSC_ACL_PERMISSION_H

#include "inode_table.h"
#include "permission.h"

struct session;

// generic_permission(): mask of R_OK, W_OK, X_OK. file: any descriptor of it; record: what
// is remembered of it. Returns 0 or -EACCES.
int acl_permission(struct session *session, const struct credentials *credentials, int file,
		   const struct inode_record *record, const struct statx *shown, uint32_t mask);

// Whether that may say something else than permission_by_mode().
bool acl_has_a_say(const struct credentials *credentials, const struct statx *shown);

#endif
