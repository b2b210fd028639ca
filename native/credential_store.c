// SPDX-License-Identifier: Apache-2.0
#include "credential_store.h"

#include "credential_rules.h"
#include "scope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 64u

void credential_store_init(struct credential_store *store)
{
	*store = (struct credential_store){0};
	lock_init(&store->lock, NULL, false);
}

static uint32_t mix(uint32_t hash, const void *bytes, size_t size)
{
	const unsigned char *from = bytes;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ from[i]) * 16777619u; // FNV-1a
	return hash;
}

static uint32_t hash_of(const struct credentials *credentials)
{
	uint32_t hash = mix(2166136261u, credentials, offsetof(struct credentials, groups));
	return mix(hash, credentials->groups, credentials->group_count * sizeof(uint32_t));
}

// The slot that has them, or the free one where they belong.
static uint32_t *slot_of(const struct credential_store *store,
			 const struct credentials *credentials)
{
	uint32_t mask = 2 * store->room - 1;
	uint32_t place = hash_of(credentials) & mask;
	while (store->slots[place] &&
	       !credential_rules_same(store->list[store->slots[place] - 1], credentials))
		place = (place + 1) & mask;
	return &store->slots[place];
}

static bool grow(struct credential_store *store)
{
	uint32_t room = store->room ? 2 * store->room : FIRST_ROOM;
	struct credentials **list = realloc(store->list, room * sizeof(*list));
	if (!list)
		return false;
	store->list = list;
	uint32_t *slots = calloc(2 * (size_t)room, sizeof(*slots));
	if (!slots)
		return false;
	free(store->slots);
	store->slots = slots;
	store->room = room;
	for (uint32_t i = 0; i < store->count; i++)
		*slot_of(store, list[i]) = i + 1;
	return true;
}

static struct credentials *copy(const struct credentials *credentials)
{
	size_t groups = credentials->group_count * sizeof(uint32_t);
	struct credentials *made = malloc(sizeof(*made) + groups);
	if (!made)
		return NULL;
	*made = *credentials;
	if (groups)
		memcpy(made + 1, credentials->groups, groups);
	made->groups = (const uint32_t *)(made + 1);
	return made;
}

int64_t credential_store_position(struct credential_store *store,
				  const struct credentials *credentials)
{
	SCOPED_LOCK held = lock_hold(&store->lock);
	if (store->count == store->room && store->room < CREDENTIAL_STORE_MOST && !grow(store))
		return -ENOMEM;
	uint32_t *slot = slot_of(store, credentials);
	if (*slot)
		return *slot - 1;
	if (store->count == store->room)
		return -EAGAIN;
	store->list[store->count] = copy(credentials);
	if (!store->list[store->count])
		return -ENOMEM;
	*slot = ++store->count;
	return *slot - 1;
}

const struct credentials *credential_store_at(struct credential_store *store, uint32_t position)
{
	SCOPED_LOCK held = lock_hold(&store->lock);
	return position < store->count ? store->list[position] : NULL;
}
