// SPDX-License-Identifier: Apache-2.0
//
// capget(2), capset(2), and what prctl(2) has of capabilities(7).
#include "answer.h"
#include "credential_rules.h"
#include "request.h"
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

// Sets of 64 bits come as two structures: the low halves, then the high ones.
#define PARTS_MOST _LINUX_CAPABILITY_U32S_3

// cap_validate_magic(): the number of structures the caller means, or an error, after
// telling it the version it should use.
static int count_parts(struct request *request, uint64_t header)
{
	uint32_t version;
	const uint32_t preferred = _LINUX_CAPABILITY_VERSION_3;
	int error = target_read(request->tid, header, &version, sizeof(version));
	if (error)
		return error;
	if (version == _LINUX_CAPABILITY_VERSION_1)
		return _LINUX_CAPABILITY_U32S_1;
	if (version == _LINUX_CAPABILITY_VERSION_2 || version == _LINUX_CAPABILITY_VERSION_3)
		return PARTS_MOST;
	if (!notification_valid(request))
		return -ESRCH;
	error = target_write(request->tid, header, &preferred, sizeof(preferred));
	return error ? error : -EINVAL;
}

static int read_pid(struct request *request, uint64_t header, pid_t *pid_ret)
{
	uint64_t place = header + offsetof(struct __user_cap_header_struct, pid);
	return target_read(request->tid, place, pid_ret, sizeof(*pid_ret));
}

static bool is_caller(const struct request *request, pid_t pid)
{
	return pid == 0 || pid == request->tid;
}

void op_capget(struct request *request, struct outcome *outcome)
{
	uint64_t header = request->args[request->row->header];
	uint64_t data = request->args[request->row->data];
	pid_t pid;
	int parts = count_parts(request, header);
	if (parts < 0 || data == 0) {
		outcome_result(outcome, data == 0 && (parts > 0 || parts == -EINVAL) ? 0 : parts);
		return;
	}
	int error = read_pid(request, header, &pid);
	if (!error && pid < 0)
		error = -EINVAL;
	char name[32];
	snprintf(name, sizeof(name), "/proc/%d", error ? 0 : pid);
	if (!error && !is_caller(request, pid) && access(name, F_OK) < 0)
		error = -ESRCH;
	if (error) {
		outcome_result(outcome, error);
		return;
	}
	const struct credentials *shown = credentials_of_task(
		request->session, is_caller(request, pid) ? request->tid : pid);
	struct __user_cap_data_struct sets[PARTS_MOST];
	for (int part = 0; part < PARTS_MOST; part++)
		sets[part] = (struct __user_cap_data_struct){
			.effective = (uint32_t)(shown->effective >> 32 * part),
			.permitted = (uint32_t)(shown->permitted >> 32 * part),
			.inheritable = (uint32_t)(shown->inheritable >> 32 * part),
		};
	outcome_value(outcome, 0);
	outcome_copy_out(outcome, data, sets, (uint16_t)((size_t)parts * sizeof(*sets)));
}

void op_capset(struct request *request, struct outcome *outcome)
{
	struct __user_cap_data_struct sets[PARTS_MOST] = {0};
	pid_t pid;
	struct credentials next = *credentials_of(request);
	int parts = count_parts(request, request->args[request->row->header]);
	int error = parts < 0 ? parts : read_pid(request, request->args[request->row->header], &pid);
	if (!error && !is_caller(request, pid))
		error = -EPERM;
	if (!error)
		error = target_read(request->tid, request->args[request->row->data], sets,
				    (size_t)parts * sizeof(*sets));
	if (!error)
		error = credential_rules_capset(
			&next, sets[0].effective | (uint64_t)sets[1].effective << 32,
			sets[0].permitted | (uint64_t)sets[1].permitted << 32,
			sets[0].inheritable | (uint64_t)sets[1].inheritable << 32);
	if (!error && !credential_rules_same(&next, credentials_of(request)))
		error = credentials_set(request, &next);
	outcome_result(outcome, error);
}

void op_prctl(struct request *request, struct outcome *outcome)
{
	struct credentials next = *credentials_of(request);
	int option = (int)request->args[request->row->option];
	int64_t result;
	if (option == PR_SET_SECCOMP) {
		op_sandbox(request, outcome);
		return;
	}
	if (!credential_rules_prctl(&next, option, request->args + 1, &result)) {
		outcome_continue(outcome);
		return;
	}
	if (result >= 0 && !credential_rules_same(&next, credentials_of(request))) {
		int error = credentials_set(request, &next);
		result = error ? error : result;
	}
	if (result < 0)
		outcome_result(outcome, (int)result);
	else
		outcome_value(outcome, result);
}
