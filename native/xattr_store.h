// SPDX-License-Identifier: Apache-2.0
//
// The extended attributes that are remembered: sets of names and values in blocks of the
// inode table, each found by the reference that a file's record has.
//
// Every step leaves the sets whole, for the next writer, if the supervisor is killed. A
// set without names is kept until the record has been stored: metadata.h sees to that.
#ifndef FSC_XATTR_STORE_H
#define FSC_XATTR_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;

// Keeps a value, or with value NULL the fact that there is none though the file really has
// one. *reference: 0 for a file without any yet; may be changed. Returns 0 or -ENOSPC.
int xattr_store_put(struct session *session, uint32_t *reference, const char *name,
		    const void *value, size_t size);

// Forgets one name.
void xattr_store_drop(struct session *session, uint32_t reference, const char *name);

// Whether a set has no names (any more), and its end. With the table's writer held.
bool xattr_store_is_empty(const struct session *session, uint32_t reference);
void xattr_store_free(struct session *session, uint32_t reference);

enum xattr_known {
	XATTR_UNKNOWN, // nothing is remembered of that name
	XATTR_VALUE,
	XATTR_REMOVED, // there is none, whatever the file really has
};

// value_ret and size_ret may be NULL. What is larger than the room (64 KiB) is not known.
enum xattr_known xattr_store_read(struct session *session, uint32_t reference, const char *name,
				  void *value_ret, size_t room, size_t *size_ret);
enum xattr_known xattr_store_get(struct session *session, uint32_t reference, const char *name,
				 void *value_ret, size_t *size_ret);

// Calls visit with every name and whether it has a value.
void xattr_store_visit(struct session *session, uint32_t reference,
		       void (*visit)(const char *name, bool has_value, void *context),
		       void *context);

struct xattr_view {
	char name[256];
	const void *value; // NULL: removed
	size_t size;
};

// Visits a set, with the table's writer held as long as the views are used. Start with
// next the reference; returns false at the end.
struct xattr_walk {
	uint32_t next;
	int visited;
};
bool xattr_store_next(const struct session *session, struct xattr_walk *walk,
		      struct xattr_view *view_ret);

#endif
