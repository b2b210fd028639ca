// SPDX-License-Identifier: Apache-2.0
#include "attach.h"

#include "request.h"
#include "target.h"

bool attach_request(struct request *request, struct outcome *outcome)
{
	uint64_t address = request->args[request->row->list];
	uint64_t bytes;

	switch ((int)request->args[request->row->size]) {
	case ATTACH_QUERY:
		outcome_value(outcome, ATTACH_VERSION);
		return true;
	case ATTACH_MEMORY: {
		int error = target_read(request->tid, address, &bytes, sizeof(bytes));
		bytes = ~bytes;
		if (!error)
			error = target_write(request->tid, address, &bytes, sizeof(bytes));
		outcome_result(outcome, error);
		return true;
	}
	default:
		return false;
	}
}
