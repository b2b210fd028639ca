// SPDX-License-Identifier: Apache-2.0
//
// What a supervisor lets its targets read: the first page of the shared memory, in
// front of the inode table.
#ifndef FSC_SESSION_PAGE_H
#define FSC_SESSION_PAGE_H

#include <stdatomic.h>
#include <stdint.h>

#define SESSION_PAGE_BYTES 4096u
#define SESSION_PAGE_MAGIC 0x46534350u // "FSCP"

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
};

_Static_assert(sizeof(struct session_page) <= SESSION_PAGE_BYTES, "the table is behind it");

#endif
