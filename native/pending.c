// SPDX-License-Identifier: Apache-2.0
#include "pending.h"

#include <stddef.h>

#define MODE_BITS 07777u // of inode_record.mode, beside the type

// A place goes from free to filling to full and back to free; each step but the last
// of one round leaves the count above as it is.
enum pending_state {
	PENDING_FREE,
	PENDING_FILLING,
	PENDING_FULL,
	PENDING_STATES = 4, // the count's unit
};

enum word {
	WORD_FIELDS,
	WORD_UID,
	WORD_GID,
	WORD_DEV,
	WORD_INO = WORD_DEV + 2,
	WORD_BTIME = WORD_INO + 2,
	WORD_BTIME_NSEC = WORD_BTIME + 2,
	WORD_MODE,
	WORD_RDEV,
	WORDS,
};

#define SETTABLE (INODE_UID | INODE_GID | INODE_MODE | INODE_TYPE | INODE_RETIRED)

_Static_assert(WORDS <= 15, "they fit");
_Static_assert(sizeof(struct pending_place) == 64, "a place is one cache line");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "no lock hides in the atomics");

static uint32_t state_of(uint32_t state)
{
	return state % PENDING_STATES;
}

static uint32_t index_of(uint64_t dev, uint64_t ino)
{
	uint64_t mixed = (dev * 0x9e3779b97f4a7c15u ^ ino) * 0xff51afd7ed558ccdu;
	return (uint32_t)(mixed >> 40) % PENDING_PLACES;
}

static void set(struct pending_place *place, enum word word, uint32_t value)
{
	atomic_store_explicit(&place->words[word], value, memory_order_release);
}

static uint32_t get(const struct pending_place *place, enum word word)
{
	return atomic_load_explicit(&place->words[word], memory_order_acquire);
}

static void set64(struct pending_place *place, enum word word, uint64_t value)
{
	set(place, word, (uint32_t)value);
	set(place, word + 1, (uint32_t)(value >> 32));
}

static uint64_t get64(const struct pending_place *place, enum word word)
{
	return get(place, word) | (uint64_t)get(place, word + 1) << 32;
}

static void store_change(struct pending_place *place, const struct inode_record *change)
{
	set(place, WORD_FIELDS, change->fields);
	set(place, WORD_UID, change->uid);
	set(place, WORD_GID, change->gid);
	set64(place, WORD_DEV, change->identity.dev);
	set64(place, WORD_INO, change->identity.ino);
	set64(place, WORD_BTIME, (uint64_t)change->identity.btime_sec);
	set(place, WORD_BTIME_NSEC, change->identity.btime_nsec);
	set(place, WORD_MODE, change->mode);
	set(place, WORD_RDEV, change->rdev);
}

static struct inode_record load_change(const struct pending_place *place)
{
	return (struct inode_record){
		.identity = {
			.dev = get64(place, WORD_DEV),
			.ino = get64(place, WORD_INO),
			.btime_sec = (int64_t)get64(place, WORD_BTIME),
			.btime_nsec = get(place, WORD_BTIME_NSEC),
		},
		// Whatever else a target writes there is not for it to set.
		.fields = get(place, WORD_FIELDS) & SETTABLE,
		.uid = get(place, WORD_UID),
		.gid = get(place, WORD_GID),
		.mode = get(place, WORD_MODE),
		.rdev = get(place, WORD_RDEV),
	};
}

bool pending_look(const struct pending_changes *pending, uint64_t dev, uint64_t ino,
		  struct pending_view *view_ret)
{
	const struct pending_place *place = &pending->places[index_of(dev, ino)];
	view_ret->place = place;
	view_ret->state = atomic_load_explicit(&place->state, memory_order_acquire);
	view_ret->found = false;
	if (state_of(view_ret->state) != PENDING_FULL)
		return true;
	view_ret->change = load_change(place);
	view_ret->found = view_ret->change.identity.dev == dev &&
			  view_ret->change.identity.ino == ino;
	return pending_unchanged(view_ret);
}

bool pending_unchanged(const struct pending_view *view)
{
	return atomic_load_explicit(&view->place->state, memory_order_acquire) == view->state;
}

bool pending_same_file(const struct inode_record *record, const struct file_identity *file)
{
	const struct file_identity *known = &record->identity;
	return known->dev == file->dev && known->ino == file->ino &&
	       (record->fields & INODE_ANY_BIRTH || (known->btime_sec == file->btime_sec &&
						     known->btime_nsec == file->btime_nsec));
}

bool pending_trim(struct inode_record *change)
{
	const uint32_t device = INODE_MODE | INODE_TYPE;
	const int64_t years = INT64_C(1) << 33; // seconds: 272 years, times 1e9 fits
	uint32_t type = change->mode & ~MODE_BITS;
	if (change->identity.btime_nsec >= 1000000000 || change->identity.btime_sec >= years ||
	    change->identity.btime_sec <= -years)
		return false;
	if (change->fields & INODE_RETIRED) {
		*change = (struct inode_record){.identity = change->identity,
						.fields = INODE_RETIRED};
		return true;
	}
	if ((change->fields & INODE_UID && change->uid == UINT32_MAX) ||
	    (change->fields & INODE_GID && change->gid == UINT32_MAX))
		return false;
	if (change->fields & device)
		return (change->fields & device) == device && (type == 0020000 || type == 0060000);
	change->rdev = 0;
	change->mode &= ~06000u;
	return change->fields != 0 && (type == 0100000 || type == 0040000 || type == 0120000);
}

static uint32_t replace(uint32_t old, uint32_t new, uint32_t bits)
{
	return (old & ~bits) | (new & bits);
}

bool pending_merge(const struct inode_record *change, struct inode_record *record, bool has_record)
{
	// Nothing is published of a file that has gone, but that it has: the record is of an
	// earlier file, whose number was given away within one tick of the clock.
	bool earlier = has_record && record->fields & INODE_RETIRED &&
		       !(change->fields & INODE_RETIRED);
	if (!has_record || earlier)
		*record = (struct inode_record){.identity = change->identity};
	else if (!pending_same_file(record, &change->identity))
		return false;
	record->identity = change->identity;
	record->fields &= ~(uint32_t)INODE_ANY_BIRTH;
	// What is not set is as shown.
	if (change->fields & INODE_UID || !(record->fields & INODE_UID))
		record->uid = change->uid;
	if (change->fields & INODE_GID || !(record->fields & INODE_GID))
		record->gid = change->gid;
	if (change->fields & INODE_MODE || !(record->fields & INODE_MODE))
		record->mode = replace(record->mode, change->mode, MODE_BITS);
	if (change->fields & INODE_TYPE || !(record->fields & INODE_TYPE))
		record->mode = replace(record->mode, change->mode, ~MODE_BITS);
	record->fields |= change->fields;
	if (change->fields & INODE_TYPE)
		record->rdev = change->rdev;
	return true;
}

bool pending_publish(struct pending_changes *pending, const struct inode_record *change)
{
	uint32_t index = index_of(change->identity.dev, change->identity.ino);
	struct pending_place *place = &pending->places[index];
	uint32_t state = atomic_load_explicit(&place->state, memory_order_acquire);
	if (state_of(state) != PENDING_FREE ||
	    !atomic_compare_exchange_strong(&place->state, &state, state + PENDING_FILLING))
		return false;
	store_change(place, change);
	if (change->fields & (INODE_MODE | INODE_TYPE))
		atomic_fetch_add(&pending->modes, 1);
	atomic_fetch_or(&pending->map[index / 32], 1u << index % 32);
	atomic_fetch_add(&pending->taken, 1);
	atomic_store(&place->state, state + PENDING_FULL);
	return true;
}

struct pending_place *pending_next(struct pending_changes *pending, uint32_t *cursor,
				   struct inode_record *change_ret)
{
	while (*cursor < PENDING_PLACES) {
		uint32_t rest = atomic_load(&pending->map[*cursor / 32]) >> *cursor % 32;
		if (rest == 0) {
			*cursor += 32 - *cursor % 32;
			continue;
		}
		*cursor += (uint32_t)__builtin_ctz(rest);
		struct pending_place *place = &pending->places[(*cursor)++];
		if (state_of(atomic_load(&place->state)) != PENDING_FULL)
			continue;
		*change_ret = load_change(place);
		return place;
	}
	return NULL;
}

// In this order: nobody takes a place that is not free, so nobody sets the bit between.
void pending_empty(struct pending_changes *pending, struct pending_place *place)
{
	uint32_t index = (uint32_t)(place - pending->places);
	atomic_fetch_and(&pending->map[index / 32], ~(1u << index % 32));
	uint32_t state = atomic_load(&place->state);
	atomic_store(&place->state, state - state_of(state) + PENDING_STATES);
}
