// SPDX-License-Identifier: Apache-2.0
#include "fakeroot_text.h"

#include "metadata.h"
#include "scope.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LINE_MOST 160 // bytes: seven names, and 20 digits of a number at most

enum column { DEV, INO, MODE, UID, GID, NLINK, RDEV, COLUMNS };

static const struct {
	const char *name;
	unsigned base;
	uint64_t most;
} columns[COLUMNS] = {
	[DEV] = {"dev=", 16, UINT64_MAX},
	[INO] = {",ino=", 10, UINT64_MAX},
	[MODE] = {",mode=", 8, 0177777},
	[UID] = {",uid=", 10, UINT32_MAX - 1}, // the last one means "none" (chown(2))
	[GID] = {",gid=", 10, UINT32_MAX - 1},
	[NLINK] = {",nlink=", 10, UINT64_MAX},
	[RDEV] = {",rdev=", 10, UINT64_MAX},
};

static unsigned digit(char character)
{
	if (character >= '0' && character <= '9')
		return (unsigned)(character - '0');
	if (character >= 'a' && character <= 'f')
		return (unsigned)(character - 'a') + 10;
	return 16;
}

// Reads digits, one at least. Returns behind the last of them, or NULL.
static const char *read_number(const char *at, const char *end, unsigned base, uint64_t most,
			       uint64_t *value_ret)
{
	const char *start = at;
	uint64_t value = 0;
	for (; at < end && digit(*at) < base; at++)
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit(*at), &value) || value > most)
			return NULL;
	*value_ret = value;
	return at == start ? NULL : at;
}

static const char *read_line(const char *at, const char *end, uint64_t values_ret[static COLUMNS])
{
	for (int i = 0; i < COLUMNS; i++) {
		size_t length = strlen(columns[i].name);
		if ((size_t)(end - at) < length || memcmp(at, columns[i].name, length) != 0)
			return "not \"dev=,ino=,mode=,uid=,gid=,nlink=,rdev=\"";
		at = read_number(at + length, end, columns[i].base, columns[i].most, &values_ret[i]);
		if (!at)
			return "a number is missing, malformed or too large";
	}
	return at == end ? NULL : "something follows the last number";
}

static bool is_type(uint32_t type)
{
	return type == S_IFREG || type == S_IFDIR || type == S_IFLNK || type == S_IFCHR ||
	       type == S_IFBLK || type == S_IFIFO || type == S_IFSOCK;
}

static int load(struct session *session, const uint64_t values[static COLUMNS])
{
	uint32_t mode = (uint32_t)values[MODE];
	struct inode_record record = {
		.identity = {.dev = values[DEV], .ino = values[INO]},
		.fields = INODE_UID | INODE_GID | INODE_MODE | INODE_ANY_BIRTH,
		.uid = (uint32_t)values[UID],
		.gid = (uint32_t)values[GID],
		.mode = mode,
	};
	if (S_ISCHR(mode) || S_ISBLK(mode)) {
		record.fields |= INODE_TYPE;
		record.rdev = (uint32_t)values[RDEV];
	}
	if (S_ISDIR(mode) && mode & S_ISGID)
		atomic_fetch_add(&session->page->setgid_directories, 1);
	return metadata_store(session, &record);
}

int fakeroot_text_load(struct session *session, const char *text, size_t size,
		       struct fakeroot_text_error *error_ret)
{
	const char *end = text + size;
	*error_ret = (struct fakeroot_text_error){0};
	for (const char *at = text; at < end; at++) {
		uint64_t values[COLUMNS];
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		error_ret->line++;
		error_ret->why = line_end ? read_line(at, line_end, values)
					  : "the file ends in the middle of the line";
		if (!error_ret->why && !is_type((uint32_t)values[MODE] & S_IFMT))
			error_ret->why = "the mode has no type of a file";
		if (!error_ret->why && values[RDEV] > UINT32_MAX)
			error_ret->why = "the device number is too large";
		if (error_ret->why)
			return -EINVAL;
		int error = load(session, values);
		if (error)
			return error;
		at = line_end;
	}
	return 0;
}

struct records {
	struct inode_record *all;
	size_t count, with_xattrs;
};

// All but the retired ones. Returns whether there was memory.
static bool collect(struct session *session, struct records *records_ret)
{
	struct inode_record record;
	uint32_t cursor = 0;
	metadata_settle(session);
	SCOPED_LOCK held = session_lock(session, &session->locks.table_writer);
	size_t room = inode_table_count(&session->table) + 1;
	*records_ret = (struct records){.all = malloc(room * sizeof(record))};
	while (records_ret->all && inode_table_next(&session->table, &cursor, &record)) {
		if (record.fields & INODE_RETIRED || records_ret->count == room)
			continue;
		records_ret->with_xattrs += record.xattrs != 0;
		records_ret->all[records_ret->count++] = record;
	}
	return records_ret->all;
}

static int compare(const void *a, const void *b)
{
	const struct file_identity *one = &((const struct inode_record *)a)->identity;
	const struct file_identity *other = &((const struct inode_record *)b)->identity;
	if (one->dev != other->dev)
		return one->dev < other->dev ? -1 : 1;
	return one->ino < other->ino ? -1 : one->ino > other->ino;
}

// How many links a file has is not known here; fakeroot does not go by it.
static size_t write_line(char *line, const struct inode_record *record)
{
	return (size_t)snprintf(
		line, LINE_MOST, "dev=%llx,ino=%llu,mode=%o,uid=%u,gid=%u,nlink=%u,rdev=%u\n",
		(unsigned long long)record->identity.dev, (unsigned long long)record->identity.ino,
		record->mode, record->uid, record->gid, S_ISDIR(record->mode) ? 2 : 1,
		record->fields & INODE_TYPE ? record->rdev : 0);
}

char *fakeroot_text_dump(struct session *session, size_t *size_ret, size_t *with_xattrs_ret)
{
	struct records records;
	char *text = NULL;
	size_t size = 0;
	if (collect(session, &records))
		text = malloc((records.count + 1) * LINE_MOST);
	if (text) {
		qsort(records.all, records.count, sizeof(*records.all), compare);
		for (size_t i = 0; i < records.count; i++)
			size += write_line(text + size, &records.all[i]);
	}
	free(records.all);
	*size_ret = size;
	*with_xattrs_ret = records.with_xattrs;
	return text;
}
