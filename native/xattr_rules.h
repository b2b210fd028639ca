// SPDX-License-Identifier: Apache-2.0
//
// xattr(7): who may set and see which names.
#ifndef FSC_XATTR_RULES_H
#define FSC_XATTR_RULES_H

#include "acl.h"
#include "permission.h"

#include <linux/xattr.h>
#include <string.h>

#define XATTR_CAPABILITY XATTR_SECURITY_PREFIX "capability"

enum xattr_kind {
	XATTR_KIND_USER,
	XATTR_KIND_TRUSTED,
	XATTR_KIND_SECURITY,
	XATTR_KIND_ACL,
	XATTR_KIND_OTHER, // the kernel refuses, or knows better
};

static inline bool xattr_has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

// xattr_resolve_name(): a prefix alone is refused (EINVAL), after the permissions.
static inline bool xattr_is_bare(const char *name)
{
	return strcmp(name, XATTR_USER_PREFIX) == 0 || strcmp(name, XATTR_TRUSTED_PREFIX) == 0 ||
	       strcmp(name, XATTR_SECURITY_PREFIX) == 0;
}

static inline enum xattr_kind xattr_kind(const char *name)
{
	if (strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0)
		return XATTR_KIND_ACL;
	if (xattr_has_prefix(name, XATTR_USER_PREFIX))
		return XATTR_KIND_USER;
	if (xattr_has_prefix(name, XATTR_TRUSTED_PREFIX))
		return XATTR_KIND_TRUSTED;
	if (xattr_has_prefix(name, XATTR_SECURITY_PREFIX))
		return XATTR_KIND_SECURITY;
	return XATTR_KIND_OTHER;
}

// xattr_permission(): user attributes are for files that have contents of their own.
static inline bool xattr_takes_user(const struct statx *shown)
{
	return S_ISREG(shown->stx_mode) || S_ISDIR(shown->stx_mode);
}

// To set or remove one. writes: acl_permission() to write to the file, of user attributes.
// Returns 0 or -errno.
static inline int xattr_may_change(const struct credentials *credentials, const char *name,
				   enum xattr_kind kind, const struct statx *shown, int writes)
{
	switch (kind) {
	case XATTR_KIND_USER:
		if (!xattr_takes_user(shown))
			return -EPERM;
		if (S_ISDIR(shown->stx_mode) && shown->stx_mode & S_ISVTX &&
		    !permission_owns(credentials, shown))
			return -EPERM;
		return writes;
	case XATTR_KIND_TRUSTED:
		return credentials_capable(credentials, CAP_SYS_ADMIN) ? 0 : -EPERM;
	case XATTR_KIND_SECURITY: {
		bool capability = strcmp(name, XATTR_CAPABILITY) == 0;
		return credentials_capable(credentials, capability ? CAP_SETFCAP : CAP_SYS_ADMIN)
			       ? 0
			       : -EPERM;
	}
	case XATTR_KIND_ACL:
		return permission_owns(credentials, shown) ? 0 : -EPERM;
	default:
		return 0;
	}
}

// To read one. reads: acl_permission() to read the file, of user attributes.
static inline int xattr_may_see(const struct credentials *credentials, enum xattr_kind kind,
				const struct statx *shown, int reads)
{
	if (kind == XATTR_KIND_TRUSTED)
		return credentials_capable(credentials, CAP_SYS_ADMIN) ? 0 : -ENODATA;
	if (kind == XATTR_KIND_USER)
		return xattr_takes_user(shown) ? reads : -ENODATA;
	return 0;
}

#endif
