// SPDX-License-Identifier: Apache-2.0
//
// getrlimit(2), setrlimit(2) and prlimit(2) of RLIMIT_LOCKS, where the credentials'
// tag is (credentials.c). A process sees the limit that the session started with, and
// may set it, which has no effect without us either.
#include "answer.h"
#include "credentials.h"
#include "request.h"
#include "target.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

// How limits lie in memory: words of 64 or 32 bits, and what stands for no limit.
struct limit_layout {
	size_t word;
	uint64_t infinity;
};

static struct limit_layout layout_of(const struct request *request)
{
	switch (request->row->variant) {
	case VARIANT_RLIMIT_SIGNED:
		return (struct limit_layout){4, INT32_MAX};
	case VARIANT_RLIMIT32:
		return (struct limit_layout){4, UINT32_MAX};
	default:
		return (struct limit_layout){8, RLIM_INFINITY};
	}
}

static void shown_limits(const struct request *request, uint64_t limits_ret[static 2])
{
	struct rlimit most;
	getrlimit(RLIMIT_LOCKS, &most); // the supervisor's own was never changed
	limits_ret[0] = request->session->page->root_tag;
	limits_ret[1] = most.rlim_max;
}

static void show(struct request *request, struct outcome *outcome, uint64_t address)
{
	struct limit_layout layout = layout_of(request);
	uint64_t limits[2];
	unsigned char bytes[16];
	shown_limits(request, limits);
	for (int i = 0; i < 2; i++) {
		uint64_t word = limits[i] > layout.infinity ? layout.infinity : limits[i];
		memcpy(bytes + (size_t)i * layout.word, &word, layout.word);
	}
	outcome_value(outcome, 0);
	outcome_copy_out(outcome, address, bytes, (uint16_t)(2 * layout.word));
}

// do_prlimit(), which stores nothing here.
static int check(struct request *request, uint64_t address)
{
	struct limit_layout layout = layout_of(request);
	unsigned char bytes[16];
	uint64_t asked[2] = {0}, limits[2];
	int error = target_read(request->tid, address, bytes, 2 * layout.word);
	if (error)
		return error;
	for (int i = 0; i < 2; i++) {
		memcpy(&asked[i], bytes + (size_t)i * layout.word, layout.word);
		if (asked[i] >= layout.infinity)
			asked[i] = RLIM_INFINITY;
	}
	if (asked[0] > asked[1])
		return -EINVAL;
	shown_limits(request, limits);
	return asked[1] > limits[1] &&
			       !credentials_capable(credentials_of(request), CAP_SYS_RESOURCE)
		       ? -EPERM
		       : 0;
}

void op_getrlimit(struct request *request, struct outcome *outcome)
{
	show(request, outcome, request->args[request->row->limits]);
}

void op_setrlimit(struct request *request, struct outcome *outcome)
{
	outcome_result(outcome, check(request, request->args[request->row->limits]));
}

void op_prlimit(struct request *request, struct outcome *outcome)
{
	uint64_t before = request->args[request->row->old_limits];
	uint64_t after = request->args[request->row->limits];
	pid_t pid = (pid_t)request->args[request->row->pid];
	char name[32];
	snprintf(name, sizeof(name), "/proc/%d", pid);
	int error = after ? check(request, after) : 0;
	if (!error && pid != 0 && access(name, F_OK) < 0)
		error = -ESRCH;
	outcome_result(outcome, error);
	if (!error && before)
		show(request, outcome, before);
}
