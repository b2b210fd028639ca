// SPDX-License-Identifier: Apache-2.0
#include "xattr_call.h"

#include "acl_permission.h"
#include "change.h"
#include "metadata.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>

// Names end within XATTR_NAME_MAX, and are not empty (ERANGE).
static bool read_name(struct request *request, char name_ret[static XATTR_NAME_ROOM])
{
	char text[PATH_MAX];
	ssize_t length = target_read_path(request->tid,
					  request->args[request->row->xattr_name], text);
	if (length <= 0 || length > XATTR_NAME_MAX)
		return false;
	memcpy(name_ret, text, (size_t)length + 1);
	return true;
}

static bool read_packed(struct request *request, struct xattr_call *call)
{
	struct {
		uint64_t value;
		uint32_t size, flags;
	} packed;
	const struct syscall_row *row = request->row;
	// A larger one may say more than we know.
	if (request->args[row->size] != sizeof(packed) ||
	    target_read(request->tid, request->args[row->xattr_args], &packed, sizeof(packed)) != 0)
		return false;
	call->value = packed.value;
	call->size = packed.size;
	call->flags = packed.flags;
	return true;
}

bool xattr_call_read(struct request *request, struct xattr_call *call_ret)
{
	const struct syscall_row *row = request->row;
	*call_ret = (struct xattr_call){.kind = XATTR_KIND_OTHER};
	if (row->xattr_args >= 0 && !read_packed(request, call_ret))
		return false;
	if (row->xattr_args < 0) {
		call_ret->value = request_arg(request, row->value);
		call_ret->size = request_arg(request, row->size);
		call_ret->flags = (uint32_t)request_arg(request, row->xattr_flags);
	}
	if (!request_flags_valid(request) ||
	    (row->xattr_name >= 0 && !read_name(request, call_ret->name)))
		return false;
	call_ret->kind = xattr_kind(call_ret->name);
	return true;
}

static void show(struct session *session, bool known, struct xattr_file *file)
{
	if (!known) {
		file->record = (struct inode_record){0};
		rules_identity(&file->subject.real, &file->record.identity);
	}
	file->shown = file->subject.real;
	rules_show(known ? &file->record : NULL, session->page->unknown_is_real, &file->shown);
}

int xattr_file_find(struct request *request, enum xattr_aim aim, struct xattr_file *file_ret)
{
	struct session *session = request->session;
	struct subject *subject = &file_ret->subject;
	int error = aim == XATTR_TO_READ
			    ? resolve_subject(request, request_flags(request), subject)
			    : change_begin(request, aim == XATTR_TO_CHANGE, subject);
	if (!error && aim == XATTR_TO_READ && request->row->subject == SUBJECT_DESCRIPTOR &&
	    resolve_descriptor_is_path_only(request))
		error = -EBADF;
	if (error)
		return error;
	snprintf(file_ret->link, sizeof(file_ret->link), "/proc/self/fd/%d", subject->fd);
	show(session, metadata_find(session, &subject->real, &file_ret->record), file_ret);
	return 0;
}

int xattr_file_may(struct request *request, enum xattr_kind kind, const struct xattr_file *file,
		   uint32_t mask)
{
	if (kind != XATTR_KIND_USER)
		return 0;
	return acl_permission(request->session, credentials_of(request), file->subject.fd,
			      &file->record, &file->shown, mask);
}

void xattr_file_edit(struct session *session, struct xattr_file *file)
{
	if (file->subject.fd >= 0)
		resolve_attributes(file->subject.fd, &file->subject.real);
	metadata_edit(session, &file->subject.real, &file->record);
	show(session, true, file);
}

// Pipes, sockets and the like, which live in no file system that could keep any, and of which
// root is told so. (Those of memfd_create(2) do.)
static bool has_no_attributes(const struct session *session, const struct xattr_file *file)
{
	const struct statx *real = &file->subject.real;
	dev_t dev = makedev(real->stx_dev_major, real->stx_dev_minor);
	return dev == session->nameless_devs[SESSION_NAMELESS_PIPE] ||
	       dev == session->nameless_devs[SESSION_NAMELESS_ANONYMOUS] ||
	       dev == session->nameless_devs[SESSION_NAMELESS_SOCKET];
}

int xattr_file_takes(const struct session *session, const struct xattr_file *file,
		     const char *name)
{
	if (has_no_attributes(session, file))
		return -EOPNOTSUPP;
	return xattr_is_bare(name) ? -EINVAL : 0;
}
