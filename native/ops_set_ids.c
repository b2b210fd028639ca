// SPDX-License-Identifier: Apache-2.0
//
// setuid(2) and its kin, setgroups(2). The real ids never change, whoever the
// supervisor is.
#include "credential_rules.h"
#include "ids.h"
#include "scope.h"
#include "target.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

// Keeps what a rule has made of the caller's credentials.
static void settle(struct request *request, struct outcome *outcome,
		   const struct credentials *next, int error)
{
	if (!error && !credential_rules_same(next, credentials_of(request)))
		error = credentials_set(request, next);
	outcome_result(outcome, error);
}

#define ID(argument) request_id(request, request->row->argument)

#define SETTER(call, ...)                                                                         \
	void op_##call(struct request *request, struct outcome *outcome)                          \
	{                                                                                         \
		struct credentials next = *credentials_of(request);                               \
		int error = credential_rules_##call(&next, __VA_ARGS__);                          \
		settle(request, outcome, &next, error);                                           \
	}

SETTER(setuid, ID(real))
SETTER(setgid, ID(real))
SETTER(setreuid, ID(real), ID(effective))
SETTER(setregid, ID(real), ID(effective))
SETTER(setresuid, ID(real), ID(effective), ID(saved))
SETTER(setresgid, ID(real), ID(effective), ID(saved))

// These return what was, in any case.
static void settle_for_files(struct request *request, struct outcome *outcome,
			     const struct credentials *next, uint32_t before)
{
	settle(request, outcome, next, 0);
	outcome_value(outcome, ids_shown(request, before));
}

void op_setfsuid(struct request *request, struct outcome *outcome)
{
	struct credentials next = *credentials_of(request);
	uint32_t before = next.fsuid;
	credential_rules_setfsuid(&next, ID(real));
	settle_for_files(request, outcome, &next, before);
}

void op_setfsgid(struct request *request, struct outcome *outcome)
{
	struct credentials next = *credentials_of(request);
	uint32_t before = next.fsgid;
	credential_rules_setfsgid(&next, ID(real));
	settle_for_files(request, outcome, &next, before);
}

static int compare(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
	return one < other ? -1 : one > other;
}

// Reads ids of either width, and sorts them. Returns -EINVAL if one is none.
static int read_groups(struct request *request, uint32_t *groups, size_t count)
{
	bool narrow = request->row->variant == VARIANT_IDS16;
	size_t width = narrow ? sizeof(uint16_t) : sizeof(uint32_t);
	int error = target_read(request->tid, request->args[request->row->list], groups,
				count * width);
	if (error)
		return error;
	const uint16_t *short_ids = (const uint16_t *)groups;
	for (size_t i = count; narrow && i-- > 0;)
		groups[i] = short_ids[i] == UINT16_MAX ? UINT32_MAX : short_ids[i];
	for (size_t i = 0; i < count; i++)
		if (groups[i] == UINT32_MAX)
			return -EINVAL;
	qsort(groups, count, sizeof(*groups), compare);
	return 0;
}

void op_setgroups(struct request *request, struct outcome *outcome)
{
	struct credentials next = *credentials_of(request);
	uint32_t count = (uint32_t)request->args[request->row->size];
	if (!credentials_capable(&next, CAP_SETGID)) {
		outcome_result(outcome, -EPERM);
		return;
	}
	if (count > NGROUPS_MAX) {
		outcome_result(outcome, -EINVAL);
		return;
	}
	SCOPED_FREE uint32_t *groups = malloc(count * sizeof(*groups) + 1);
	int error = groups ? 0 : -ENOMEM;
	if (!error && count)
		error = read_groups(request, groups, count);
	next.groups = groups;
	next.group_count = count;
	settle(request, outcome, &next, error);
}
