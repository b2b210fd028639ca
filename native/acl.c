// SPDX-License-Identifier: Apache-2.0
#include "acl.h"

#include "credentials.h"

#include <errno.h>
#include <string.h>

#define VERSION 2u
enum { USER_OBJ = 0x01, USER = 0x02, GROUP_OBJ = 0x04, GROUP = 0x08, MASK = 0x10, OTHER = 0x20 };

struct entry {
	uint16_t tag, permissions;
	uint32_t id;
};

#define HEADER sizeof(uint32_t)

static size_t count_entries(const void *acl, size_t size)
{
	uint32_t version = 0;
	if (size < HEADER || (size - HEADER) % sizeof(struct entry) != 0)
		return 0;
	memcpy(&version, acl, sizeof(version));
	return version == VERSION ? (size - HEADER) / sizeof(struct entry) : 0;
}

static struct entry entry_at(const void *acl, size_t index)
{
	struct entry entry;
	memcpy(&entry, (const unsigned char *)acl + HEADER + index * sizeof(entry), sizeof(entry));
	return entry;
}

static bool has_form(const struct entry *entry)
{
	switch (entry->tag) {
	case USER_OBJ:
	case GROUP_OBJ:
	case MASK:
	case OTHER:
		return true;
	case USER:
	case GROUP:
		return entry->id != UINT32_MAX;
	default:
		return false;
	}
}

int acl_form(const void *acl, size_t size)
{
	uint32_t version;
	if (size == 0)
		return 0;
	if (size < HEADER)
		return -EINVAL;
	memcpy(&version, acl, sizeof(version));
	if (version != VERSION)
		return -EOPNOTSUPP;
	if ((size - HEADER) % sizeof(struct entry) != 0)
		return -EINVAL;
	size_t count = count_entries(acl, size);
	for (size_t i = 0; i < count; i++) {
		struct entry entry = entry_at(acl, i);
		if (!has_form(&entry))
			return -EINVAL;
	}
	return count > 0;
}

// What may follow an entry: the tags in their order, users and groups any number of times.
static uint32_t tags_behind(uint32_t tag, bool needs_mask)
{
	switch (tag) {
	case 0:
		return USER_OBJ;
	case USER_OBJ:
	case USER:
		return USER | GROUP_OBJ;
	case GROUP_OBJ:
	case GROUP:
		return GROUP | MASK | (needs_mask ? 0u : OTHER);
	case MASK:
		return OTHER;
	default:
		return 0;
	}
}

bool acl_is_valid(const void *acl, size_t size)
{
	size_t count = count_entries(acl, size);
	uint32_t last = 0;
	bool needs_mask = false;
	for (size_t i = 0; i < count; i++) {
		struct entry entry = entry_at(acl, i);
		if (entry.permissions > 7 || !(tags_behind(last, needs_mask) & entry.tag))
			return false;
		last = entry.tag;
		needs_mask |= last == USER || last == GROUP;
	}
	return last == OTHER;
}

static bool has_mask(const void *acl, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (entry_at(acl, i).tag == MASK)
			return true;
	return false;
}

// How far up a mode's bits the entry stands, or -1.
static int shift_of(const struct entry *entry, bool masked)
{
	switch (entry->tag) {
	case USER_OBJ:
		return 6;
	case GROUP_OBJ:
		return masked ? -1 : 3;
	case MASK:
		return 3;
	case OTHER:
		return 0;
	default:
		return -1;
	}
}

bool acl_mode(const void *acl, size_t size, uint32_t *mode_ret, bool *is_mode_ret)
{
	size_t count = count_entries(acl, size);
	bool masked = has_mask(acl, count);
	*mode_ret = 0;
	*is_mode_ret = count == 3 && !masked;
	for (size_t i = 0; i < count; i++) {
		struct entry entry = entry_at(acl, i);
		int shift = shift_of(&entry, masked);
		if (entry.permissions > 7)
			return false;
		if (shift >= 0)
			*mode_ret |= (uint32_t)entry.permissions << shift;
		else if (entry.tag != GROUP_OBJ)
			*is_mode_ret = false;
	}
	return count >= 3;
}

void acl_set_mode(void *acl, size_t size, uint32_t mode)
{
	size_t count = count_entries(acl, size);
	bool masked = has_mask(acl, count);
	for (size_t i = 0; i < count; i++) {
		struct entry entry = entry_at(acl, i);
		int shift = shift_of(&entry, masked);
		if (shift < 0)
			continue;
		entry.permissions = mode >> shift & 7;
		memcpy((unsigned char *)acl + HEADER + i * sizeof(entry), &entry, sizeof(entry));
	}
}

static uint32_t mask_of(const void *acl, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (entry_at(acl, i).tag == MASK)
			return entry_at(acl, i).permissions;
	return 7;
}

// Entries are in the order of their tags (posix_acl_valid()): users, groups, mask, others.
bool acl_grants(const void *acl, size_t size, const struct credentials *credentials,
		uint32_t group, uint32_t mask)
{
	size_t count = count_entries(acl, size);
	uint32_t most = mask_of(acl, count);
	bool in_group = false;
	for (size_t i = 0; i < count; i++) {
		struct entry entry = entry_at(acl, i);
		bool enough = (entry.permissions & mask) == mask;
		bool masked_enough = (entry.permissions & most & mask) == mask;
		if (entry.tag == USER && entry.id == credentials->fsuid)
			return masked_enough;
		if ((entry.tag == GROUP_OBJ && credentials_in_group(credentials, group)) ||
		    (entry.tag == GROUP && credentials_in_group(credentials, entry.id))) {
			in_group = true;
			if (enough)
				return masked_enough;
		}
		if (entry.tag == OTHER)
			return !in_group && enough;
	}
	return false;
}
