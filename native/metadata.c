// SPDX-License-Identifier: Apache-2.0
#include "metadata.h"

#include "control.h"
#include "durable.h"
#include "scope.h"
#include "xattr_store.h"

#include <errno.h>

static struct lock *lock_table(struct session *session)
{
	return session_lock(session, &session->locks.table_writer);
}

static enum inode_lookup find(struct session *session, uint64_t dev, uint64_t ino,
			      struct inode_record *record_ret)
{
	enum inode_lookup found = inode_table_find(&session->table, dev, ino, record_ret);
	if (found != INODE_BUSY)
		return found;
	SCOPED_LOCK held = lock_table(session);
	return inode_table_find(&session->table, dev, ino, record_ret);
}

bool metadata_may_know(struct session *session, uint64_t dev, uint64_t ino)
{
	struct inode_record record;
	metadata_settle(session);
	return find(session, dev, ino, &record) == INODE_FOUND;
}

// In this order: what a killed writer leaves may be lost, but leads nowhere.
void metadata_remove(struct session *session, const struct inode_record *record)
{
	durable_removed(session, record);
	inode_table_remove(&session->table, record->identity.dev, record->identity.ino);
	xattr_store_free(session, record->xattrs);
}

void metadata_drop(struct session *session, const struct inode_record *stale)
{
	SCOPED_LOCK held = lock_table(session);
	struct inode_record now;
	const struct file_identity *identity = &stale->identity;
	if (inode_table_find(&session->table, identity->dev, identity->ino, &now) == INODE_FOUND &&
	    now.identity.btime_sec == identity->btime_sec &&
	    now.identity.btime_nsec == identity->btime_nsec && now.fields == stale->fields)
		metadata_remove(session, &now);
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
		metadata_drop(session, record_ret);
		break;
	case RULES_LATER_FILE:
		break;
	}
	return METADATA_NONE;
}

bool metadata_find(struct session *session, const struct statx *real,
		   struct inode_record *record_ret)
{
	metadata_settle(session);
	return metadata_look_up(session, real, record_ret) == METADATA_KNOWN;
}

struct lock *metadata_lock_number(struct session *session, uint64_t ino)
{
	return session_lock(session, &session->locks.inodes[ino * 0x9e3779b97f4a7c15u >> 58]);
}

struct lock *metadata_lock(struct session *session, const struct statx *real)
{
	metadata_settle(session);
	return metadata_lock_number(session, real->stx_ino);
}

static void set_bits(uint32_t *mode, uint32_t from, uint32_t bits)
{
	*mode = (*mode & ~bits) | (from & bits);
}

void metadata_edit(struct session *session, const struct statx *real,
		   struct inode_record *record_ret)
{
	bool known = metadata_look_up(session, real, record_ret) == METADATA_KNOWN;
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
	// Nobody can tell when the last descriptor of such a file is closed, and its inode
	// number given away: at once, as a rule, which is within one tick of the clock.
	if (real->stx_nlink == 0)
		record_ret->fields |= INODE_RETIRED;
	if (!known && !(real->stx_mask & STATX_BTIME))
		control_tell_no_btime(session, record_ret->identity.dev, real->stx_mode);
}

// The record of the inode number, whichever file it is of.
static void forget(struct session *session, const struct inode_record *record)
{
	struct inode_record known;
	const struct file_identity *identity = &record->identity;
	if (inode_table_find(&session->table, identity->dev, identity->ino, &known) != INODE_FOUND)
		return;
	durable_removed(session, &known);
	inode_table_remove(&session->table, identity->dev, identity->ino);
}

static bool has_number(const struct session *session, const struct file_identity *identity)
{
	struct inode_record known;
	return inode_table_find(&session->table, identity->dev, identity->ino, &known) ==
	       INODE_FOUND;
}

static int put(struct session *session, struct inode_record *record, bool promised)
{
	struct session_page *page = session->page;
	if (session_make_room(session) != 0 && !promised && !has_number(session, &record->identity))
		return -ENOSPC;
	durable_changed(session, record);
	if (record->fields & INODE_TYPE)
		atomic_store(&page->shared.type_records, 1);
	if (record->fields & (INODE_TYPE | INODE_MODE))
		atomic_fetch_add(&page->mode_records, 1);
	return session_put(session, record);
}

// promised: a target has published it.
static int store(struct session *session, const struct inode_record *record, bool promised)
{
	struct inode_record kept = *record;
	// What the default shows anyway need not be remembered.
	if (!session->page->unknown_is_real) {
		if (kept.fields & INODE_UID && kept.uid == 0)
			kept.fields &= ~(uint32_t)INODE_UID;
		if (kept.fields & INODE_GID && kept.gid == 0)
			kept.fields &= ~(uint32_t)INODE_GID;
	}
	SCOPED_LOCK held = lock_table(session);
	atomic_fetch_add(&session->changes, 1);
	if (kept.xattrs && xattr_store_is_empty(session, kept.xattrs))
		kept.xattrs = 0;
	int error = 0;
	if ((kept.fields & ~(uint32_t)INODE_STANDING) == 0 && kept.xattrs == 0)
		forget(session, &kept);
	else
		error = put(session, &kept, promised);
	if (!error && record->xattrs != kept.xattrs)
		xattr_store_free(session, record->xattrs);
	return error;
}

int metadata_store(struct session *session, const struct inode_record *record)
{
	return store(session, record, false);
}

static void forget_oldest_retired(struct session *session, const struct file_identity *newest)
{
	SCOPED_LOCK held = lock_table(session);
	struct file_identity *slot = &session->retired[session->retired_next];
	struct inode_record record;
	session->retired_next = (session->retired_next + 1) % SESSION_RETIRED;
	if (inode_table_find(&session->table, slot->dev, slot->ino, &record) == INODE_FOUND &&
	    record.fields & INODE_RETIRED && pending_same_file(&record, slot))
		metadata_remove(session, &record);
	*slot = *newest;
}

static void retire(struct session *session, const struct file_identity *identity)
{
	{
		SCOPED_LOCK inode = metadata_lock_number(session, identity->ino);
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

bool metadata_keep(struct session *session, const struct statx *real)
{
	struct inode_record record;
	SCOPED_LOCK held = metadata_lock(session, real);
	if (metadata_look_up(session, real, &record) != METADATA_KNOWN ||
	    !(record.fields & INODE_RETIRED))
		return false;
	record.fields &= ~(uint32_t)INODE_RETIRED;
	return metadata_store(session, &record) == 0;
}

static void settle(struct session *session, const struct inode_record *change)
{
	const struct file_identity *identity = &change->identity;
	if (change->fields & INODE_RETIRED) {
		retire(session, identity);
		return;
	}
	SCOPED_LOCK inode = metadata_lock_number(session, identity->ino);
	struct inode_record record;
	bool known = find(session, identity->dev, identity->ino, &record) == INODE_FOUND;
	if (known && record.fields & INODE_RETIRED) {
		metadata_drop(session, &record);
		known = false;
	}
	if (!pending_merge(change, &record, known)) {
		if (file_identity_is_later(&record.identity, identity))
			return;
		metadata_drop(session, &record);
		pending_merge(change, &record, false);
	}
	store(session, &record, true);
}

static void settle_all(struct session *session)
{
	struct pending_changes *pending = &session->writable->pending;
	SCOPED_LOCK held = session_lock(session, &session->locks.settling);
	struct inode_record change;
	struct pending_place *place;
	uint32_t cursor = 0, count = 0;
	for (; (place = pending_next(pending, &cursor, &change)); count++) {
		if (pending_trim(&change))
			settle(session, &change);
		pending_empty(pending, place);
	}
	atomic_fetch_add(&session->page->shared.settled, count);
}

void metadata_settle(struct session *session)
{
	if (atomic_load(&session->page->pending_used) &&
	    atomic_load(&session->writable->pending.taken) !=
		    atomic_load(&session->page->shared.settled))
		settle_all(session);
}

void metadata_settle_all(struct session *session)
{
	if (atomic_load(&session->page->pending_used))
		settle_all(session);
}
