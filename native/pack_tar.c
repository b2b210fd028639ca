// SPDX-License-Identifier: Apache-2.0
//
// One file of the archive. Attributes are SCHILY.xattr.NAME records, sparse files GNU's
// version 1.0 of the pax form, as GNU tar and libarchive read them.
#include "pack.h"

#include "file_capability.h"
#include "rules.h"
#include "scope.h"
#include "xattr_store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/xattr.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BLOCK 512u
#define RECORD 10240u // archives end at a multiple of this, as GNU tar's do
#define HOLE_BLOCK 4096u
#define HOLES_LEAST ((uint64_t)1 << 16) // zeros that make a file a sparse one, in all
#define PIECE ((size_t)1 << 20)
#define OCTAL_7 07777777u
#define OCTAL_11 077777777777u
#define XATTRS_MOST 64

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[8], uname[32], gname[32], major[8], minor[8], prefix[155], unused[12];
};

_Static_assert(sizeof(struct header) == BLOCK, "as pax(1) has it");

static const char zeros[HOLE_BLOCK];

static int write_zeros(struct pack *pack, uint64_t size)
{
	int error = 0;
	while (size > 0 && !error) {
		size_t some = size < sizeof(zeros) ? (size_t)size : sizeof(zeros);
		error = pack_write(pack, zeros, some);
		size -= some;
	}
	return error;
}

static int pad(struct pack *pack, uint64_t size)
{
	return write_zeros(pack, (BLOCK - size % BLOCK) % BLOCK);
}

static void octal(char *field, size_t size, uint64_t value)
{
	field[--size] = '\0';
	while (size-- > 0) {
		field[size] = (char)('0' + value % 8);
		value /= 8;
	}
}

static int write_header(struct pack *pack, struct header *header)
{
	memcpy(header->magic, "ustar\0" "00", sizeof(header->magic));
	memset(header->sum, ' ', sizeof(header->sum));
	const unsigned char *bytes = (const unsigned char *)header;
	uint64_t sum = 0;
	for (size_t i = 0; i < sizeof(*header); i++)
		sum += bytes[i];
	octal(header->sum, 7, sum);
	return pack_write(pack, header, sizeof(*header));
}

// ---- pax records ----

// pack->pax holds each as key, NUL, value; sorted by key when they are written.
struct record {
	const char *key, *value;
	size_t value_size;
};

struct records {
	struct record all[XATTRS_MOST + 16];
	size_t count;
	struct buffer *text;
};

// Offsets first: the text may move.
static bool add_record(struct records *records, const char *key, const void *value, size_t size)
{
	if (records->count == sizeof(records->all) / sizeof(*records->all))
		return false;
	size_t key_at = records->text->size, length = strlen(key) + 1;
	if (!buffer_add(records->text, key, length) || !buffer_add(records->text, value, size))
		return false;
	records->all[records->count++] = (struct record){
		.key = (const char *)(uintptr_t)key_at,
		.value = (const char *)(uintptr_t)(key_at + length),
		.value_size = size,
	};
	return true;
}

static bool add_number(struct records *records, const char *key, int64_t number)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%lld", (long long)number);
	return add_record(records, key, text, (size_t)length);
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(((const struct record *)a)->key, ((const struct record *)b)->key);
}

static size_t digits(size_t number)
{
	size_t count = 1;
	while (number /= 10)
		count++;
	return count;
}

// "LENGTH KEY=VALUE\n", where the length counts itself.
static bool format_record(struct buffer *body, const struct record *record)
{
	size_t bare = strlen(record->key) + record->value_size + 3;
	size_t length = bare + digits(bare);
	if (bare + digits(length) != length)
		length = bare + digits(length);
	char number[24];
	int size = snprintf(number, sizeof(number), "%zu ", length);
	return buffer_add(body, number, (size_t)size) &&
	       buffer_add(body, record->key, strlen(record->key)) && buffer_add(body, "=", 1) &&
	       buffer_add(body, record->value, record->value_size) && buffer_add(body, "\n", 1);
}

static int write_pax(struct pack *pack, struct records *records, const char *name, size_t length)
{
	for (size_t i = 0; i < records->count; i++) {
		struct record *record = &records->all[i];
		record->key = records->text->bytes + (uintptr_t)record->key;
		record->value = records->text->bytes + (uintptr_t)record->value;
	}
	qsort(records->all, records->count, sizeof(*records->all), compare_keys);
	struct buffer *body = &pack->text;
	body->size = 0;
	for (size_t i = 0; i < records->count; i++)
		if (!format_record(body, &records->all[i]))
			return -ENOMEM;
	struct header header = {.type = 'x'};
	size_t tail = length < 80 ? length : 80;
	memcpy(header.name, "./PaxHeaders/", 13);
	memcpy(header.name + 13, name + length - tail, tail);
	octal(header.mode, 8, 0644);
	octal(header.uid, 8, 0);
	octal(header.gid, 8, 0);
	octal(header.size, 12, body->size);
	octal(header.mtime, 12, 0);
	octal(header.major, 8, 0);
	octal(header.minor, 8, 0);
	int error = write_header(pack, &header);
	if (!error)
		error = pack_write(pack, body->bytes, body->size);
	return error ? error : pad(pack, body->size);
}

// ---- attributes ----

// An equals sign ends a key: it is said as GNU tar says it.
static bool add_xattr(struct records *records, const char *name, const void *value, size_t size)
{
	char key[14 + 3 * 256] = "SCHILY.xattr.";
	size_t at = 13;
	for (; *name && at < sizeof(key) - 4; name++) {
		if (*name == '=' || *name == '%')
			at += (size_t)snprintf(key + at, 4, "%%%02X", (unsigned char)*name);
		else
			key[at++] = *name;
	}
	key[at] = '\0';
	return add_record(records, key, value, size);
}

// What a machine's own policy sets on every file is no part of a tree.
static bool is_policy(const char *name)
{
	return strcmp(name, "security.selinux") == 0 || strcmp(name, "security.ima") == 0 ||
	       strcmp(name, "security.evm") == 0;
}

static bool is_remembered(struct session *session, const struct inode_record *record,
			  const char *name)
{
	return record && xattr_store_get(session, record->xattrs, name, NULL, NULL) !=
				 XATTR_UNKNOWN;
}

// Through the descriptor of its content where there is one: half the price of a path.
struct xattr_source {
	int fd;
	char path[64 + NAME_MAX + 1];
};

static ssize_t list_names(const struct xattr_source *source, char *list, size_t size)
{
	return source->fd >= 0 ? flistxattr(source->fd, list, size)
			       : llistxattr(source->path, list, size);
}

static ssize_t read_value(const struct xattr_source *source, const char *name, void *value,
			  size_t size)
{
	return source->fd >= 0 ? fgetxattr(source->fd, name, value, size)
			       : lgetxattr(source->path, name, value, size);
}

static int add_real(struct pack *pack, const struct pack_entry *entry, int fd,
		    struct records *records)
{
	struct xattr_source source = {.fd = fd};
	char list[4096];
	if (fd < 0)
		snprintf(source.path, sizeof(source.path), "/proc/self/fd/%d/%s",
			 entry->directory, entry->name);
	ssize_t size = list_names(&source, list, sizeof(list));
	if (size == 0 || (size < 0 && (errno == EOPNOTSUPP || errno == EPERM || errno == EACCES ||
				       errno == ENOENT)))
		return 0;
	if (size < 0)
		return pack_failed(pack, "read attributes of", entry->path, -errno);
	for (const char *name = list; name < list + size; name += strlen(name) + 1) {
		if (is_policy(name) || is_remembered(pack->session, entry->record, name))
			continue;
		struct buffer *value = &pack->xattrs;
		value->size = 0;
		if (!buffer_reserve(value, XATTR_SIZE_MAX))
			return -ENOMEM;
		ssize_t got = read_value(&source, name, value->bytes, value->room);
		if (got < 0 && (errno == ENODATA || errno == EPERM || errno == EACCES))
			continue;
		if (got < 0)
			return pack_failed(pack, "read attributes of", entry->path, -errno);
		if (!add_xattr(records, name, value->bytes, (size_t)got))
			return pack_failed(pack, "hold all attributes of", entry->path, -E2BIG);
	}
	return 0;
}

static int add_remembered(struct pack *pack, const struct pack_entry *entry,
			  struct records *records)
{
	struct session *session = pack->session;
	struct xattr_view view;
	bool begun = false, added = true;
	uint32_t cursor = entry->record ? entry->record->xattrs : 0;
	if (cursor == 0)
		return 0;
	bool holds = file_capability_holds(session, cursor, &entry->real);
	SCOPED_LOCK held = session_lock(session, &session->locks->table_writer);
	while (added && xattr_store_next(session, &cursor, &begun, &view)) {
		bool is_own = *view.name == '\1' ||
			      (strcmp(view.name, "security.capability") == 0 && !holds);
		if (view.value && !is_own)
			added = add_xattr(records, view.name, view.value, view.size);
	}
	return added ? 0 : pack_failed(pack, "hold all attributes of", entry->path, -E2BIG);
}

// ---- content ----

struct run {
	uint64_t start, size;
};

struct runs {
	struct buffer all; // of struct run
	uint64_t size;
	bool sparse;
};

static int open_content(struct pack *pack, const struct pack_entry *entry)
{
	int fd = openat(entry->directory, entry->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? pack_failed(pack, "read", entry->path, -errno) : fd;
}

static bool add_run(struct runs *runs, uint64_t start, uint64_t size)
{
	struct run *all = (struct run *)(void *)runs->all.bytes;
	size_t count = runs->all.size / sizeof(*all);
	runs->size += size;
	if (count && all[count - 1].start + all[count - 1].size == start) {
		all[count - 1].size += size;
		return true;
	}
	return buffer_add(&runs->all, &(struct run){start, size}, sizeof(struct run));
}

static bool add_blocks(struct runs *runs, uint64_t at, const char *bytes, size_t size)
{
	for (size_t offset = 0; offset < size; offset += HOLE_BLOCK) {
		size_t some = size - offset < HOLE_BLOCK ? size - offset : HOLE_BLOCK;
		if (memcmp(bytes + offset, zeros, some) != 0 &&
		    !add_run(runs, at + offset, some))
			return false;
	}
	return true;
}

// Decided by the content alone, in blocks: a copy that has lost its holes, or has got
// others, makes the same archive.
static int find_runs(struct pack *pack, const struct pack_entry *entry, int fd, struct runs *runs)
{
	uint64_t size = entry->real.stx_size, at = 0;
	if (size < HOLES_LEAST)
		return 0;
	while (at < size) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		if (data > (off_t)at)
			at = (uint64_t)data - (uint64_t)data % HOLE_BLOCK;
		uint64_t left = size - at;
		ssize_t got = pread(fd, pack->content.bytes, left < PIECE ? (size_t)left : PIECE,
				    (off_t)at);
		if (got < 0)
			return pack_failed(pack, "read", entry->path, -errno);
		if (got == 0)
			break;
		if (!add_blocks(runs, at, pack->content.bytes, (size_t)got))
			return -ENOMEM;
		at += (uint64_t)got;
	}
	runs->sparse = size - runs->size >= HOLES_LEAST;
	return 0;
}

static int write_content(struct pack *pack, const struct pack_entry *entry, int fd,
			 uint64_t start, uint64_t size)
{
	while (size > 0) {
		ssize_t got = pread(fd, pack->content.bytes, size < PIECE ? (size_t)size : PIECE,
				    (off_t)start);
		if (got < 0)
			return pack_failed(pack, "read", entry->path, -errno);
		if (got == 0)
			return pack_failed(pack, "shrink", entry->path, -EPIPE);
		int error = pack_write(pack, pack->content.bytes, (size_t)got);
		if (error)
			return error;
		start += (uint64_t)got;
		size -= (uint64_t)got;
	}
	return 0;
}

// The map of a sparse file: how many runs, then start and size of each; the last one says
// how long the file is.
static bool format_map(struct buffer *map, const struct runs *runs, uint64_t size)
{
	const struct run *all = (const struct run *)(const void *)runs->all.bytes;
	size_t count = runs->all.size / sizeof(*all);
	char line[48];
	int length = snprintf(line, sizeof(line), "%zu\n", count + 1);
	bool added = buffer_add(map, line, (size_t)length);
	for (size_t i = 0; i <= count && added; i++) {
		struct run run = i < count ? all[i] : (struct run){size, 0};
		length = snprintf(line, sizeof(line), "%llu\n%llu\n", (unsigned long long)run.start,
				  (unsigned long long)run.size);
		added = buffer_add(map, line, (size_t)length);
	}
	return added && buffer_add(map, zeros, (BLOCK - map->size % BLOCK) % BLOCK);
}

// ---- headers ----

// Prefix and name of a ustar header. False where they are too long for that.
static bool split(const char *path, size_t length, size_t *prefix_ret)
{
	*prefix_ret = 0;
	if (length <= 100)
		return true;
	size_t at = length < 156 ? length - 1 : 155;
	while (at > 0 && path[at] != '/')
		at--;
	*prefix_ret = at;
	return at > 0 && at + 1 < length && length - at - 1 <= 100;
}

static bool fit(struct records *records, const char *key, int64_t value, uint64_t most,
		char *field, size_t size)
{
	bool fits = value >= 0 && (uint64_t)value <= most;
	octal(field, size, fits ? (uint64_t)value : 0);
	return fits || add_number(records, key, value);
}

static int write_entry(struct pack *pack, const struct pack_entry *entry, char type,
		       const char *path, const char *link, uint64_t size, struct records *records)
{
	const struct statx *shown = &entry->shown;
	struct header header = {.type = type};
	size_t length = strlen(path), link_length = strlen(link), prefix;
	int64_t mtime = shown->stx_mtime.tv_sec;
	if (pack->options->has_epoch && mtime > pack->options->epoch)
		mtime = pack->options->epoch;
	bool added = true;
	if (split(path, length, &prefix)) {
		memcpy(header.prefix, path, prefix);
		path += prefix ? prefix + 1 : 0;
		length -= prefix ? prefix + 1 : 0;
	} else {
		added = add_record(records, "path", path, length);
	}
	memcpy(header.name, path, length < 100 ? length : 100);
	memcpy(header.link, link, link_length < 100 ? link_length : 100);
	if (link_length > 100)
		added = added && add_record(records, "linkpath", link, link_length);
	bool device = type == '3' || type == '4';
	octal(header.mode, 8, shown->stx_mode & RULES_MODE_MASK);
	octal(header.major, 8, device ? shown->stx_rdev_major : 0);
	octal(header.minor, 8, device ? shown->stx_rdev_minor : 0);
	added = added && fit(records, "uid", shown->stx_uid, OCTAL_7, header.uid, 8) &&
		fit(records, "gid", shown->stx_gid, OCTAL_7, header.gid, 8) &&
		fit(records, "mtime", mtime, OCTAL_11, header.mtime, 12) &&
		fit(records, "size", (int64_t)size, OCTAL_11, header.size, 12);
	if (!added)
		return -ENOMEM;
	int error = records->count
			    ? write_pax(pack, records, header.name, strnlen(header.name, 100))
			    : 0;
	return error ? error : write_header(pack, &header);
}

static int write_sparse(struct pack *pack, const struct pack_entry *entry, int fd,
			struct runs *runs, struct records *records)
{
	struct buffer map SCOPED(buffer_release) = {0}, name SCOPED(buffer_release) = {0};
	const char *last = strrchr(entry->path, '/') + 1;
	size_t head = (size_t)(last - entry->path);
	bool added = format_map(&map, runs, entry->real.stx_size) &&
		     buffer_add(&name, entry->path, head) &&
		     buffer_add(&name, "GNUSparseFile.0/", 16) &&
		     buffer_add(&name, last, strlen(last) + 1) &&
		     add_number(records, "GNU.sparse.major", 1) &&
		     add_number(records, "GNU.sparse.minor", 0) &&
		     add_record(records, "GNU.sparse.name", entry->path, strlen(entry->path)) &&
		     add_number(records, "GNU.sparse.realsize", (int64_t)entry->real.stx_size);
	if (!added)
		return -ENOMEM;
	uint64_t size = map.size + runs->size;
	int error = write_entry(pack, entry, '0', name.bytes, "", size, records);
	if (!error)
		error = pack_write(pack, map.bytes, map.size);
	const struct run *all = (const struct run *)(const void *)runs->all.bytes;
	for (size_t i = 0; i < runs->all.size / sizeof(*all) && !error; i++)
		error = write_content(pack, entry, fd, all[i].start, all[i].size);
	return error ? error : pad(pack, size);
}

static int write_regular(struct pack *pack, const struct pack_entry *entry, int fd,
			 struct records *records)
{
	struct runs runs = {0};
	uint64_t size = entry->real.stx_size;
	if (size == 0)
		return write_entry(pack, entry, '0', entry->path, "", 0, records);
	if (!buffer_reserve(&pack->content, PIECE))
		return -ENOMEM;
	int error = find_runs(pack, entry, fd, &runs);
	if (!error && runs.sparse) {
		error = write_sparse(pack, entry, fd, &runs, records);
	} else if (!error) {
		error = write_entry(pack, entry, '0', entry->path, "", size, records);
		if (!error)
			error = write_content(pack, entry, fd, 0, size);
		if (!error)
			error = pad(pack, size);
	}
	buffer_release(&runs.all);
	return error;
}

static int write_symbolic_link(struct pack *pack, const struct pack_entry *entry,
			       struct records *records)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(entry->directory, entry->name, target, sizeof(target) - 1);
	if (length < 0)
		return pack_failed(pack, "read", entry->path, -errno);
	target[length] = '\0';
	return write_entry(pack, entry, '2', entry->path, target, 0, records);
}

int pack_entry(struct pack *pack, const struct pack_entry *entry)
{
	struct records records = {.text = &pack->pax};
	pack->pax.size = 0;
	if (entry->link)
		return write_entry(pack, entry, '1', entry->path, entry->link, 0, &records);
	SCOPED_FD fd = -1;
	if (S_ISREG(entry->shown.stx_mode) && entry->real.stx_size > 0) {
		fd = open_content(pack, entry);
		if (fd < 0)
			return fd;
	}
	int error = add_real(pack, entry, fd, &records);
	if (!error)
		error = add_remembered(pack, entry, &records);
	if (error)
		return error;
	switch (entry->shown.stx_mode & S_IFMT) {
	case S_IFREG:
		return write_regular(pack, entry, fd, &records);
	case S_IFLNK:
		return write_symbolic_link(pack, entry, &records);
	case S_IFCHR:
		return write_entry(pack, entry, '3', entry->path, "", 0, &records);
	case S_IFBLK:
		return write_entry(pack, entry, '4', entry->path, "", 0, &records);
	case S_IFDIR:
		return write_entry(pack, entry, '5', entry->path, "", 0, &records);
	default:
		return write_entry(pack, entry, '6', entry->path, "", 0, &records);
	}
}

int pack_end(struct pack *pack)
{
	int error = write_zeros(pack, 2 * BLOCK);
	if (!error)
		error = write_zeros(pack, (RECORD - pack->written % RECORD) % RECORD);
	return error ? error : pack_flush(pack);
}
