// SPDX-License-Identifier: Apache-2.0
#include "metadata.h"

#include "control.h"
#include "scope.h"

#include <errno.h>

static pthread_mutex_t *lock(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
	return mutex;
}

static enum inode_lookup find(struct session *session, uint64_t dev, uint64_t ino,
			      struct inode_record *record_ret)
{
	enum inode_lookup found = inode_table_find(&session->table, dev, ino, record_ret);
	if (found != INODE_BUSY)
		return found;
	SCOPED_LOCK held = lock(&session->table_writer);
	return inode_table_find(&session->table, dev, ino, record_ret);
}

bool metadata_may_know(struct session *session, uint64_t dev, uint64_t ino)
{
	struct inode_record record;
	return find(session, dev, ino, &record) == INODE_FOUND;
}

// With the table's writer held, as by all who call it.
static void remove_record(struct session *session, const struct inode_record *record)
{
	xattr_store_free(&session->xattrs, record->xattrs);
	inode_table_remove(&session->table, record->identity.dev, record->identity.ino);
}

static void drop_stale(struct session *session, const struct inode_record *stale)
{
	SCOPED_LOCK held = lock(&session->table_writer);
	struct inode_record now;
	const struct file_identity *identity = &stale->identity;
	if (inode_table_find(&session->table, identity->dev, identity->ino, &now) == INODE_FOUND &&
	    now.identity.btime_sec == identity->btime_sec &&
	    now.identity.btime_nsec == identity->btime_nsec && now.fields == stale->fields)
		remove_record(session, &now);
}

enum metadata_known metadata_look_up(struct session *session, const struct statx *real,
				     struct inode_record *record_ret)
{
	uint64_t dev = rules_dev(real->stx_dev_major, real->stx_dev_minor);
	if (find(session, dev, real->stx_ino, record_ret) != INODE_FOUND)
		return METADATA_NONE;
	switch (rules_record_owner(record_ret, real)) {
	case RULES_THIS_FILE:
		return METADATA_KNOWN;
	case RULES_DOUBTFUL:
		return METADATA_DOUBTFUL;
	case RULES_EARLIER_FILE:
		drop_stale(session, record_ret);
		break;
	case RULES_LATER_FILE:
		break;
	}
	return METADATA_NONE;
}

bool metadata_find(struct session *session, const struct statx *real,
		   struct inode_record *record_ret)
{
	return metadata_look_up(session, real, record_ret) == METADATA_KNOWN;
}

static pthread_mutex_t *lock_inode(struct session *session, uint64_t ino)
{
	return lock(&session->inode_locks[ino * 0x9e3779b97f4a7c15u >> 58]);
}

pthread_mutex_t *metadata_lock(struct session *session, const struct statx *real)
{
	return lock_inode(session, real->stx_ino);
}

static void set_bits(uint32_t *mode, uint32_t from, uint32_t bits)
{
	*mode = (*mode & ~bits) | (from & bits);
}

void metadata_edit(struct session *session, const struct statx *real,
		   struct inode_record *record_ret)
{
	bool known = metadata_find(session, real, record_ret);
	if (!known)
		*record_ret = (struct inode_record){0};
	if (!known || record_ret->fields & INODE_ANY_BIRTH)
		rules_identity(real, &record_ret->identity);
	record_ret->fields &= ~(uint32_t)INODE_ANY_BIRTH;
	bool own = session->page->unknown_is_real;
	if (!(record_ret->fields & INODE_UID))
		record_ret->uid = own ? real->stx_uid : 0;
	if (!(record_ret->fields & INODE_GID))
		record_ret->gid = own ? real->stx_gid : 0;
	if (!(record_ret->fields & INODE_MODE))
		set_bits(&record_ret->mode, real->stx_mode, RULES_MODE_MASK);
	if (!(record_ret->fields & INODE_TYPE))
		set_bits(&record_ret->mode, real->stx_mode, RULES_TYPE_MASK);
	if (!known && !(real->stx_mask & STATX_BTIME))
		control_tell_no_btime(session, record_ret->identity.dev, real->stx_mode);
}

int metadata_store(struct session *session, const struct inode_record *record)
{
	struct inode_record kept = *record;
	// What the default shows anyway need not be remembered.
	if (!session->page->unknown_is_real) {
		if (kept.fields & INODE_UID && kept.uid == 0)
			kept.fields &= ~(uint32_t)INODE_UID;
		if (kept.fields & INODE_GID && kept.gid == 0)
			kept.fields &= ~(uint32_t)INODE_GID;
	}
	SCOPED_LOCK held = lock(&session->table_writer);
	atomic_fetch_add(&session->changes, 1);
	if ((kept.fields & ~(uint32_t)(INODE_RETIRED | INODE_ANY_BIRTH)) == 0 &&
	    kept.xattrs == 0) {
		inode_table_remove(&session->table, kept.identity.dev, kept.identity.ino);
		return 0;
	}
	if (kept.fields & INODE_TYPE)
		atomic_store(&session->devices, true);
	if (kept.fields & (INODE_TYPE | INODE_MODE))
		atomic_fetch_add(&session->page->mode_records, 1);
	return inode_table_put(&session->table, &kept);
}

static void forget_oldest_retired(struct session *session, const struct file_identity *newest)
{
	SCOPED_LOCK held = lock(&session->table_writer);
	struct file_identity *slot = &session->retired[session->retired_next];
	struct inode_record record;
	session->retired_next = (session->retired_next + 1) % SESSION_RETIRED;
	if (inode_table_find(&session->table, slot->dev, slot->ino, &record) == INODE_FOUND &&
	    record.fields & INODE_RETIRED && pending_same_file(&record, slot))
		remove_record(session, &record);
	*slot = *newest;
}

static void retire(struct session *session, const struct file_identity *identity)
{
	{
		SCOPED_LOCK inode = lock_inode(session, identity->ino);
		struct inode_record record;
		if (find(session, identity->dev, identity->ino, &record) != INODE_FOUND ||
		    !pending_same_file(&record, identity) || record.fields & INODE_RETIRED)
			return;
		record.fields |= INODE_RETIRED;
		if (metadata_store(session, &record) != 0)
			return;
		atomic_fetch_add(&session->page->retirements, 1);
	}
	forget_oldest_retired(session, identity);
}

void metadata_retire(struct session *session, const struct statx *real)
{
	struct file_identity identity;
	rules_identity(real, &identity);
	retire(session, &identity);
}

// What a change needs at most, a new bucket array aside, which may be wanting.
#define ROOM_FOR_PENDING ((size_t)PENDING_PLACES * 4 * 64)

static void settle(struct session *session, const struct inode_record *change)
{
	const struct file_identity *identity = &change->identity;
	if (change->fields & INODE_RETIRED) {
		retire(session, identity);
		return;
	}
	SCOPED_LOCK inode = lock_inode(session, identity->ino);
	struct inode_record record;
	bool known = find(session, identity->dev, identity->ino, &record) == INODE_FOUND;
	if (!pending_merge(change, &record, known)) {
		const struct file_identity *other = &record.identity;
		bool later = other->btime_sec != identity->btime_sec
				     ? other->btime_sec > identity->btime_sec
				     : other->btime_nsec > identity->btime_nsec;
		if (later)
			return;
		drop_stale(session, &record);
		pending_merge(change, &record, false);
	}
	metadata_store(session, &record);
}

void metadata_settle(struct session *session)
{
	struct pending_changes *pending = &session->writable->pending;
	if (!atomic_load(&session->page->pending_used) ||
	    atomic_load(&pending->taken) == atomic_load(&session->settled))
		return;
	SCOPED_LOCK held = lock(&session->settling);
	struct inode_record change;
	struct pending_place *place;
	uint32_t cursor = 0, count = 0;
	for (; (place = pending_next(pending, &cursor, &change)); count++) {
		settle(session, &change);
		pending_empty(pending, place);
	}
	atomic_fetch_add(&session->settled, count);
	if (inode_table_used(&session->table) + ROOM_FOR_PENDING > session->table.size)
		atomic_store(&session->page->pending_closed, 1);
}
