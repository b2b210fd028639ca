// SPDX-License-Identifier: Apache-2.0
//
// Changes that the shim has made by itself and the inode table does not have yet: in
// shared memory that targets write, between the session's page and the table.
//
// Each is a part of a record: the fields that are set, and what the others show. It counts from the
// moment that it is published: who looks a file up asks here first, then the table, and
// then here again. The supervisor settles all of them before it handles any call.
//
// A file has one place, by its identity. A change that finds it taken is made by the
// supervisor, which empties all places by the way: a chance of 1 in 80 calls or so.
//
// A pure room, like the table. Every word is a 32-bit atomic: i386 reads it, too.
#ifndef FSC_PENDING_H
#define FSC_PENDING_H

#include "inode_table.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PENDING_PLACES 4096u

// Never torn apart: a thread killed while it fills a place leaves it taken for good,
// which costs that place and nothing else.
struct pending_place {
	_Atomic uint32_t state; // a count above enum pending_state
	_Atomic uint32_t words[15];
};

struct pending_changes {
	// Places taken since the session began. Counted before the change is published:
	// while the supervisor has settled as many, there is none.
	_Atomic uint32_t taken;
	_Atomic uint32_t modes; // changes of a mode or a type since then
	uint32_t unused[14];
	_Atomic uint32_t map[PENDING_PLACES / 32]; // places that may hold one
	struct pending_place places[PENDING_PLACES];
};

// What a file's place held at one moment.
struct pending_view {
	const struct pending_place *place;
	uint32_t state;
	bool found;
	struct inode_record change; // the fields that are set, if found
};

// Looks the file up. False while its place changes: to be tried again.
bool pending_look(const struct pending_changes *pending, uint64_t dev, uint64_t ino,
		  struct pending_view *view_ret);

// Whether the place is still as it was seen: then what was read in between belongs to it.
bool pending_unchanged(const struct pending_view *view);

// Whether a record is of this very file.
bool pending_same_file(const struct inode_record *record, const struct file_identity *file);

// Lays a change over what the table has: NULL for no record. False if they are of different
// files of one inode number.
bool pending_merge(const struct inode_record *change, struct inode_record *record,
		   bool has_record);

// Publishes a change. False if the place is taken: nothing has happened.
bool pending_publish(struct pending_changes *pending, const struct inode_record *change);

// Targets may write anything. Leaves of a change what chown(2), mknod(2) or a removal could
// have published; false for what none of them could.
bool pending_trim(struct inode_record *change);

// For one thread at a time: visits the published changes. Start with *cursor 0; returns the
// place, whose change is to be put into the table before pending_empty() frees it, or NULL
// at the end.
struct pending_place *pending_next(struct pending_changes *pending, uint32_t *cursor,
				   struct inode_record *change_ret);
void pending_empty(struct pending_changes *pending, struct pending_place *place);

#endif
