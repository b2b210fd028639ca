// SPDX-License-Identifier: Apache-2.0
#include "xattr_store.h"

#include "scope.h"
#include "session.h"

#include <errno.h>
#include <string.h>

#define REMOVED UINT32_MAX // as a value's size

// What a set's block holds.
struct set {
	_Atomic uint32_t first; // block of an attribute; sorted by nothing: sets are small
};

// What an attribute's block holds; name, with its NUL, and value follow.
struct attribute {
	_Atomic uint32_t next;
	uint32_t name_size;
	uint32_t value_size;
	char name[];
};

static pthread_mutex_t *lock(struct session *session)
{
	return session_lock(session, &session->locks->table_writer);
}

static struct set *set_at(const struct session *session, uint32_t reference)
{
	size_t size;
	return inode_table_block(&session->table, reference, &size);
}

// NULL at the end, and for what a damaged file leads to.
static struct attribute *attribute_at(const struct session *session, uint32_t block)
{
	size_t size;
	struct attribute *one = inode_table_block(&session->table, block, &size);
	if (!one)
		return NULL;
	size_t value_size = one->value_size == REMOVED ? 0 : one->value_size;
	bool fits = one->name_size > 0 && one->name_size <= size && value_size <= size &&
		    sizeof(*one) + one->name_size + value_size <= size &&
		    one->name[one->name_size - 1] == '\0';
	return fits ? one : NULL;
}

static struct attribute *find(const struct session *session, struct set *set, const char *name,
			      _Atomic uint32_t **link_ret)
{
	_Atomic uint32_t *link = &set->first;
	struct attribute *one;
	while ((one = attribute_at(session, atomic_load(link))) && strcmp(one->name, name) != 0)
		link = &one->next;
	*link_ret = link;
	return one;
}

static uint32_t make(struct session *session, const char *name, const void *value, size_t size)
{
	size_t name_size = strlen(name) + 1, ignored;
	uint32_t block = inode_table_take_block(&session->table,
						sizeof(struct attribute) + name_size + size);
	struct attribute *one = inode_table_block(&session->table, block, &ignored);
	if (!one)
		return 0;
	atomic_store(&one->next, 0);
	one->name_size = (uint32_t)name_size;
	one->value_size = value ? (uint32_t)size : REMOVED;
	memcpy(one->name, name, name_size);
	if (value && size)
		memcpy(one->name + name_size, value, size);
	return block;
}

static uint32_t make_set(struct session *session)
{
	uint32_t block = inode_table_take_block(&session->table, sizeof(struct set));
	if (block)
		atomic_store(&set_at(session, block)->first, 0);
	return block;
}

int xattr_store_put(struct session *session, uint32_t *reference, const char *name,
		    const void *value, size_t size)
{
	SCOPED_LOCK held = lock(session);
	session_make_room(session);
	uint32_t block = make(session, name, value, size);
	if (block && !set_at(session, *reference))
		*reference = make_set(session);
	struct set *set = set_at(session, *reference);
	if (!block || !set) {
		if (block)
			inode_table_free_block(&session->table, block);
		return -ENOSPC;
	}
	_Atomic uint32_t *link;
	const struct attribute *old = find(session, set, name, &link);
	uint32_t old_block = atomic_load(link);
	if (old)
		atomic_store(&attribute_at(session, block)->next, atomic_load(&old->next));
	atomic_store(link, block);
	if (old)
		inode_table_free_block(&session->table, old_block);
	return 0;
}

void xattr_store_drop(struct session *session, uint32_t reference, const char *name)
{
	SCOPED_LOCK held = lock(session);
	struct set *set = set_at(session, reference);
	_Atomic uint32_t *link;
	const struct attribute *one = set ? find(session, set, name, &link) : NULL;
	if (!one)
		return;
	uint32_t block = atomic_load(link);
	atomic_store(link, atomic_load(&one->next));
	inode_table_free_block(&session->table, block);
}

bool xattr_store_is_empty(const struct session *session, uint32_t reference)
{
	const struct set *set = set_at(session, reference);
	return !set || !attribute_at(session, atomic_load(&set->first));
}

void xattr_store_free(struct session *session, uint32_t reference)
{
	struct set *set = set_at(session, reference);
	const struct attribute *one;
	if (!set)
		return;
	while ((one = attribute_at(session, atomic_load(&set->first)))) {
		uint32_t block = atomic_load(&set->first);
		atomic_store(&set->first, atomic_load(&one->next));
		inode_table_free_block(&session->table, block);
	}
	inode_table_free_block(&session->table, reference);
}

enum xattr_known xattr_store_get(struct session *session, uint32_t reference, const char *name,
				 void *value_ret, size_t *size_ret)
{
	if (reference == 0)
		return XATTR_UNKNOWN;
	SCOPED_LOCK held = lock(session);
	struct set *set = set_at(session, reference);
	_Atomic uint32_t *link;
	const struct attribute *one = set ? find(session, set, name, &link) : NULL;
	if (!one)
		return XATTR_UNKNOWN;
	if (one->value_size == REMOVED)
		return XATTR_REMOVED;
	if (value_ret)
		memcpy(value_ret, one->name + one->name_size, one->value_size);
	if (size_ret)
		*size_ret = one->value_size;
	return XATTR_VALUE;
}

bool xattr_store_next(const struct session *session, uint32_t *cursor, bool *begun,
		      struct xattr_view *view_ret)
{
	if (!*begun) {
		const struct set *set = set_at(session, *cursor);
		*begun = true;
		*cursor = set ? atomic_load(&set->first) : 0;
	}
	const struct attribute *one = attribute_at(session, *cursor);
	if (!one)
		return false;
	*cursor = atomic_load(&one->next);
	bool removed = one->value_size == REMOVED;
	*view_ret = (struct xattr_view){
		.name = one->name,
		.value = removed ? NULL : one->name + one->name_size,
		.size = removed ? 0 : one->value_size,
	};
	return true;
}

void xattr_store_visit(struct session *session, uint32_t reference,
		       void (*visit)(const char *name, bool has_value, void *context),
		       void *context)
{
	SCOPED_LOCK held = lock(session);
	struct xattr_view view;
	bool begun = false;
	while (xattr_store_next(session, &reference, &begun, &view))
		visit(view.name, view.value != NULL, context);
}
