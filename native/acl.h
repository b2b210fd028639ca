// SPDX-License-Identifier: Apache-2.0
//
// acl(5) in the form that extended attributes have them, <linux/posix_acl_xattr.h>. A
// pure room.
#ifndef FSC_ACL_H
#define FSC_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

// posix_acl_from_xattr(): what a value is to every file system. Returns 1 for an ACL, valid or
// not, 0 for one without entries, which stands for none, or -errno.
int acl_form(const void *acl, size_t size);

// posix_acl_valid()
bool acl_is_valid(const void *acl, size_t size);

// The nine permission bits that the ACL shows as a mode, and whether it says no more than
// those do (posix_acl_equiv_mode()). Returns false for what is no ACL.
bool acl_mode(const void *acl, size_t size, uint32_t *mode_ret, bool *is_mode_ret);

// Makes the ACL show this mode: its owner's, others', and mask's or group's entries.
void acl_set_mode(void *acl, size_t size, uint32_t mode);

// posix_acl_permission() of all but the file's owner: mask of R_OK, W_OK, X_OK. group: the
// file's.
struct credentials;
bool acl_grants(const void *acl, size_t size, const struct credentials *credentials,
		uint32_t group, uint32_t mask);

#endif
