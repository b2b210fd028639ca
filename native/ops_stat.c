// SPDX-License-Identifier: Apache-2.0
//
// stat(2), statx(2) and their kin: real attributes, corrected by the record.
#include "metadata.h"
#include "request.h"
#include "resolve.h"
#include "stat_layout.h"

#include <errno.h>
#include <fcntl.h>

// What the rules need beside what the call asks for. No more: asking for a time
// makes the kernel track it more finely (multigrain, Linux 6.13) and shows in
// stx_mask.
#define RULES_MASK                                                                                \
	(STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID | STATX_INO | STATX_BTIME)

// Attributes and record are read one after the other. A file that loses its last link
// in between may have lost its record to the next file of its inode number, too: then
// both are read again, as often as this at the most.
#define READ_TRIES 8

// The call's own error is the kernel's to find: it knows the order of all checks.
// So any failure here lets it execute the call, which changes nothing.
void op_stat(struct request *request, struct outcome *outcome)
{
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
	enum metadata_known known;
	outcome_continue(outcome);
	if (!request_flags_valid(request))
		return;
	for (int tries = 0; tries < READ_TRIES; tries++) {
		unsigned retirements = atomic_load(&request->session->retirements);
		if (resolve_statx(request, flags, asked | RULES_MASK, &attributes) != 0)
			return;
		known = metadata_look_up(request->session, &attributes, &record);
		if (known != METADATA_DOUBTFUL &&
		    retirements == atomic_load(&request->session->retirements))
			break;
	}

	rules_show(known == METADATA_KNOWN ? &record : NULL, request->session->unknown_is_real, &attributes);
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
