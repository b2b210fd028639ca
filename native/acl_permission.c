// SPDX-License-Identifier: Apache-2.0
#include "acl_permission.h"

#include "acl.h"
#include "scope.h"
#include "xattr_store.h"

#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>

#define GROUP_BITS 070u // the ACL's mask, if there is an ACL

// acl_permission_check(): the owner's permissions are in the mode, and an ACL whose mask is
// empty is not asked. Whoever overrides modes overrides ACLs, too: what one grants shows
// in the mode's group bits.
bool acl_has_a_say(const struct credentials *credentials, const struct statx *shown)
{
	return credentials->fsuid != shown->stx_uid && shown->stx_mode & GROUP_BITS &&
	       !S_ISLNK(shown->stx_mode) && !credentials_capable(credentials, CAP_DAC_OVERRIDE);
}

// Returns its size, or -1 where there is none.
static ssize_t read_acl(struct session *session, int file, const struct inode_record *record,
			void *acl_ret)
{
	char name[32];
	size_t size = 0;
	switch (xattr_store_get(session, record->xattrs, ACL_ACCESS, acl_ret, &size)) {
	case XATTR_VALUE:
		return (ssize_t)size;
	case XATTR_REMOVED:
		return -1;
	default:
		snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
		return getxattr(name, ACL_ACCESS, acl_ret, XATTR_SIZE_MAX);
	}
}

int acl_permission(struct session *session, const struct credentials *credentials, int file,
		   const struct inode_record *record, const struct statx *shown, uint32_t mask)
{
	if (!acl_has_a_say(credentials, shown))
		return permission_by_mode(credentials, shown, mask);
	SCOPED_FREE unsigned char *acl = malloc(XATTR_SIZE_MAX);
	ssize_t size = acl ? read_acl(session, file, record, acl) : -1;
	if (size <= 0)
		return permission_by_mode(credentials, shown, mask);
	acl_set_mode(acl, (size_t)size, shown->stx_mode);
	bool granted = acl_grants(acl, (size_t)size, credentials, shown->stx_gid, mask);
	return permission_beyond(credentials, shown, mask, granted ? mask : 0);
}
