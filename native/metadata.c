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

pthread_mutex_t *metadata_lock(struct session *session, const struct statx *real)
{
	uint64_t mixed = (real->stx_ino ^ real->stx_dev_minor) * 0x9e3779b97f4a7c15u;
	return lock(&session->inode_locks[mixed >> 58]);
}

void metadata_edit(struct session *session, const struct statx *real,
		   struct inode_record *record_ret)
{
	if (metadata_find(session, real, record_ret))
		return;
	*record_ret = (struct inode_record){0};
	rules_identity(real, &record_ret->identity);
	if (!(real->stx_mask & STATX_BTIME))
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
	if ((kept.fields & ~(uint32_t)INODE_RETIRED) == 0 && kept.xattrs == 0) {
		inode_table_remove(&session->table, kept.identity.dev, kept.identity.ino);
		return 0;
	}
	if (kept.fields & INODE_TYPE)
		atomic_store(&session->devices, true);
	return inode_table_put(&session->table, &kept);
}

static bool same_file(const struct file_identity *a, const struct file_identity *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->btime_sec == b->btime_sec &&
	       a->btime_nsec == b->btime_nsec;
}

static void forget_oldest_retired(struct session *session, const struct file_identity *newest)
{
	SCOPED_LOCK held = lock(&session->table_writer);
	struct file_identity *slot = &session->retired[session->retired_next];
	struct inode_record record;
	session->retired_next = (session->retired_next + 1) % SESSION_RETIRED;
	if (inode_table_find(&session->table, slot->dev, slot->ino, &record) == INODE_FOUND &&
	    record.fields & INODE_RETIRED && same_file(&record.identity, slot))
		remove_record(session, &record);
	*slot = *newest;
}

void metadata_retire(struct session *session, const struct statx *real)
{
	struct inode_record record;
	{
		SCOPED_LOCK inode = metadata_lock(session, real);
		if (!metadata_find(session, real, &record) || record.fields & INODE_RETIRED)
			return;
		record.fields |= INODE_RETIRED;
		if (metadata_store(session, &record) != 0)
			return;
		atomic_fetch_add(&session->page->retirements, 1);
	}
	forget_oldest_retired(session, &record.identity);
}
