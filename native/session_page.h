// SPDX-License-Identifier: Apache-2.0
//
// The memory that a supervisor shares with its targets, as two files:
//
//   the records   a page (struct session_page), and behind it the inode table with the
//                 blocks of extended attributes. Supervisors write, targets read.
//   the writable  what targets write (struct session_writable), and supervisors read and
//                 empty again. Whatever is in it may have been written by any program.
//
// A run's own are memory files (memfd_create(2)) that nobody can cut off or write to but as
// said: sealed (F_SEAL_SHRINK, F_SEAL_FUTURE_WRITE). The locks are the supervisor's own.
// With a state file both lie beside it (live.h), locks are words of the page (lock.h), and
// a program of the user's may write to either. So a supervisor never goes outside of what
// it has mapped, whatever it reads there: each number that it follows is checked where it
// is read, and each walk is bounded.
//
// Who writes what:
//
//   magic                          live.c, last of all, once the rest is there
//   pass .. mount_facts            the supervisor; each word tells by itself
//   shared.layout .. mapped_least  live.c, memory.c; under table_writer, or alone
//   shared.redo, redo_valid        memory.c: the record, then the flag, then the table
//   shared.standing                live.c: the slot that is not read, then the count
//   shared.locks                   lock.c
//   the table, its blocks          inode_table.c, xattr_store.c; under table_writer
//   looks, pending                 targets; a supervisor empties the places of pending
#ifndef FSC_SESSION_PAGE_H
#define FSC_SESSION_PAGE_H

#include "looks.h"
#include "pending.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_PAGE_BYTES 4096u
#define SESSION_MOUNT_FACTS 64
#define SESSION_INODE_LOCKS 64
#define SESSION_LOCKS (3 + SESSION_INODE_LOCKS)
#define SESSION_PROGRAM_BYTES 76
#define SESSION_PAGE_MAGIC 0x46534350u // "FSCP"

// The state file that the records belong to.
struct session_standing {
	uint64_t stamp;      // of its content that the table is based on
	uint64_t next_stamp; // the same, while it is being written
	uint64_t file[5];    // dev, ino, size, mtime and ctime, then
};

// Texts that the memory keeps for those who use it, durable.h.
enum session_text {
	SESSION_EDITS,   // that are to be made
	SESSION_DEVICES, // of the files that have records, and where they are mounted
	SESSION_TEXTS,
};

// What all supervisors of one memory share: more than one if it is a file beside a state
// file (live.h).
struct session_shared {
	uint32_t layout;            // LIVE_LAYOUT; where every version has it
	uint32_t published;         // session_publish() has been here
	_Atomic uint64_t allocated; // bytes of the memory that are there
	_Atomic uint32_t settled;   // of pending.taken
	_Atomic uint32_t type_records; // records that show another type than the real one

	// The record being put into the table: put again if its writer is killed.
	struct inode_record redo;
	_Atomic uint32_t redo_valid;

	uint32_t clean;         // its last user has left it whole
	_Atomic uint32_t changed; // some record differs from the state file's, durable.h
	_Atomic uint32_t writing; // or is being written there
	uint32_t epoch;
	uint32_t removed;       // block of a record that the state file has and the table has not
	uint32_t removed_unknown; // there was no room for such a block
	uint32_t unused;
	uint64_t boot[2];       // of the kernel that the memory was last used under
	uint64_t pid_namespace;
	uint64_t writable[2];   // dev and ino of the file that targets write
	uint32_t writable_filled; // the disk has room for all of that
	// The one of the count, odd or even, counts; the other one is written.
	struct session_standing standing[2];
	_Atomic uint32_t standings;
	uint64_t mapped_least;  // of all that use it: more must not be allocated
	_Atomic uint32_t texts[SESSION_TEXTS]; // their first blocks
	uint32_t edits_made;    // how many of the edits noted have been made
	_Atomic uint32_t places; // block of a name where a run has changed files, durable.h
	uint32_t place_count;

	// Whose changes they are, if only one run has used it since someone was alone with it.
	uint32_t runs;
	char program[SESSION_PROGRAM_BYTES];

	_Atomic uint32_t locks[SESSION_LOCKS]; // of struct session_locks
};

struct session_page {
	_Atomic uint32_t magic;
	uint32_t unknown_is_real; // -u: unrecorded files keep their real ids
	uint64_t pass;
	_Atomic uint32_t retirements; // counts records retired, for readers that they overtake
	// Counts the calls by which targets install filters of their own. Those may
	// kill for a call that libc would not have made in the shim's place.
	_Atomic uint32_t sandboxes;

	// What the shim need not care about while it is 0; none goes back to 0.
	_Atomic uint32_t left_root;          // changes of credentials away from root's
	_Atomic uint32_t xattr_records;      // files with extended attributes remembered
	_Atomic uint32_t setgid_directories; // directories that hand a remembered group on
	_Atomic uint32_t locking_umasks;     // umasks set that lock a file's owner out
	uint64_t root_tag;                   // of a process that has not left root, credentials.c

	_Atomic uint32_t pending_used;   // targets may publish pending changes
	_Atomic uint32_t pending_closed; // but no more: the table may not have room for them
	// A target has changed its root, its mounts or its mount namespace: what is known of
	// mounts is not to be trusted any more.
	_Atomic uint32_t views;
	_Atomic uint32_t saved;        // records keep up with real modes, since they will be saved
	_Atomic uint32_t mode_records; // records with a mode or a type of their own
	_Atomic uint64_t mount_facts[SESSION_MOUNT_FACTS]; // mount_facts.h

	// From here on for supervisors alone.
	struct session_shared shared;
};

// Of whole pages.
struct session_writable {
	struct look_place looks[LOOKS];
	struct pending_changes pending;
	unsigned char unused[4096 - 64 - PENDING_PLACES / 8];
};

#define SESSION_TABLE_OFFSET SESSION_PAGE_BYTES

_Static_assert(offsetof(struct session_page, root_tag) == 40, "the same for i386");
_Static_assert(offsetof(struct session_page, mount_facts) == 72, "the same for i386");
_Static_assert(offsetof(struct session_page, shared.layout) == 584, "the same for ever");
_Static_assert(sizeof(struct session_page) <= SESSION_PAGE_BYTES, "the rest is behind it");
_Static_assert(sizeof(struct session_writable) % 4096 == 0, "it is a file of its own");

#endif
