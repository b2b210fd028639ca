// SPDX-License-Identifier: Apache-2.0
//
// Who may do what to a file, by credentials and by what is shown of it: the rules of
// inode(7) and capabilities(7) as fs/namei.c and fs/attr.c have them. A pure room.
#ifndef FSC_PERMISSION_H
#define FSC_PERMISSION_H

#include "credentials.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <unistd.h>

// inode_owner_or_capable(): changes what only the owner may.
static inline bool permission_owns(const struct credentials *credentials,
				   const struct statx *shown)
{
	return credentials->fsuid == shown->stx_uid || credentials_capable(credentials, CAP_FOWNER);
}

// in_group_or_capable(): keeps a set-group-ID bit of that group.
static inline bool permission_keeps_setgid(const struct credentials *credentials, uint32_t gid)
{
	return credentials_in_group(credentials, gid) || credentials_capable(credentials, CAP_FSETID);
}

// generic_permission(), behind what the file itself grants: mask and granted of R_OK, W_OK,
// X_OK. Returns 0 or -EACCES.
static inline int permission_beyond(const struct credentials *credentials,
				    const struct statx *shown, uint32_t mask, uint32_t granted)
{
	uint32_t mode = shown->stx_mode;
	bool directory = S_ISDIR(mode);
	if (!(mask & ~granted & 7))
		return 0;
	bool only_reads = directory ? !(mask & W_OK) : mask == R_OK;
	if (only_reads && credentials_capable(credentials, CAP_DAC_READ_SEARCH))
		return 0;
	bool may_override = directory || !(mask & X_OK) || mode & 0111;
	return may_override && credentials_capable(credentials, CAP_DAC_OVERRIDE) ? 0 : -EACCES;
}

// The same by the file's mode. ACLs apart: acl_permission.h.
static inline int permission_by_mode(const struct credentials *credentials,
				     const struct statx *shown, uint32_t mask)
{
	uint32_t mode = shown->stx_mode;
	uint32_t granted = credentials->fsuid == shown->stx_uid ? mode >> 6
			   : credentials_in_group(credentials, shown->stx_gid) ? mode >> 3
									       : mode;
	return permission_beyond(credentials, shown, mask, granted);
}

// chown_ok() and chgrp_ok(); ids of UINT32_MAX are left as they are. Returns 0 or -EPERM.
static inline int permission_to_chown(const struct credentials *credentials,
				      const struct statx *shown, uint32_t uid, uint32_t gid)
{
	if (credentials_capable(credentials, CAP_CHOWN))
		return 0;
	bool owner = credentials->fsuid == shown->stx_uid;
	if (uid != UINT32_MAX && !(owner && uid == shown->stx_uid))
		return -EPERM;
	if (gid != UINT32_MAX &&
	    !(owner && (gid == shown->stx_gid || credentials_in_group(credentials, gid))))
		return -EPERM;
	return 0;
}

#endif
