// SPDX-License-Identifier: Apache-2.0
//
// setxattr(2) and removexattr(2): what the user may do is done, the rest is remembered.
#include "acl.h"
#include "change.h"
#include "chmod.h"
#include "credentials.h"
#include "file_capability.h"
#include "metadata.h"
#include "scope.h"
#include "target.h"
#include "xattr_call.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

struct value {
	unsigned char *bytes; // size and one more
	size_t size;
};

static void value_free(struct value *value)
{
	free(value->bytes);
}

static int read_value(struct request *request, const struct xattr_call *call,
		      struct value *value_ret)
{
	value_ret->size = call->size;
	value_ret->bytes = malloc(call->size + 1);
	if (!value_ret->bytes)
		return -ENOMEM;
	return call->size ? target_read(request->tid, call->value, value_ret->bytes, call->size)
			  : 0;
}

// Whether a real change was refused in a way that root's would not have been, or by a file
// system that knows no such attributes.
static bool is_root_s(int error)
{
	return error == EPERM || error == EACCES || error == EOPNOTSUPP;
}

static bool has_value(struct session *session, const struct xattr_file *file, const char *name)
{
	switch (xattr_store_get(session, file->record.xattrs, name, NULL, NULL)) {
	case XATTR_VALUE:
		return strcmp(name, XATTR_CAPABILITY) != 0 ||
		       file_capability_holds(session, file->record.xattrs, &file->subject.real,
					     file->subject.fd);
	case XATTR_REMOVED:
		return false;
	default:
		return getxattr(file->link, name, NULL, 0) >= 0;
	}
}

static int store_record(struct session *session, struct xattr_file *file)
{
	if (file->record.xattrs)
		atomic_fetch_add(&session->page->xattr_records, 1);
	return metadata_store(session, &file->record);
}

// The same of a valid ACL: in a user namespace it may name ids that are mapped to nobody, which
// the kernel cannot hold (EINVAL).
static bool is_root_s_acl(int error)
{
	return is_root_s(error) || error == EINVAL;
}

static bool is_modified_as(const struct statx *one, const struct statx *other)
{
	return one->stx_mtime.tv_sec == other->stx_mtime.tv_sec &&
	       one->stx_mtime.tv_nsec == other->stx_mtime.tv_nsec;
}

// Keeps a value in the record; the caller has done, or left alone, what is real.
static int remember(struct session *session, struct xattr_file *file,
		    const struct xattr_call *call, const struct value *value)
{
	uint64_t contents;
	bool is_capability = strcmp(call->name, XATTR_CAPABILITY) == 0;
	struct statx before = file->subject.real;
	bool has_contents = is_capability && file->subject.fd >= 0 &&
			    resolve_attributes(file->subject.fd, &before) == 0 &&
			    file_contents(file->subject.fd, &contents);
	SCOPED_LOCK held = metadata_lock(session, &file->subject.real);
	xattr_file_edit(session, file);
	// Of what has been written meanwhile it is not known.
	has_contents = has_contents && is_modified_as(&before, &file->subject.real);
	bool there = call->flags && has_value(session, file, call->name);
	if (call->flags & XATTR_CREATE && there)
		return -EEXIST;
	if (call->flags & XATTR_REPLACE && !there)
		return -ENODATA;
	uint32_t *xattrs = &file->record.xattrs;
	int error = is_capability
			    ? file_capability_put(session, xattrs, &file->subject.real,
						  has_contents ? &contents : NULL, value->bytes,
						  value->size)
			    : xattr_store_put(session, xattrs, call->name, value->bytes,
					      value->size);
	return error ? error : store_record(session, file);
}

static int remember_in_place(struct request *request, struct xattr_file *file,
			     const struct xattr_call *call, const struct value *value)
{
	int error = remember(request->session, file, call, value);
	if (!error)
		change_touch(request, &file->subject);
	return error;
}

static void drop_remembered(struct session *session, struct xattr_file *file, const char *name)
{
	SCOPED_LOCK held = metadata_lock(session, &file->subject.real);
	xattr_file_edit(session, file);
	if (file->record.xattrs == 0)
		return;
	xattr_store_drop(session, file->record.xattrs, name);
	metadata_store(session, &file->record);
}

static bool is_remembered(struct session *session, const struct xattr_file *file,
			  const char *name)
{
	return xattr_store_get(session, file->record.xattrs, name, NULL, NULL) !=
	       XATTR_UNKNOWN;
}

static int set_user(struct request *request, struct xattr_file *file,
		    const struct xattr_call *call, const struct value *value)
{
	if (!is_remembered(request->session, file, call->name)) {
		if (setxattr(file->link, call->name, value->bytes, value->size,
			     (int)call->flags) == 0)
			return 0;
		if (!is_root_s(errno))
			return -errno;
	}
	return remember_in_place(request, file, call, value);
}

// The owner's permissions are real only as far as the user stays able to work.
static int set_access_acl(struct request *request, struct xattr_file *file,
			  const struct xattr_call *call, const struct value *value)
{
	struct session *session = request->session;
	uint32_t mode;
	bool is_mode;
	acl_mode(value->bytes, value->size, &mode, &is_mode);
	uint32_t special = file->shown.stx_mode & 07000u;
	if (!permission_keeps_setgid(credentials_of(request), file->shown.stx_gid))
		special &= ~(uint32_t)S_ISGID;
	if (is_mode) {
		// One that says more gives way, as it does in the kernel.
		removexattr(file->link, ACL_ACCESS);
		drop_remembered(session, file, ACL_ACCESS);
		return chmod_change(session, &file->subject, special | mode);
	}
	SCOPED_FREE unsigned char *real = malloc(value->size);
	if (!real)
		return -ENOMEM;
	memcpy(real, value->bytes, value->size);
	uint32_t kept = S_ISDIR(file->shown.stx_mode) ? 0700 : 0600;
	acl_set_mode(real, value->size, mode | kept);
	if (setxattr(file->link, ACL_ACCESS, real, value->size, 0) == 0) {
		drop_remembered(session, file, ACL_ACCESS);
		return chmod_remember(session, &file->subject, special | mode);
	}
	if (!is_root_s_acl(errno))
		return -errno;
	removexattr(file->link, ACL_ACCESS);
	int error = remember_in_place(request, file, call, value);
	return error ? error : chmod_remember(session, &file->subject, special | mode);
}

static int set_default_acl(struct request *request, struct xattr_file *file,
			   const struct xattr_call *call, const struct value *value)
{
	struct session *session = request->session;
	if (setxattr(file->link, ACL_DEFAULT, value->bytes, value->size, 0) == 0) {
		drop_remembered(session, file, ACL_DEFAULT);
		return 0;
	}
	if (!is_root_s_acl(errno))
		return -errno;
	removexattr(file->link, ACL_DEFAULT);
	return remember_in_place(request, file, call, value);
}

static int remove_one(struct request *request, struct xattr_file *file, const char *name);

static int set_acl(struct request *request, struct xattr_file *file, const struct xattr_call *call,
		   const struct value *value)
{
	if (acl_form(value->bytes, value->size) == 0)
		return remove_one(request, file, call->name);
	if (!acl_is_valid(value->bytes, value->size))
		return -EINVAL;
	return strcmp(call->name, ACL_ACCESS) == 0
		       ? set_access_acl(request, file, call, value)
		       : set_default_acl(request, file, call, value);
}

// Of links, and of default ACLs for anything but directories, the kernel says the same to
// everybody.
static bool takes_acl(const struct xattr_file *file, const char *name)
{
	return !S_ISLNK(file->shown.stx_mode) &&
	       (S_ISDIR(file->shown.stx_mode) || strcmp(name, ACL_ACCESS) == 0);
}

// Whether there is one already, for real, only the flags ask.
static enum xattr_aim aim_of(const struct xattr_call *call)
{
	bool remembered = call->kind == XATTR_KIND_TRUSTED || call->kind == XATTR_KIND_SECURITY;
	// The contents of a file with capabilities are looked at.
	remembered = remembered && call->flags == 0 && strcmp(call->name, XATTR_CAPABILITY) != 0;
	return remembered ? XATTR_TO_REMEMBER : XATTR_TO_CHANGE;
}

static int set(struct request *request, const struct xattr_call *call)
{
	struct session *session = request->session;
	SCOPED(xattr_file_close) struct xattr_file file = XATTR_FILE_NONE_YET;
	SCOPED(value_free) struct value value = {0};
	int error = read_value(request, call, &value);
	if (error)
		return RESOLVE_LEAVE;
	error = xattr_file_find(request, aim_of(call), &file);
	if (error)
		return error;
	if (call->kind == XATTR_KIND_ACL && !takes_acl(&file, call->name))
		return RESOLVE_LEAVE;
	if (call->kind == XATTR_KIND_ACL)
		error = acl_form(value.bytes, value.size);
	if (error < 0)
		return error;
	if (strcmp(call->name, XATTR_CAPABILITY) == 0 && value.size > 0) {
		int size = file_capability_convert(value.bytes, value.size);
		if (size < 0)
			return size;
		value.size = (size_t)size;
	}
	error = xattr_file_may(request, call->kind, &file, W_OK);
	error = xattr_may_change(credentials_of(request), call->name, call->kind, &file.shown,
				 error);
	if (!error)
		error = xattr_file_takes(session, &file, call->name);
	if (error)
		return error;
	switch (call->kind) {
	case XATTR_KIND_USER:
		return set_user(request, &file, call, &value);
	case XATTR_KIND_ACL:
		return set_acl(request, &file, call, &value);
	default:
		return remember_in_place(request, &file, call, &value);
	}
}

// Of a name that no file system knows root is told so. The user may be refused before.
static int refuse_other(struct request *request)
{
	SCOPED(xattr_file_close) struct xattr_file file = XATTR_FILE_NONE_YET;
	if (!credentials_capable(credentials_of(request), CAP_DAC_OVERRIDE) ||
	    xattr_file_find(request, XATTR_TO_CHANGE, &file) != 0)
		return RESOLVE_LEAVE;
	return access(file.link, W_OK) < 0 && errno == EACCES ? -EOPNOTSUPP : RESOLVE_LEAVE;
}

void op_setxattr(struct request *request, struct outcome *outcome)
{
	struct xattr_call call;
	outcome_continue(outcome);
	if (!xattr_call_read(request, &call) || call.size > XATTR_SIZE_MAX ||
	    call.flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE))
		return;
	if (call.kind == XATTR_KIND_OTHER) {
		change_outcome(outcome, refuse_other(request));
		return;
	}
	// do_set_acl() does without.
	if (call.kind == XATTR_KIND_ACL)
		call.flags = 0;
	change_outcome(outcome, set(request, &call));
}

static int forget_one(struct session *session, struct xattr_file *file, const char *name, bool hide)
{
	SCOPED_LOCK held = metadata_lock(session, &file->subject.real);
	xattr_file_edit(session, file);
	if (strcmp(name, XATTR_CAPABILITY) == 0)
		file_capability_drop(session, file->record.xattrs);
	xattr_store_drop(session, file->record.xattrs, name);
	int error = hide ? xattr_store_put(session, &file->record.xattrs, name, NULL, 0) : 0;
	return error ? error : store_record(session, file);
}

// What the user cannot remove is remembered to be gone.
static int remove_one(struct request *request, struct xattr_file *file, const char *name)
{
	struct session *session = request->session;
	bool was_there = has_value(session, file, name);
	bool really = getxattr(file->link, name, NULL, 0) >= 0;
	int error = 0;
	// The kernel does not mind an ACL that is not there.
	if (!was_there)
		return xattr_kind(name) == XATTR_KIND_ACL ? 0 : -ENODATA;
	if (really && removexattr(file->link, name) < 0)
		error = -errno;
	if (error && !is_root_s(-error))
		return error;
	bool hide = error != 0;
	error = forget_one(session, file, name, hide);
	if (!error && (hide || !really))
		change_touch(request, &file->subject);
	return error;
}

static int remove_attribute(struct request *request, const struct xattr_call *call)
{
	struct session *session = request->session;
	SCOPED(xattr_file_close) struct xattr_file file = XATTR_FILE_NONE_YET;
	int error = xattr_file_find(request, XATTR_TO_CHANGE, &file);
	if (error)
		return error;
	if (call->kind == XATTR_KIND_ACL && !takes_acl(&file, call->name))
		return RESOLVE_LEAVE;
	error = xattr_file_may(request, call->kind, &file, W_OK);
	error = xattr_may_change(credentials_of(request), call->name, call->kind, &file.shown,
				 error);
	if (!error)
		error = xattr_file_takes(session, &file, call->name);
	if (error)
		return error;
	return remove_one(request, &file, call->name);
}

void op_removexattr(struct request *request, struct outcome *outcome)
{
	struct xattr_call call;
	outcome_continue(outcome);
	if (xattr_call_read(request, &call))
		change_outcome(outcome, call.kind == XATTR_KIND_OTHER
						? refuse_other(request)
						: remove_attribute(request, &call));
}
