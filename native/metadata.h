// SPDX-License-Identifier: Apache-2.0
//
// Reading and changing what is remembered, one file at a time.
#ifndef FSC_METADATA_H
#define FSC_METADATA_H

#include "rules.h"
#include "session.h"

#include <linux/stat.h>
#include <stdbool.h>

enum metadata_known {
	METADATA_NONE,
	METADATA_KNOWN,
	// There is one, of this file if it has just lost its last link: read the
	// attributes again. Still linked then, it never was this file's.
	METADATA_DOUBTFUL,
};

// The record of a file with these real attributes (STATX_INO, STATX_BTIME,
// STATX_NLINK read). One of an earlier file of the same inode number is dropped.
enum metadata_known metadata_look_up(struct session *session, const struct statx *real,
				     struct inode_record *record_ret);

// The same for attributes of a pinned file, just read: doubt means none.
bool metadata_find(struct session *session, const struct statx *real,
		   struct inode_record *record_ret);

// Whether any record has the file's device and inode number: the cheap question
// that comes before reading a birth time.
bool metadata_may_know(struct session *session, uint64_t dev, uint64_t ino);

// Serialises changes of one file, from reading its record to storing it.
struct lock *metadata_lock(struct session *session, const struct statx *real);
struct lock *metadata_lock_number(struct session *session, uint64_t ino);

// The file's record, or an empty one of its identity to be filled. That of a file without a
// name is as a retired one, until the file is given a name.
void metadata_edit(struct session *session, const struct statx *real,
		   struct inode_record *record_ret);

// Stores a record, or forgets the file when nothing differs from the default.
// Returns 0 or -ENOSPC when the table is full.
int metadata_store(struct session *session, const struct inode_record *record);

// Puts what the shim has changed by itself into the table. Every call comes after it. So does
// whatever is read of a file's record once the file has been seen: another target may just
// have changed a new file and renamed it there. The functions above see to it, but for
// metadata_look_up() and metadata_edit(), which may be called with the file's lock held.
void metadata_settle(struct session *session);

// The same, whatever their count says: supervisors that were killed have not kept it.
void metadata_settle_all(struct session *session);

// Forgets the record, if it is still there as it was found: of a file that is no more.
void metadata_drop(struct session *session, const struct inode_record *stale);

// Forgets a record of the table, with its attributes. With the table's writer held.
void metadata_remove(struct session *session, const struct inode_record *record);

// Keeps a record only for descriptors that are still open on the removed file.
void metadata_retire(struct session *session, const struct statx *real);

// The file, which has no name, is about to get one: its record stays from now on. Returns
// whether there is a record that would not have stayed; should the file get no name after
// all, it is to be retired again.
bool metadata_keep(struct session *session, const struct statx *real);

#endif
