// SPDX-License-Identifier: Apache-2.0
#include "glance.h"

#include "metadata.h"
#include "resolve.h"

// Attributes and record are read one after the other. A file that loses its last link
// in between may have lost its record to the next file of its inode number, too: then
// both are read again, as often as this at the most.
#define READ_TRIES 8

static bool is_same_record(const struct inode_record *one, const struct inode_record *other)
{
	return one->fields == other->fields && pending_same_file(one, &other->identity);
}

int glance(struct request *request, int flags, unsigned mask, struct statx *real_ret,
	   struct inode_record *record_ret)
{
	struct session_page *page = request->session->page;
	enum metadata_known known = METADATA_NONE;
	struct inode_record doubted = {0};
	for (int tries = 0; tries < READ_TRIES; tries++) {
		uint32_t retirements = atomic_load(&page->retirements);
		int error = resolve_statx(request, flags, mask | RULES_ATTRIBUTES, real_ret);
		if (error)
			return error;
		metadata_settle(request->session);
		known = metadata_look_up(request->session, real_ret, record_ret);
		// The file was looked at after its record was: that is a dead file's.
		if (known == METADATA_DOUBTFUL && is_same_record(&doubted, record_ret)) {
			metadata_drop(request->session, record_ret);
			known = METADATA_NONE;
		} else if (known == METADATA_DOUBTFUL) {
			doubted = *record_ret;
		}
		if (known != METADATA_DOUBTFUL && retirements == atomic_load(&page->retirements))
			break;
	}
	if (known != METADATA_KNOWN)
		*record_ret = (struct inode_record){0};
	return 0;
}
