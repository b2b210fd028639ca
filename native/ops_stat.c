// SPDX-License-Identifier: Apache-2.0
//
// stat(2), statx(2) and their kin: real attributes, corrected by the record.
#include "attach.h"
#include "metadata.h"
#include "request.h"
#include "resolve.h"
#include "stat_layout.h"

#include <errno.h>
#include <fcntl.h>

// Attributes and record are read one after the other. A file that loses its last link
// in between may have lost its record to the next file of its inode number, too: then
// both are read again, as often as this at the most.
#define READ_TRIES 8

// The call's own error is the kernel's to find: it knows the order of all checks.
// So any failure here lets it execute the call, which changes nothing.
void op_stat(struct request *request, struct outcome *outcome)
{
	if (attach_by_stat(request, outcome))
		return;
	const struct syscall_row *row = request->row;
	struct session_page *page = request->session->page;
	unsigned asked = STATX_BASIC_STATS;
	if (row->variant == VARIANT_STATX)
		asked = (unsigned)request->args[row->mask];

	int flags = request_flags(request);
	// Both ways of synchronising at once are an error to statx(2) alone.
	if (row->variant != VARIANT_STATX && (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		flags &= ~AT_STATX_DONT_SYNC;

	struct statx attributes;
	struct inode_record record;
	enum metadata_known known;
	outcome_continue(outcome);
	if (!request_flags_valid(request))
		return;
	for (int tries = 0; tries < READ_TRIES; tries++) {
		uint32_t retirements = atomic_load(&page->retirements);
		if (resolve_statx(request, flags, asked | RULES_ATTRIBUTES, &attributes) != 0)
			return;
		known = metadata_look_up(request->session, &attributes, &record);
		if (known != METADATA_DOUBTFUL &&
		    retirements == atomic_load(&page->retirements))
			break;
	}

	rules_show(known == METADATA_KNOWN ? &record : NULL, page->unknown_is_real, &attributes);
	rules_hide_unasked(asked, &attributes);

	unsigned char bytes[STAT_LAYOUT_MAX];
	int size = stat_layout_encode(row->variant, &attributes, bytes);
	if (size < 0)
		outcome_result(outcome, size);
	else
		outcome_copy_out(outcome, request->args[row->buffer], bytes, (uint16_t)size);
}
