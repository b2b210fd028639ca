// SPDX-License-Identifier: Apache-2.0
//
// credentials(7): every process is root, in root's group alone.
#include "attach.h"
#include "request.h"

#include <errno.h>
#include <unistd.h>

void op_getid(struct request *request, struct outcome *outcome)
{
	(void)request;
	outcome_value(outcome, 0);
}

void op_getresid(struct request *request, struct outcome *outcome)
{
	const uint32_t root = 0;
	uint16_t size = request->row->variant == VARIANT_IDS16 ? 2 : 4;
	outcome_value(outcome, 0);
	for (int position = 0; position < 3; position++)
		outcome_copy_out(outcome, request->args[position], &root, size);
}

void op_getgroups(struct request *request, struct outcome *outcome)
{
	if (attach_by_getgroups(request, outcome))
		return;
	const uint32_t root = 0;
	const int count = 1;
	int room = (int)request->args[request->row->size];
	if (room < 0 || (room > 0 && room < count)) {
		outcome_result(outcome, -EINVAL);
		return;
	}
	outcome_value(outcome, count);
	if (room == 0)
		return;
	outcome_copy_out(outcome, request->args[request->row->list], &root,
			 request->row->variant == VARIANT_IDS16 ? 2 : 4);
	outcome->value = count;
}

// posix_spawn(3) with POSIX_SPAWN_RESETIDS, which GNU make uses, sets the effective
// ids to what getuid(2) has just shown.
void op_setid(struct request *request, struct outcome *outcome)
{
	const struct syscall_row *row = request->row;
	const int positions[] = {row->real, row->effective, row->saved};
	bool only_one = row->effective < 0;
	for (int i = 0; i < 3; i++) {
		uint32_t id = request_id(request, positions[i]);
		bool left = id == REQUEST_LEAVE_ID && !(only_one && i == 0);
		if (id != 0 && !left) {
			if (geteuid() == 0)
				atomic_store(&request->session->other_users, true);
			outcome_continue(outcome);
			return;
		}
	}
	outcome_value(outcome, 0);
}
