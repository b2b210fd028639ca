// SPDX-License-Identifier: Apache-2.0
//
// stat(2), statx(2) and their kin: real attributes, corrected by the record.
#include "metadata.h"
#include "request.h"
#include "resolve.h"
#include "stat_layout.h"

#include <errno.h>

// What the rules need beside what the call asks for.
#define RULES_MASK (STATX_BASIC_STATS | STATX_BTIME)

// The call's own error is the kernel's to find: it knows the order of all checks.
// So any failure here lets it execute the call, which changes nothing.
void op_stat(struct request *request, struct outcome *outcome)
{
	const struct syscall_row *row = request->row;
	unsigned asked = STATX_BASIC_STATS;
	if (row->variant == VARIANT_STATX)
		asked = (unsigned)request->args[row->mask];

	struct statx attributes;
	outcome_continue(outcome);
	if (!request_flags_valid(request) ||
	    resolve_statx(request, request_flags(request), asked | RULES_MASK, &attributes) != 0)
		return;

	struct inode_record record;
	bool known = metadata_find(request->session, &attributes, &record);
	rules_show(known ? &record : NULL, request->session->unknown_is_real, &attributes);
	if (!(asked & STATX_BTIME)) {
		attributes.stx_mask &= ~(unsigned)STATX_BTIME;
		attributes.stx_btime = (struct statx_timestamp){0};
	}

	unsigned char bytes[STAT_LAYOUT_MAX];
	int size = stat_layout_encode(row->variant, &attributes, bytes);
	if (size < 0)
		outcome_result(outcome, size);
	else
		outcome_copy_out(outcome, request->args[row->buffer], bytes, (uint16_t)size);
}
