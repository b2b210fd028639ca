// SPDX-License-Identifier: Apache-2.0
//
// getxattr(2) and listxattr(2): what is remembered stands in front of what is real.
#include "answer.h"
#include "credentials.h"
#include "file_capability.h"
#include "scope.h"
#include "target.h"
#include "xattr_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

// Hands out bytes, or their number where no room is offered.
static void hand_out(struct request *request, struct outcome *outcome,
		     const struct xattr_call *call, const void *bytes, size_t size)
{
	int error = 0;
	if (call->size > 0 && size > call->size)
		error = -ERANGE;
	else if (call->size > 0 && size > 0)
		error = notification_valid(request)
				? target_write(request->tid, call->value, bytes, size)
				: -ESRCH;
	if (error)
		outcome_result(outcome, error);
	else
		outcome_value(outcome, (int64_t)size);
}

// A capability that the file has lost by being written to is no more.
static enum xattr_known recall(struct session *session, const struct xattr_file *file,
			       const char *name, void *value, size_t *size)
{
	uint32_t xattrs = file->record.xattrs;
	if (strcmp(name, XATTR_CAPABILITY) == 0 && xattrs != 0 &&
	    xattr_store_get(session, xattrs, name, NULL, NULL) == XATTR_VALUE &&
	    !file_capability_holds(session, xattrs, &file->subject.real, file->subject.fd))
		return XATTR_REMOVED;
	return xattr_store_get(session, xattrs, name, value, size);
}

// An access ACL and the mode are one: what is shown of the one must show in the other. (Of a
// real ACL and a real mode the kernel sees to it.)
static void fit_acl(const struct xattr_file *file, const char *name, void *value, size_t size)
{
	if (strcmp(name, ACL_ACCESS) == 0)
		acl_set_mode(value, size, file->shown.stx_mode);
}

// The user is told ENODATA of all of them. Root is, where the file system has such
// attributes at all.
static int why_untrusted(const struct xattr_file *file)
{
	bool none = getxattr(file->link, XATTR_SECURITY_PREFIX "none", NULL, 0) < 0 &&
		    errno == EOPNOTSUPP;
	return none ? -EOPNOTSUPP : -ENODATA;
}

// A file that has one ACL remembered has the other one or has not, whatever its file system knows.
static bool remembers_acl(struct session *session, const struct xattr_file *file)
{
	uint32_t xattrs = file->record.xattrs;
	return xattr_store_get(session, xattrs, ACL_ACCESS, NULL, NULL) != XATTR_UNKNOWN ||
	       xattr_store_get(session, xattrs, ACL_DEFAULT, NULL, NULL) != XATTR_UNKNOWN;
}

// What root is told where the user is told that there is none.
static int why_none(struct session *session, const struct xattr_call *call,
		    const struct xattr_file *file, int error)
{
	if (call->kind == XATTR_KIND_TRUSTED)
		return why_untrusted(file);
	if (call->kind == XATTR_KIND_ACL && error == EOPNOTSUPP && remembers_acl(session, file))
		return -ENODATA;
	return RESOLVE_LEAVE;
}

static int get(struct request *request, struct outcome *outcome, const struct xattr_call *call)
{
	struct session *session = request->session;
	SCOPED(xattr_file_close) struct xattr_file file = XATTR_FILE_NONE_YET;
	int error = xattr_file_find(request, XATTR_TO_READ, &file);
	if (error)
		return error;
	error = xattr_file_may(request, call->kind, &file, R_OK);
	error = xattr_may_see(credentials_of(request), call->kind, &file.shown, error);
	if (!error)
		error = xattr_file_takes(session, &file, call->name);
	if (error)
		return error;
	SCOPED_FREE unsigned char *value = malloc(XATTR_SIZE_MAX);
	size_t size = 0;
	if (!value)
		return -ENOMEM;
	switch (recall(session, &file, call->name, value, &size)) {
	case XATTR_REMOVED:
		return -ENODATA;
	case XATTR_VALUE:
		break;
	case XATTR_UNKNOWN: {
		ssize_t got = getxattr(file.link, call->name, value, XATTR_SIZE_MAX);
		if (got < 0)
			return why_none(session, call, &file, errno);
		size = (size_t)got;
	}
	}
	// cap_inode_getsecurity() reads what it hands out.
	if (size == 0 && strcmp(call->name, XATTR_CAPABILITY) == 0)
		return -EINVAL;
	fit_acl(&file, call->name, value, size);
	hand_out(request, outcome, call, value, size);
	return 0;
}

static void settle(struct outcome *outcome, int result)
{
	if (result < 0)
		outcome_result(outcome, result);
}

// Of a name that no file system knows root is told so. The user may be refused before.
static int refuse_other(struct request *request, const struct xattr_call *call)
{
	SCOPED(xattr_file_close) struct xattr_file file = XATTR_FILE_NONE_YET;
	if (!credentials_capable(credentials_of(request), CAP_DAC_OVERRIDE) ||
	    xattr_file_find(request, XATTR_TO_READ, &file) != 0)
		return RESOLVE_LEAVE;
	bool refused = getxattr(file.link, call->name, NULL, 0) < 0 && errno == EACCES;
	return refused ? -EOPNOTSUPP : RESOLVE_LEAVE;
}

void op_getxattr(struct request *request, struct outcome *outcome)
{
	struct xattr_call call;
	outcome_continue(outcome);
	if (!xattr_call_read(request, &call))
		return;
	if (call.kind == XATTR_KIND_OTHER) {
		settle(outcome, refuse_other(request, &call));
		return;
	}
	// Nothing is remembered that could stand in front of what is real.
	bool plain = atomic_load(&request->session->page->xattr_records) == 0 &&
		     atomic_load(&request->session->page->left_root) == 0;
	if (!plain || call.kind == XATTR_KIND_TRUSTED || xattr_is_bare(call.name) ||
	    (call.kind == XATTR_KIND_ACL &&
	     inode_table_count(&request->session->table) > 0))
		settle(outcome, get(request, outcome, &call));
}

struct listing {
	char *names;
	size_t size;
	bool sees_trusted;
};

static void remove_name(struct listing *listing, const char *name)
{
	for (size_t at = 0; at < listing->size;) {
		size_t length = strlen(listing->names + at) + 1;
		if (strcmp(listing->names + at, name) == 0) {
			memmove(listing->names + at, listing->names + at + length,
				listing->size - at - length);
			listing->size -= length;
			return;
		}
		at += length;
	}
}

static void merge_name(const char *name, bool has_value, void *context)
{
	struct listing *listing = context;
	size_t length = strlen(name) + 1;
	remove_name(listing, name);
	bool hidden = *name == '\1' || (xattr_kind(name) == XATTR_KIND_TRUSTED &&
					!listing->sees_trusted);
	if (!has_value || hidden || listing->size + length > XATTR_LIST_MAX)
		return;
	memcpy(listing->names + listing->size, name, length);
	listing->size += length;
}

static int list(struct request *request, struct outcome *outcome, const struct xattr_call *call)
{
	struct session *session = request->session;
	SCOPED(xattr_file_close) struct xattr_file file = XATTR_FILE_NONE_YET;
	int error = xattr_file_find(request, XATTR_TO_READ, &file);
	if (error)
		return error;
	if (file.record.xattrs == 0)
		return RESOLVE_LEAVE;
	SCOPED_FREE char *names = malloc(XATTR_LIST_MAX);
	if (!names)
		return -ENOMEM;
	ssize_t real = listxattr(file.link, names, XATTR_LIST_MAX);
	struct listing listing = {
		.names = names,
		.size = real > 0 ? (size_t)real : 0,
		.sees_trusted = credentials_capable(credentials_of(request), CAP_SYS_ADMIN),
	};
	xattr_store_visit(session, file.record.xattrs, merge_name, &listing);
	if (recall(session, &file, XATTR_CAPABILITY, NULL, NULL) == XATTR_REMOVED)
		remove_name(&listing, XATTR_CAPABILITY);
	hand_out(request, outcome, call, names, listing.size);
	return 0;
}

void op_listxattr(struct request *request, struct outcome *outcome)
{
	struct xattr_call call;
	outcome_continue(outcome);
	if (atomic_load(&request->session->page->xattr_records) > 0 &&
	    xattr_call_read(request, &call))
		settle(outcome, list(request, outcome, &call));
}
