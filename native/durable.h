// SPDX-License-Identifier: Apache-2.0
//
// What keeps a state file up with the table: which records it has, and which have
// changed since it was written. Only for a memory beside a state file (live.h).
//
// A commit is: collect, write what was collected, finish. Changes made meanwhile are of
// another epoch, and stay for the next one; so does everything if it fails.
#ifndef FSC_DURABLE_H
#define FSC_DURABLE_H

#include "session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Before a record is put, or one that was known is removed. With the table's writer held.
void durable_changed(struct session *session, struct inode_record *record);
void durable_removed(struct session *session, const struct inode_record *known);

struct durable_row {
	struct inode_record record;
	size_t xattrs; // place of the first in durable_rows.text
	uint32_t xattr_count;
};

// In durable_rows.text, 8-byte aligned: this, the name and the value. value_size
// UINT32_MAX: the attribute is removed.
struct durable_xattr {
	uint32_t name_size; // without a NUL
	uint32_t value_size;
};

struct durable_rows {
	struct durable_row *changed;
	size_t changed_count, changed_room;
	struct file_identity *removed; // dev and ino alone
	size_t removed_count, removed_room;
	unsigned char *text;
	size_t text_size, text_room;
	bool whole; // the rows are all there are: the state file may have others
	uint32_t epoch, chain;
};

// All records, or those that the state file does not have as they are. Returns 0 or
// -ENOMEM. The caller holds locks->committing, and ends with one of the two below.
int durable_collect(struct session *session, bool whole, struct durable_rows *rows_ret);
void durable_finish(struct session *session, const struct durable_rows *rows);
void durable_give_up(struct session *session);
void durable_free(struct durable_rows *rows);

// Puts a record that the state file has, in place of any of that inode number, or with
// keep_changed of any that has not changed since the state file was written. Takes its
// attributes over, whatever it returns.
int durable_load(struct session *session, const struct inode_record *record, bool keep_changed);

// Does what was done to a record of the state file: before, as it was there (NULL: it was
// not) and after, both without attributes; of those, what has become different. What runs
// have changed meanwhile stays as it is otherwise.
struct durable_edit {
	const char *name;
	const void *value; // NULL: there is none
	size_t size;
	bool forget; // nothing is remembered of that name any more
};
int durable_update(struct session *session, const struct inode_record *before,
		   const struct inode_record *after, const struct durable_edit *edits,
		   size_t edit_count);

// Forgets what the state file has not any more, unless it has changed since.
void durable_forget(struct session *session, uint64_t dev, uint64_t ino);

#endif
