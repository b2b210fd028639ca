// SPDX-License-Identifier: Apache-2.0
//
// The inode table: what is remembered about files, in shared memory.
//
// A pure room: no system call, no allocation, no lock of its own. The caller
// gives it a zeroed region (a memfd mapping, or plain memory in tests), makes
// sure that one thread writes at a time, and may read from any number of
// threads and of processes that map the region read-only.
#ifndef FSC_INODE_TABLE_H
#define FSC_INODE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// inode(7): what tells a file from every other one, now and after its number
// has been given to a new file. A file system without birth times leaves both
// btime fields 0.
struct file_identity {
	uint64_t dev; // makedev(3) form
	uint64_t ino;
	int64_t btime_sec;
	uint32_t btime_nsec;
};

// Whether one was born after another.
static inline bool file_identity_is_later(const struct file_identity *one,
					  const struct file_identity *other)
{
	return one->btime_sec != other->btime_sec ? one->btime_sec > other->btime_sec
						  : one->btime_nsec > other->btime_nsec;
}

// Which parts of a record were set; the others show what the real file shows.
enum inode_field {
	INODE_UID = 1 << 0,
	INODE_GID = 1 << 1,
	INODE_MODE = 1 << 2,    // the 07777 bits of mode
	INODE_TYPE = 1 << 3,    // the S_IFMT bits of mode, and rdev
	INODE_RETIRED = 1 << 4, // of a file without a name: applies only while st_nlink is 0
	INODE_ANY_BIRTH = 1 << 5, // from a state without birth times: of whichever file is there

	// Of records that a state file keeps, durable.h.
	INODE_STORED = 1 << 6,  // the state file has a record of that inode number
	INODE_CHANGED_0 = 1 << 7, // and another one, if any: changed in an even or odd epoch
	INODE_CHANGED_1 = 1 << 8,
};

// What says nothing about how the file looks.
#define INODE_STANDING                                                                             \
	(INODE_RETIRED | INODE_ANY_BIRTH | INODE_STORED | INODE_CHANGED_0 | INODE_CHANGED_1)

struct inode_record {
	struct file_identity identity;
	uint32_t fields; // enum inode_field
	uint32_t uid;    // where not set, these three are as shown at the last change
	uint32_t gid;
	uint32_t mode;
	uint32_t rdev;   // the kernel's 32-bit form, new_encode_dev()
	uint32_t xattrs; // block of the record's extended attributes, 0: none
};

enum inode_lookup {
	INODE_BUSY = -1, // being written, or beyond this mapping: ask the writer
	INODE_ABSENT = 0,
	INODE_FOUND = 1,
};

// A process's view of a table. Copyable; owns nothing.
struct inode_table {
	unsigned char *base;
	size_t size; // bytes mapped at base
};

// Makes an empty table in a zeroed, 64-byte aligned region. Returns 0, or
// -EINVAL for a region too small or misaligned.
int inode_table_format(struct inode_table *table, void *base, size_t size);

// Attaches to a region formatted by any process, for reading or writing.
// Returns 0, or -EINVAL when it is not a table of this layout.
int inode_table_attach(struct inode_table *table, void *base, size_t size);

// Looks a file up by device and inode number. The caller compares the birth
// time: at most one generation of an inode number is in the table. Lock-free.
enum inode_lookup inode_table_find(const struct inode_table *table, uint64_t dev,
				   uint64_t ino, struct inode_record *record_ret);

// Inserts the record, or replaces the one of the same dev and ino. Returns 0,
// or -ENOSPC when the region is full (the table is then unchanged), or -EIO when it is
// damaged.
int inode_table_put(struct inode_table *table, const struct inode_record *record);

// Returns 1 when a record was removed, 0 when there was none.
int inode_table_remove(struct inode_table *table, uint64_t dev, uint64_t ino);

// Memory for what belongs to records, for the writer alone: blocks of the region of at
// least so many bytes, named by a number that is not 0. Taking returns 0 without room
// (or for more than 131,000 bytes); the content is what an earlier block left.
#define INODE_TABLE_BLOCK_HEAD 12u
uint32_t inode_table_take_block(struct inode_table *table, size_t bytes);
void inode_table_free_block(struct inode_table *table, uint32_t block);

// A block's memory, 4-byte aligned, and its size. NULL for what cannot be one.
void *inode_table_block(const struct inode_table *table, uint32_t block, size_t *size_ret);

// Makes a table whole again whose writer was killed, with no one else at it. (A record
// that was being replaced is still INODE_BUSY until it is put again.) Returns 0, or
// -EINVAL where a killed writer cannot be what was wrong.
int inode_table_repair(struct inode_table *table);

// Number of records.
size_t inode_table_count(const struct inode_table *table);

// Bytes of the region in use, from its start: what a reader has to map.
size_t inode_table_used(const struct inode_table *table);

// Visits every record once, for the writer (no other thread writes meanwhile).
// Start with *cursor 0; returns 1 with a record, 0 at the end.
int inode_table_next(const struct inode_table *table, uint32_t *cursor,
		     struct inode_record *record_ret);

#endif
