// SPDX-License-Identifier: Apache-2.0
#include "xattr_store.h"

#include "scope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct xattr {
	struct xattr *next;
	unsigned char *value; // NULL: removed
	size_t size;
	char name[];
};

struct xattr_set {
	struct xattr *first; // sorted by nothing: sets are small
};

static pthread_mutex_t *lock(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
	return mutex;
}

void xattr_store_init(struct xattr_store *store)
{
	*store = (struct xattr_store){0};
	pthread_mutex_init(&store->lock, NULL);
}

static struct xattr_set *set_at(const struct xattr_store *store, uint32_t reference)
{
	return reference > 0 && reference <= store->count ? store->sets[reference - 1] : NULL;
}

static struct xattr **link_to(struct xattr_set *set, const char *name)
{
	struct xattr **link = &set->first;
	while (*link && strcmp((*link)->name, name) != 0)
		link = &(*link)->next;
	return link;
}

static void release(struct xattr *one)
{
	free(one->value);
	free(one);
}

static bool grow(struct xattr_store *store)
{
	uint32_t room = store->room ? 2 * store->room : 64;
	struct xattr_set **sets = realloc(store->sets, room * sizeof(struct xattr_set *));
	if (sets)
		store->sets = sets;
	uint32_t *released = realloc(store->released, room * sizeof(*released));
	if (released)
		store->released = released;
	if (!sets || !released)
		return false;
	store->room = room;
	return true;
}

// A reference that was given back serves again. 0: no memory.
static uint32_t new_reference(struct xattr_store *store)
{
	if (store->released_count == 0 && store->count == store->room && !grow(store))
		return 0;
	struct xattr_set *set = calloc(1, sizeof(*set));
	if (!set)
		return 0;
	uint32_t reference = store->released_count > 0 ? store->released[--store->released_count]
						       : ++store->count;
	store->sets[reference - 1] = set;
	return reference;
}

static struct xattr *make(const char *name, const void *value, size_t size)
{
	size_t length = strlen(name) + 1;
	struct xattr *one = malloc(sizeof(*one) + length);
	unsigned char *copy = value ? malloc(size ? size : 1) : NULL;
	if (!one || (value && !copy)) {
		free(one);
		free(copy);
		return NULL;
	}
	*one = (struct xattr){.value = copy, .size = size};
	memcpy(one->name, name, length);
	if (value && size)
		memcpy(copy, value, size);
	return one;
}

int xattr_store_put(struct xattr_store *store, uint32_t *reference, const char *name,
		    const void *value, size_t size)
{
	struct xattr *one = make(name, value, size);
	if (!one)
		return -ENOMEM;
	SCOPED_LOCK held = lock(&store->lock);
	if (!set_at(store, *reference))
		*reference = new_reference(store);
	struct xattr_set *set = set_at(store, *reference);
	if (!set) {
		release(one);
		return -ENOMEM;
	}
	struct xattr **link = link_to(set, name);
	if (*link) {
		one->next = (*link)->next;
		release(*link);
	}
	*link = one;
	return 0;
}

static void free_set(struct xattr_store *store, uint32_t reference)
{
	struct xattr_set *set = set_at(store, reference);
	if (!set)
		return;
	while (set->first) {
		struct xattr *one = set->first;
		set->first = one->next;
		release(one);
	}
	free(set);
	store->sets[reference - 1] = NULL;
	store->released[store->released_count++] = reference;
}

void xattr_store_free(struct xattr_store *store, uint32_t reference)
{
	if (reference == 0)
		return;
	SCOPED_LOCK held = lock(&store->lock);
	free_set(store, reference);
}

void xattr_store_drop(struct xattr_store *store, uint32_t *reference, const char *name)
{
	SCOPED_LOCK held = lock(&store->lock);
	struct xattr_set *set = set_at(store, *reference);
	struct xattr **link = set ? link_to(set, name) : NULL;
	if (link && *link) {
		struct xattr *one = *link;
		*link = one->next;
		release(one);
	}
	if (set && !set->first) {
		free_set(store, *reference);
		*reference = 0;
	}
}

enum xattr_known xattr_store_get(struct xattr_store *store, uint32_t reference, const char *name,
				 void *value_ret, size_t *size_ret)
{
	SCOPED_LOCK held = lock(&store->lock);
	struct xattr_set *set = set_at(store, reference);
	const struct xattr *one = set ? *link_to(set, name) : NULL;
	if (!one)
		return XATTR_UNKNOWN;
	if (!one->value)
		return XATTR_REMOVED;
	if (value_ret)
		memcpy(value_ret, one->value, one->size);
	if (size_ret)
		*size_ret = one->size;
	return XATTR_VALUE;
}

void xattr_store_visit(struct xattr_store *store, uint32_t reference,
		       void (*visit)(const char *name, bool has_value, void *context),
		       void *context)
{
	SCOPED_LOCK held = lock(&store->lock);
	struct xattr_set *set = set_at(store, reference);
	for (const struct xattr *one = set ? set->first : NULL; one; one = one->next)
		visit(one->name, one->value != NULL, context);
}
