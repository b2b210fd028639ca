// SPDX-License-Identifier: Apache-2.0
//
// credentials(7): what a process is told of its ids.
#include "attach.h"
#include "credentials.h"
#include "ids.h"
#include "request.h"
#include "scope.h"
#include "target.h"

#include <errno.h>
#include <stdlib.h>

void op_getuid(struct request *request, struct outcome *outcome)
{
	outcome_value(outcome, ids_shown(request, credentials_of(request)->uid));
}

void op_geteuid(struct request *request, struct outcome *outcome)
{
	outcome_value(outcome, ids_shown(request, credentials_of(request)->euid));
}

void op_getgid(struct request *request, struct outcome *outcome)
{
	outcome_value(outcome, ids_shown(request, credentials_of(request)->gid));
}

void op_getegid(struct request *request, struct outcome *outcome)
{
	outcome_value(outcome, ids_shown(request, credentials_of(request)->egid));
}

static void show_three(struct request *request, struct outcome *outcome,
		       const uint32_t ids[static 3])
{
	uint16_t size = request->row->variant == VARIANT_IDS16 ? 2 : 4;
	outcome_value(outcome, 0);
	for (int position = 0; position < 3; position++) {
		uint32_t shown = ids_shown(request, ids[position]);
		outcome_copy_out(outcome, request->args[position], &shown, size);
	}
}

void op_getresuid(struct request *request, struct outcome *outcome)
{
	const struct credentials *credentials = credentials_of(request);
	show_three(request, outcome,
		   (uint32_t[]){credentials->uid, credentials->euid, credentials->suid});
}

void op_getresgid(struct request *request, struct outcome *outcome)
{
	const struct credentials *credentials = credentials_of(request);
	show_three(request, outcome,
		   (uint32_t[]){credentials->gid, credentials->egid, credentials->sgid});
}

static int write_groups(struct request *request, const struct credentials *credentials)
{
	size_t count = credentials->group_count;
	bool narrow = request->row->variant == VARIANT_IDS16;
	SCOPED_FREE uint16_t *shown = narrow ? malloc(count * sizeof(*shown)) : NULL;
	if (narrow && !shown)
		return -ENOMEM;
	for (size_t i = 0; narrow && i < count; i++)
		shown[i] = (uint16_t)ids_shown(request, credentials->groups[i]);
	return target_write(request->tid, request->args[request->row->list],
			    narrow ? (const void *)shown : credentials->groups,
			    count * (narrow ? sizeof(*shown) : sizeof(*credentials->groups)));
}

void op_getgroups(struct request *request, struct outcome *outcome)
{
	if (attach_by_getgroups(request, outcome))
		return;
	const struct credentials *credentials = credentials_of(request);
	int room = (int)request->args[request->row->size];
	outcome_value(outcome, credentials->group_count);
	if (room < 0 || (room > 0 && (uint32_t)room < credentials->group_count)) {
		outcome_result(outcome, -EINVAL);
	} else if (room > 0 && credentials->group_count > 0) {
		int error = notification_valid(request) ? write_groups(request, credentials)
							: -ESRCH;
		if (error)
			outcome_result(outcome, error);
	}
}
