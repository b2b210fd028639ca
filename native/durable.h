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

// All records, or those that the state file does not have as they are. Returns 0, -ENOMEM,
// or -EIO where the memory is lost. The caller holds locks.committing, and ends with one of
// the two below.
int durable_collect(struct session *session, bool whole, struct durable_rows *rows_ret);
void durable_finish(struct session *session, const struct durable_rows *rows);
void durable_give_up(struct session *session);
void durable_free(struct durable_rows *rows);

// All records, for who only reads them: what the state file has and has not of them stays
// noted. Returns 0, -ENOMEM, or -EIO.
int durable_read(struct session *session, struct durable_rows *rows_ret);

// Puts a record that the state file has into a memory that nobody else uses. Takes its
// attributes over, whatever it returns.
int durable_load(struct session *session, const struct inode_record *record);

// What somebody who is no run changes of a file, as a run would: the fields named are set,
// or no longer set, to what the record says of them; INODE_ANY_BIRTH stands for the identity.
// What else is remembered of the same file stays, as do changes that a run has made to a
// later file of that inode number, or to one that is to be removed, since the state file was
// written.
struct durable_xattr_edit {
	const char *name;
	const void *value; // NULL: there is none
	size_t size;
	bool forget; // nothing is remembered of that name any more
};
struct durable_edit {
	struct inode_record record;
	uint32_t fields;
	bool remove; // nothing is remembered of the file any more
	const struct durable_xattr_edit *xattrs;
	size_t xattr_count;
};
int durable_edit(struct session *session, const struct durable_edit *edit);

// Edits that belong together are noted in the memory, in any form, before the first of them
// is made: whoever takes locks.committing after a kill makes those that are left. The
// callers hold it.
//
// Notes so many bytes in place of what was noted; none: all is done. Returns 0 or -ENOSPC,
// with what was noted before.
int durable_note(struct session *session, enum session_text text, const void *bytes,
		 size_t size);
// What is noted, to be freed, or NULL with *size_ret 0, or without memory with its size.
unsigned char *durable_noted(struct session *session, enum session_text text,
			     size_t *size_ret);

// Where runs change files, killed ones included: names, as many as there is room for.
void durable_add_place(struct session *session, const char *name);
void durable_forget_places(struct session *session);
// Calls visit with each.
void durable_visit_places(struct session *session,
			  void (*visit)(const char *name, size_t size, void *context),
			  void *context);

#endif
