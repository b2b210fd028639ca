// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include "kernel.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>

// Task ids are handed out in turn (alloc_pid(), idr_alloc_cyclic()), and pid_max is
// 301 at least: none can come again so soon, 50 us or so. That saves every call the
// question (0.3 us); a call that has taken longer must ask.
#define TOO_SOON_FOR_REUSE 150000 // cycles

bool notification_valid(const struct request *request)
{
	if (__builtin_ia32_rdtsc() - request->received < TOO_SOON_FOR_REUSE)
		return true;
	// Linux 5.0
	uint64_t id = request->id;
	return ioctl(request->session->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

// The write may still hit a page that the target has remapped in another thread;
// so may the kernel's own copy_to_user().
static int copy_out(const struct request *request, const struct outcome *outcome)
{
	if (!notification_valid(request))
		return -ESRCH;
	for (unsigned i = 0; i < outcome->copies; i++) {
		const struct outcome_copy *copy = &outcome->copy[i];
		int error = target_write(request->tid, copy->address,
					 outcome->data + copy->offset, copy->size);
		if (error)
			return error;
	}
	return 0;
}

void answer_copy_out(const struct request *request, struct outcome *outcome)
{
	if (outcome->kind != OUTCOME_COPY_OUT)
		return;
	int error = copy_out(request, outcome);
	if (error == -EPERM)
		outcome_continue(outcome);
	else if (error)
		outcome_result(outcome, error);
	else
		outcome_value(outcome, outcome->value);
}

int answer_install(const struct request *request, int fd, bool close_on_exec)
{
	struct seccomp_notif_addfd addfd = {
		.id = request->id,
		.srcfd = (uint32_t)fd,
		.newfd_flags = close_on_exec ? O_CLOEXEC : 0,
	};
	int number = ioctl(request->session->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd);
	return number < 0 ? -errno : number;
}

static void install_fd(const struct request *request, const struct outcome *outcome)
{
	struct seccomp_notif_addfd addfd = {
		.id = request->id,
		.srcfd = (uint32_t)outcome->value,
		.newfd_flags = O_CLOEXEC,
		.flags = SECCOMP_ADDFD_FLAG_SEND, // Linux 5.14: installs and answers in one
	};
	int listener = request->session->listener;
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd) >= 0)
		return;
	struct outcome instead;
	outcome_result(&instead, -errno);
	if (errno == EINVAL) {
		int fd = answer_install(request, (int)outcome->value, true);
		if (fd >= 0)
			outcome_value(&instead, fd);
	}
	answer(request, &instead);
}

void answer(const struct request *request, const struct outcome *outcome)
{
	struct seccomp_notif_resp response = {.id = request->id};

	switch (outcome->kind) {
	case OUTCOME_VALUE:
		response.val = outcome->value;
		break;
	case OUTCOME_ERRNO:
		response.error = (int32_t)-outcome->value;
		break;
	case OUTCOME_CONTINUE:
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		break;
	case OUTCOME_COPY_OUT:
		return; // answer_copy_out() has left none
	case OUTCOME_INSTALL_FD:
		install_fd(request, outcome);
		return;
	}
	// ENOENT: the target was killed, or a signal took it out of the call.
	ioctl(request->session->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}
