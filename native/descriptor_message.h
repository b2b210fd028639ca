// SPDX-License-Identifier: Apache-2.0
//
// A descriptor in a message of a socket (unix(7), SCM_RIGHTS).
#ifndef FSC_DESCRIPTOR_MESSAGE_H
#define FSC_DESCRIPTOR_MESSAGE_H

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

// Sends bytes with a copy of a descriptor, to a name unless that is NULL. Returns 0 or -errno.
static inline int descriptor_send(int by, const void *name, socklen_t name_length, void *bytes,
				  size_t size, int fd, int flags)
{
	struct iovec data = {.iov_base = bytes, .iov_len = size};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} ancillary = {0};
	const struct msghdr message = {
		.msg_name = (void *)name,
		.msg_namelen = name_length,
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &ancillary,
		.msg_controllen = sizeof(ancillary),
	};
	ancillary.header = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	};
	memcpy(CMSG_DATA(&ancillary.header), &fd, sizeof(fd));
	return sendmsg(by, &message, flags | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

#endif
