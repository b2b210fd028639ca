// SPDX-License-Identifier: Apache-2.0
//
// stat(2), statx(2) and their kin: real attributes, corrected by the record.
#include "attach.h"
#include "glance.h"
#include "stat_layout.h"

#include <errno.h>
#include <fcntl.h>

// The call's own error is the kernel's to find: it knows the order of all checks.
// So any failure here lets it execute the call, which changes nothing.
void op_stat(struct request *request, struct outcome *outcome)
{
	if (attach_by_stat(request, outcome))
		return;
	const struct syscall_row *row = request->row;
	unsigned asked = STATX_BASIC_STATS;
	if (row->variant == VARIANT_STATX)
		asked = (unsigned)request->args[row->mask];

	int flags = request_flags(request);
	// Both ways of synchronising at once are an error to statx(2) alone.
	if (row->variant != VARIANT_STATX && (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		flags &= ~AT_STATX_DONT_SYNC;

	struct statx attributes;
	struct inode_record record;
	outcome_continue(outcome);
	if (!request_flags_valid(request))
		return;
	int error = glance(request, flags, asked, &attributes, &record);
	if (error) {
		if (error == -ENOENT)
			outcome_result(outcome, error);
		return;
	}

	rules_show(&record, request->session->page->unknown_is_real, &attributes);
	rules_hide_unasked(asked, &attributes);

	unsigned char bytes[STAT_LAYOUT_MAX];
	int size = stat_layout_encode(row->variant, &attributes, bytes);
	if (size < 0)
		outcome_result(outcome, size);
	else
		outcome_copy_out(outcome, request->args[row->buffer], bytes, (uint16_t)size);
}
