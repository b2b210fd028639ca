// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include "target.h"

#include <errno.h>

// Task ids are handed out in turn (alloc_pid(), idr_alloc_cyclic()), and pid_max is
// 301 at least: none can come again so soon, 50 us or so. That saves every call the
// question (0.3 us); a call that has taken longer must ask.
#define TOO_SOON_FOR_REUSE 150000 // cycles

bool notification_valid(const struct request *request)
{
	return __builtin_ia32_rdtsc() - request->received < TOO_SOON_FOR_REUSE ||
	       request->session->source->valid(request);
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
	return request->session->source->give(request, fd, -1, close_on_exec);
}

int answer_replace(const struct request *request, int fd, int number, bool close_on_exec)
{
	return request->session->source->give(request, fd, number, close_on_exec);
}

void answer(const struct request *request, const struct outcome *outcome)
{
	const struct event_source *source = request->session->source;
	struct outcome installed;
	if (outcome->kind == OUTCOME_INSTALL_FD) {
		if (source->send_descriptor &&
		    source->send_descriptor(request, (int)outcome->value))
			return;
		int number = answer_install(request, (int)outcome->value, true);
		if (number < 0)
			outcome_result(&installed, number);
		else
			outcome_value(&installed, number);
		outcome = &installed;
	}
	source->send(request, outcome);
}
