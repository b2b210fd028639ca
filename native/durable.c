// SPDX-License-Identifier: Apache-2.0
#include "durable.h"

#include "metadata.h"
#include "scope.h"
#include "xattr_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHANGED ((uint32_t)(INODE_CHANGED_0 | INODE_CHANGED_1))

// What a block holds: a record that the state file has and the table has not.
struct removed {
	_Atomic uint32_t next;
	uint32_t dev[2], ino[2];
};

static struct lock *lock_table(struct session *session)
{
	return session_lock(session, &session->locks.table_writer);
}

static uint32_t epoch_bit(uint32_t epoch)
{
	return epoch % 2 ? INODE_CHANGED_1 : INODE_CHANGED_0;
}

void durable_changed(struct session *session, struct inode_record *record)
{
	struct session_shared *shared = &session->page->shared;
	struct inode_record known;
	if (!session->durable)
		return;
	if (inode_table_find(&session->table, record->identity.dev, record->identity.ino, &known) ==
	    INODE_FOUND)
		record->fields |= known.fields & (INODE_STORED | CHANGED);
	record->fields |= epoch_bit(shared->epoch);
	atomic_store(&shared->changed, 1);
}

void durable_removed(struct session *session, const struct inode_record *known)
{
	struct session_shared *shared = &session->page->shared;
	size_t size;
	if (!session->durable || !(known->fields & INODE_STORED))
		return;
	atomic_store(&shared->changed, 1);
	uint32_t block = session_make_room(session) == 0
				 ? inode_table_take_block(&session->table, sizeof(struct removed))
				 : 0;
	struct removed *removed = inode_table_block(&session->table, block, &size);
	if (!removed) {
		shared->removed_unknown = 1;
		return;
	}
	memcpy(removed->dev, &known->identity.dev, sizeof(removed->dev));
	memcpy(removed->ino, &known->identity.ino, sizeof(removed->ino));
	atomic_store(&removed->next, shared->removed);
	shared->removed = block;
}

// A longer chain than there is room for goes round in circles.
static size_t blocks_most(const struct session *session)
{
	return session->table.size / 64;
}

// Room for one more element, doubling.
static bool grow(void *array, size_t *room, size_t needed, size_t size)
{
	void **place = array;
	if (needed <= *room)
		return true;
	size_t more = *room ? 2 * *room : 256;
	while (more < needed)
		more *= 2;
	void *larger = realloc(*place, more * size);
	if (!larger)
		return false;
	*place = larger;
	*room = more;
	return true;
}

static bool add_removed(struct durable_rows *rows, uint64_t dev, uint64_t ino)
{
	if (!grow(&rows->removed, &rows->removed_room, rows->removed_count + 1,
		  sizeof(*rows->removed)))
		return false;
	rows->removed[rows->removed_count++] = (struct file_identity){.dev = dev, .ino = ino};
	return true;
}

static bool add_xattr(struct durable_rows *rows, const struct xattr_view *view)
{
	struct durable_xattr head = {(uint32_t)strlen(view->name),
				     view->value ? (uint32_t)view->size : UINT32_MAX};
	size_t bytes = (sizeof(head) + head.name_size + view->size + 7) / 8 * 8;
	if (!grow(&rows->text, &rows->text_room, rows->text_size + bytes, 1))
		return false;
	unsigned char *at = rows->text + rows->text_size;
	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), view->name, head.name_size);
	if (view->size)
		memcpy(at + sizeof(head) + head.name_size, view->value, view->size);
	rows->text_size += bytes;
	return true;
}

static bool add_changed(struct session *session, struct durable_rows *rows,
			const struct inode_record *record)
{
	if (!grow(&rows->changed, &rows->changed_room, rows->changed_count + 1,
		  sizeof(*rows->changed)))
		return false;
	struct durable_row *row = &rows->changed[rows->changed_count++];
	*row = (struct durable_row){.record = *record, .xattrs = rows->text_size};
	struct xattr_view view;
	struct xattr_walk walk = {.next = record->xattrs};
	for (; xattr_store_next(session, &walk, &view); row->xattr_count++)
		if (!add_xattr(rows, &view))
			return false;
	return true;
}

static bool collect_removed(struct session *session, struct durable_rows *rows)
{
	const struct removed *removed;
	struct inode_record known;
	size_t size, left = blocks_most(session);
	rows->chain = session->page->shared.removed;
	for (uint32_t block = rows->chain;
	     left-- && (removed = inode_table_block(&session->table, block, &size));
	     block = atomic_load(&removed->next)) {
		uint64_t dev, ino;
		memcpy(&dev, removed->dev, sizeof(dev));
		memcpy(&ino, removed->ino, sizeof(ino));
		// A writer killed between the two has not removed it, or it has been put
		// again since.
		if (inode_table_find(&session->table, dev, ino, &known) == INODE_FOUND &&
		    !(known.fields & INODE_RETIRED))
			continue;
		if (!add_removed(rows, dev, ino))
			return false;
	}
	return true;
}

static bool collect_record(struct session *session, struct durable_rows *rows,
			   const struct inode_record *record)
{
	if (record->fields & INODE_RETIRED)
		return !(record->fields & INODE_STORED) ||
		       add_removed(rows, record->identity.dev, record->identity.ino);
	if (!rows->whole && !(record->fields & CHANGED))
		return true;
	return add_changed(session, rows, record);
}

int durable_collect(struct session *session, bool whole, struct durable_rows *rows_ret)
{
	struct session_shared *shared = &session->page->shared;
	struct inode_record record;
	uint32_t cursor = 0;
	metadata_settle_all(session);
	SCOPED_LOCK held = lock_table(session);
	if (atomic_load(&session->lost))
		return -EIO;
	*rows_ret = (struct durable_rows){.whole = whole || shared->removed_unknown,
					  .epoch = shared->epoch};
	atomic_store(&shared->writing, 1);
	atomic_store(&shared->changed, 0);
	shared->epoch++;
	bool collected = collect_removed(session, rows_ret);
	while (collected && inode_table_next(&session->table, &cursor, &record))
		collected = collect_record(session, rows_ret, &record);
	// Lost meanwhile, they look as if they had never been.
	if (atomic_load(&session->lost))
		return -EIO;
	return collected ? 0 : -ENOMEM;
}

int durable_read(struct session *session, struct durable_rows *rows_ret)
{
	struct inode_record record;
	uint32_t cursor = 0;
	bool read = true;
	*rows_ret = (struct durable_rows){.whole = true};
	metadata_settle_all(session);
	SCOPED_LOCK held = lock_table(session);
	while (read && inode_table_next(&session->table, &cursor, &record))
		read = record.fields & INODE_RETIRED || add_changed(session, rows_ret, &record);
	if (atomic_load(&session->lost))
		return -EIO;
	return read ? 0 : -ENOMEM;
}

static void mark_row(struct session *session, const struct durable_row *row, uint32_t epoch)
{
	struct inode_record now;
	const struct file_identity *identity = &row->record.identity;
	if (inode_table_find(&session->table, identity->dev, identity->ino, &now) != INODE_FOUND) {
		// Removed meanwhile, when the state file did not have it yet.
		struct inode_record stored = row->record;
		stored.fields |= INODE_STORED;
		durable_removed(session, &stored);
		return;
	}
	now.fields |= INODE_STORED;
	now.fields &= ~epoch_bit(epoch);
	session_put(session, &now);
}

static void mark_retired(struct session *session, const struct file_identity *identity)
{
	struct inode_record now;
	if (inode_table_find(&session->table, identity->dev, identity->ino, &now) != INODE_FOUND ||
	    !(now.fields & INODE_RETIRED))
		return;
	now.fields &= ~((uint32_t)INODE_STORED | CHANGED);
	session_put(session, &now);
}

// Of blocks that begin with the number of the next.
static void free_blocks(struct session *session, uint32_t block)
{
	const _Atomic uint32_t *next;
	size_t size, left = blocks_most(session);
	while (left-- && (next = inode_table_block(&session->table, block, &size))) {
		uint32_t following = atomic_load(next);
		inode_table_free_block(&session->table, block);
		block = following;
	}
}

// What has been added to the chain since lies before what was collected.
static void free_chain(struct session *session, uint32_t first)
{
	struct session_shared *shared = &session->page->shared;
	struct removed *removed;
	size_t size, left = blocks_most(session);
	if (shared->removed == first)
		shared->removed = 0;
	for (uint32_t block = shared->removed;
	     left-- && (removed = inode_table_block(&session->table, block, &size));
	     block = atomic_load(&removed->next))
		if (atomic_load(&removed->next) == first)
			atomic_store(&removed->next, 0);
	free_blocks(session, first);
}

void durable_finish(struct session *session, const struct durable_rows *rows)
{
	SCOPED_LOCK held = lock_table(session);
	free_chain(session, rows->chain);
	for (size_t i = 0; i < rows->removed_count; i++)
		mark_retired(session, &rows->removed[i]);
	for (size_t i = 0; i < rows->changed_count; i++)
		mark_row(session, &rows->changed[i], rows->epoch);
	if (rows->whole)
		session->page->shared.removed_unknown = 0;
	atomic_store(&session->page->shared.writing, 0);
}

void durable_give_up(struct session *session)
{
	atomic_store(&session->page->shared.changed, 1);
	atomic_store(&session->page->shared.writing, 0);
}

void durable_free(struct durable_rows *rows)
{
	free(rows->changed);
	free(rows->removed);
	free(rows->text);
}

// What the page says of the records as a whole.
static void count_kinds(struct session_page *page, const struct inode_record *record)
{
	if (record->fields & INODE_TYPE)
		atomic_store(&page->shared.type_records, 1);
	if (record->fields & (INODE_TYPE | INODE_MODE))
		atomic_fetch_add(&page->mode_records, 1);
	if (record->xattrs)
		atomic_fetch_add(&page->xattr_records, 1);
	if ((record->mode & RULES_TYPE_MASK) == 0040000u && record->mode & 02000u)
		atomic_fetch_add(&page->setgid_directories, 1);
}

static bool get(struct session *session, const struct file_identity *identity,
		struct inode_record *record_ret)
{
	return inode_table_find(&session->table, identity->dev, identity->ino, record_ret) ==
	       INODE_FOUND;
}

int durable_load(struct session *session, const struct inode_record *record)
{
	struct inode_record stored = *record;
	SCOPED_LOCK held = lock_table(session);
	stored.fields |= INODE_STORED;
	count_kinds(session->page, &stored);
	int error = session_make_room(session) != 0 ? -ENOSPC : session_put(session, &stored);
	if (error)
		xattr_store_free(session, stored.xattrs);
	return error;
}

static bool is_same_file(const struct inode_record *known, const struct inode_record *edited)
{
	return (known->fields | edited->fields) & INODE_ANY_BIRTH ||
	       pending_same_file(known, &edited->identity);
}

// With the file's own lock: a handler between look and change must not find the attributes
// that it holds freed.
static int remove_unchanged(struct session *session, const struct inode_record *edited)
{
	struct inode_record known;
	SCOPED_LOCK held = lock_table(session);
	if (get(session, &edited->identity, &known) && is_same_file(&known, edited) &&
	    !(known.fields & CHANGED))
		metadata_remove(session, &known);
	return 0;
}

static void take_field(struct inode_record *now, const struct durable_edit *edit, uint32_t field)
{
	if (edit->fields & field)
		now->fields = (now->fields & ~field) | (edit->record.fields & field);
}

static void take_mode(struct inode_record *now, const struct inode_record *edited, uint32_t bits)
{
	now->mode = (now->mode & ~bits) | (edited->mode & bits);
}

static void take_fields(struct inode_record *now, const struct durable_edit *edit)
{
	const struct inode_record *edited = &edit->record;
	take_field(now, edit, INODE_UID);
	take_field(now, edit, INODE_GID);
	take_field(now, edit, INODE_MODE);
	take_field(now, edit, INODE_TYPE);
	take_field(now, edit, INODE_ANY_BIRTH);
	if (edit->fields & INODE_UID)
		now->uid = edited->uid;
	if (edit->fields & INODE_GID)
		now->gid = edited->gid;
	if (edit->fields & INODE_MODE)
		take_mode(now, edited, RULES_MODE_MASK);
	if (edit->fields & INODE_TYPE) {
		take_mode(now, edited, RULES_TYPE_MASK);
		now->rdev = edited->rdev;
	}
	if (edit->fields & INODE_ANY_BIRTH)
		now->identity = edited->identity;
}

static int take_xattrs(struct session *session, const struct durable_edit *edit,
		       struct inode_record *now)
{
	for (size_t i = 0; i < edit->xattr_count; i++) {
		const struct durable_xattr_edit *xattr = &edit->xattrs[i];
		int error = 0;
		if (xattr->forget)
			xattr_store_drop(session, now->xattrs, xattr->name);
		else
			error = xattr_store_put(session, &now->xattrs, xattr->name, xattr->value,
						xattr->size);
		if (error)
			return error;
	}
	return 0;
}

// In place of the record that was known, whose attributes are no longer needed.
static int put_edited(struct session *session, struct inode_record *now, uint32_t old_xattrs)
{
	SCOPED_LOCK held = lock_table(session);
	if (now->xattrs && xattr_store_is_empty(session, now->xattrs)) {
		old_xattrs = now->xattrs;
		now->xattrs = 0;
	}
	if (!(now->fields & ~(uint32_t)INODE_STANDING) && !now->xattrs) {
		struct inode_record known;
		if (get(session, &now->identity, &known))
			metadata_remove(session, &known);
		return 0;
	}
	if (session_make_room(session) != 0)
		return -ENOSPC;
	durable_changed(session, now);
	count_kinds(session->page, now);
	int error = session_put(session, now);
	if (!error && old_xattrs != now->xattrs)
		xattr_store_free(session, old_xattrs);
	return error;
}

int durable_edit(struct session *session, const struct durable_edit *edit)
{
	const struct inode_record *edited = &edit->record;
	struct inode_record known, now = {
		.identity = edited->identity,
		.fields = edited->fields & INODE_ANY_BIRTH,
		.mode = edited->mode & RULES_TYPE_MASK,
	};
	SCOPED_LOCK inode = metadata_lock_number(session, edited->identity.ino);
	if (edit->remove)
		return remove_unchanged(session, edited);
	bool is_known = get(session, &edited->identity, &known);
	bool same = is_known && is_same_file(&known, edited);
	if (is_known && !same && known.fields & CHANGED &&
	    file_identity_is_later(&known.identity, &edited->identity))
		return 0;
	if (same && known.fields & INODE_RETIRED)
		return 0;
	if (same)
		now = known;
	take_fields(&now, edit);
	int error = take_xattrs(session, edit, &now);
	return error ? error : put_edited(session, &now, is_known && !same ? known.xattrs : 0);
}

// What a block holds of what is noted; the rest of it is bytes.
struct piece {
	_Atomic uint32_t next;
	uint32_t size;
};
#define PIECE_BYTES 65536u
#define PLACES_OF_ALL 4096u

static uint32_t take_piece(struct session *session, const unsigned char *bytes, uint32_t size,
			   uint32_t next)
{
	size_t room;
	uint32_t block = session_make_room(session) == 0
				 ? inode_table_take_block(&session->table,
							  sizeof(struct piece) + size)
				 : 0;
	struct piece *piece = inode_table_block(&session->table, block, &room);
	if (!piece)
		return 0;
	piece->size = size;
	memcpy(piece + 1, bytes, size);
	atomic_store(&piece->next, next);
	return block;
}

// A kill in the midst leaves blocks that nobody uses.
int durable_note(struct session *session, enum session_text text, const void *bytes,
		 size_t size)
{
	struct session_shared *shared = &session->page->shared;
	SCOPED_LOCK held = lock_table(session);
	uint32_t first = 0, before = atomic_load(&shared->texts[text]);
	for (size_t rest = size; rest;) {
		size_t piece = (rest - 1) % PIECE_BYTES + 1;
		uint32_t block = take_piece(session, (const unsigned char *)bytes + rest - piece,
					    (uint32_t)piece, first);
		if (!block) {
			free_blocks(session, first);
			return -ENOSPC;
		}
		first = block;
		rest -= piece;
	}
	if (text == SESSION_EDITS)
		shared->edits_made = 0;
	if (text == SESSION_EDITS && first)
		atomic_store(&shared->changed, 1);
	atomic_store(&shared->texts[text], first);
	free_blocks(session, before);
	return 0;
}

unsigned char *durable_noted(struct session *session, enum session_text text,
			     size_t *size_ret)
{
	SCOPED_LOCK held = lock_table(session);
	unsigned char *bytes = NULL;
	size_t room, bytes_room = 0, left = blocks_most(session);
	const struct piece *piece;
	uint32_t block = atomic_load(&session->page->shared.texts[text]);
	*size_ret = 0;
	while (left-- && *size_ret < session->table.size &&
	       (piece = inode_table_block(&session->table, block, &room))) {
		uint32_t size = __atomic_load_n(&piece->size, __ATOMIC_RELAXED);
		if (size > room - sizeof(*piece))
			break;
		if (!grow(&bytes, &bytes_room, *size_ret + size, 1)) {
			free(bytes);
			return NULL;
		}
		memcpy(bytes + *size_ret, piece + 1, size);
		*size_ret += size;
		block = atomic_load(&piece->next);
	}
	return bytes;
}

void durable_add_place(struct session *session, const char *name)
{
	struct session_shared *shared = &session->page->shared;
	if (!session->durable)
		return;
	SCOPED_LOCK held = lock_table(session);
	if (shared->place_count >= PLACES_OF_ALL)
		return;
	uint32_t block = take_piece(session, (const unsigned char *)name, (uint32_t)strlen(name),
				    atomic_load(&shared->places));
	if (!block)
		return;
	shared->place_count++;
	atomic_store(&shared->places, block);
}

void durable_forget_places(struct session *session)
{
	struct session_shared *shared = &session->page->shared;
	SCOPED_LOCK held = lock_table(session);
	uint32_t first = atomic_exchange(&shared->places, 0);
	shared->place_count = 0;
	free_blocks(session, first);
}

void durable_visit_places(struct session *session,
			  void (*visit)(const char *name, size_t size, void *context),
			  void *context)
{
	SCOPED_LOCK held = lock_table(session);
	const struct piece *piece;
	size_t room;
	uint32_t block = atomic_load(&session->page->shared.places);
	for (uint32_t i = 0; i < PLACES_OF_ALL &&
			     (piece = inode_table_block(&session->table, block, &room)) &&
			     piece->size <= room - sizeof(*piece);
	     i++) {
		visit((const char *)(piece + 1), piece->size, context);
		block = atomic_load(&piece->next);
	}
}
