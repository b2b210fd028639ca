// SPDX-License-Identifier: Apache-2.0
#include "xattr_store.h"

#include "scope.h"
#include "session.h"

#include <errno.h>
#include <linux/limits.h>
#include <string.h>

#define REMOVED UINT32_MAX // as a value's size
#define ATTRIBUTES_MOST (1 << 16) // of one file: a longer list goes round in circles

// What a set's block holds.
struct set {
	_Atomic uint32_t first; // block of an attribute; sorted by nothing: sets are small
};

// What an attribute's block holds; name, with its NUL, and value follow.
struct attribute {
	_Atomic uint32_t next;
	_Atomic uint32_t name_size;
	_Atomic uint32_t value_size;
	char name[];
};

// One as it was when it was read: others may write to it meanwhile (session_page.h).
struct seen {
	struct attribute *at;
	uint32_t next;
	uint32_t name_size, value_size;
	bool removed;
};

static struct lock *lock(struct session *session)
{
	return session_lock(session, &session->locks.table_writer);
}

static struct set *set_at(const struct session *session, uint32_t reference)
{
	size_t size;
	return inode_table_block(&session->table, reference, &size);
}

// False at the end, and for what a damaged file leads to.
static bool attribute_at(const struct session *session, uint32_t block, struct seen *seen_ret)
{
	size_t room;
	struct attribute *one = inode_table_block(&session->table, block, &room);
	if (!one)
		return false;
	uint32_t value_size = atomic_load(&one->value_size);
	*seen_ret = (struct seen){
		.at = one,
		.next = atomic_load(&one->next),
		.name_size = atomic_load(&one->name_size),
		.value_size = value_size == REMOVED ? 0 : value_size,
		.removed = value_size == REMOVED,
	};
	return seen_ret->name_size > 0 && seen_ret->name_size <= XATTR_NAME_MAX + 1 &&
	       seen_ret->value_size <= XATTR_SIZE_MAX &&
	       sizeof(*one) + seen_ret->name_size + seen_ret->value_size <= room;
}

static const char *value_of(const struct seen *seen)
{
	return seen->at->name + seen->name_size;
}

// The link to the attribute of that name, or to the end.
static bool find(const struct session *session, struct set *set, const char *name,
		 _Atomic uint32_t **link_ret, struct seen *seen_ret)
{
	size_t size = strlen(name) + 1;
	*link_ret = &set->first;
	for (int i = 0; i < ATTRIBUTES_MOST; i++) {
		if (!attribute_at(session, atomic_load(*link_ret), seen_ret))
			return false;
		if (seen_ret->name_size == size && memcmp(seen_ret->at->name, name, size) == 0)
			return true;
		*link_ret = &seen_ret->at->next;
	}
	return false;
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
	atomic_store(&one->name_size, (uint32_t)name_size);
	atomic_store(&one->value_size, value ? (uint32_t)size : REMOVED);
	memcpy(one->name, name, name_size);
	if (value && size)
		memcpy(one->name + name_size, value, size);
	return block;
}

static uint32_t make_set(struct session *session)
{
	uint32_t block = inode_table_take_block(&session->table, sizeof(struct set));
	struct set *set = set_at(session, block);
	if (set)
		atomic_store(&set->first, 0);
	return set ? block : 0;
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
	struct seen old, new;
	if (!set || !attribute_at(session, block, &new)) {
		if (block)
			inode_table_free_block(&session->table, block);
		return -ENOSPC;
	}
	_Atomic uint32_t *link;
	bool replaces = find(session, set, name, &link, &old);
	uint32_t old_block = atomic_load(link);
	if (replaces)
		atomic_store(&new.at->next, old.next);
	atomic_store(link, block);
	if (replaces)
		inode_table_free_block(&session->table, old_block);
	return 0;
}

void xattr_store_drop(struct session *session, uint32_t reference, const char *name)
{
	SCOPED_LOCK held = lock(session);
	struct set *set = set_at(session, reference);
	_Atomic uint32_t *link;
	struct seen one;
	if (!set || !find(session, set, name, &link, &one))
		return;
	uint32_t block = atomic_load(link);
	atomic_store(link, one.next);
	inode_table_free_block(&session->table, block);
}

bool xattr_store_is_empty(const struct session *session, uint32_t reference)
{
	const struct set *set = set_at(session, reference);
	struct seen first;
	return !set || !attribute_at(session, atomic_load(&set->first), &first);
}

void xattr_store_free(struct session *session, uint32_t reference)
{
	struct set *set = set_at(session, reference);
	struct seen one;
	if (!set)
		return;
	for (int i = 0; i < ATTRIBUTES_MOST; i++) {
		uint32_t block = atomic_load(&set->first);
		if (!attribute_at(session, block, &one))
			break;
		atomic_store(&set->first, one.next);
		inode_table_free_block(&session->table, block);
	}
	inode_table_free_block(&session->table, reference);
}

enum xattr_known xattr_store_read(struct session *session, uint32_t reference, const char *name,
				  void *value_ret, size_t room, size_t *size_ret)
{
	if (reference == 0)
		return XATTR_UNKNOWN;
	SCOPED_LOCK held = lock(session);
	struct set *set = set_at(session, reference);
	_Atomic uint32_t *link;
	struct seen one;
	if (!set || !find(session, set, name, &link, &one) || one.value_size > room)
		return XATTR_UNKNOWN;
	if (one.removed)
		return XATTR_REMOVED;
	if (value_ret)
		memcpy(value_ret, value_of(&one), one.value_size);
	if (size_ret)
		*size_ret = one.value_size;
	return XATTR_VALUE;
}

enum xattr_known xattr_store_get(struct session *session, uint32_t reference, const char *name,
				 void *value_ret, size_t *size_ret)
{
	return xattr_store_read(session, reference, name, value_ret, XATTR_SIZE_MAX, size_ret);
}

bool xattr_store_next(const struct session *session, struct xattr_walk *walk,
		      struct xattr_view *view_ret)
{
	struct seen one;
	if (walk->visited == 0) {
		const struct set *set = set_at(session, walk->next);
		walk->next = set ? atomic_load(&set->first) : 0;
	}
	if (walk->visited++ == ATTRIBUTES_MOST || !attribute_at(session, walk->next, &one))
		return false;
	walk->next = one.next;
	memcpy(view_ret->name, one.at->name, one.name_size);
	view_ret->name[one.name_size - 1] = '\0';
	view_ret->value = one.removed ? NULL : value_of(&one);
	view_ret->size = one.value_size;
	return true;
}

void xattr_store_visit(struct session *session, uint32_t reference,
		       void (*visit)(const char *name, bool has_value, void *context),
		       void *context)
{
	SCOPED_LOCK held = lock(session);
	struct xattr_view view;
	struct xattr_walk walk = {.next = reference};
	while (xattr_store_next(session, &walk, &view))
		visit(view.name, view.value != NULL, context);
}
