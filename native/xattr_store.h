// SPDX-License-Identifier: Apache-2.0
//
// The extended attributes that are remembered: sets of names and values, each found by
// the reference that a file's record has. A pure room, but for its own lock.
#ifndef FSC_XATTR_STORE_H
#define FSC_XATTR_STORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct xattr_set;

struct xattr_store {
	pthread_mutex_t lock;
	struct xattr_set **sets; // by reference, less 1
	uint32_t count, room;
	uint32_t *released; // references given back, as large as sets
	uint32_t released_count;
};

void xattr_store_init(struct xattr_store *store);

// Keeps a value, or with value NULL the fact that there is none though the file really has
// one. *reference: 0 for a file without any yet; may be changed. Returns 0 or -ENOMEM.
int xattr_store_put(struct xattr_store *store, uint32_t *reference, const char *name,
		    const void *value, size_t size);

// Forgets one name; the reference becomes 0 with the last one.
void xattr_store_drop(struct xattr_store *store, uint32_t *reference, const char *name);

// Forgets the whole set.
void xattr_store_free(struct xattr_store *store, uint32_t reference);

enum xattr_known {
	XATTR_UNKNOWN, // nothing is remembered of that name
	XATTR_VALUE,
	XATTR_REMOVED, // there is none, whatever the file really has
};

// value_ret, with room for 64 KiB, and size_ret may be NULL.
enum xattr_known xattr_store_get(struct xattr_store *store, uint32_t reference, const char *name,
				 void *value_ret, size_t *size_ret);

// Calls visit with every name and whether it has a value.
void xattr_store_visit(struct xattr_store *store, uint32_t reference,
		       void (*visit)(const char *name, bool has_value, void *context),
		       void *context);

#endif
