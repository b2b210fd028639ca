// SPDX-License-Identifier: Apache-2.0
#include "pack.h"

#include "rules.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUT_BYTES ((size_t)1 << 20)
#define ASK_EVERY 1024 // files

// The first names of files that have several.
struct name {
	uint64_t dev, ino;
	char *path; // NULL: free
};

struct names {
	struct name *all;
	size_t count, room; // a power of two
};

struct walk {
	struct pack pack;
	struct buffer path; // with a NUL behind
	struct names names;
};

int pack_failed(struct pack *pack, const char *what, const char *path, int error)
{
	pack->report->failed = what;
	pack->report->path.size = 0;
	buffer_add(&pack->report->path, path, strlen(path) + 1);
	return error;
}

int pack_flush(struct pack *pack)
{
	size_t done = 0;
	while (done < pack->out.size) {
		ssize_t count = write(pack->options->out, pack->out.bytes + done,
				      pack->out.size - done);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return pack_failed(pack, "write", "", -errno);
		done += (size_t)count;
	}
	pack->out.size = 0;
	return 0;
}

int pack_write(struct pack *pack, const void *bytes, size_t size)
{
	pack->written += size;
	if (pack->out.size + size > OUT_BYTES) {
		int error = pack_flush(pack);
		if (error)
			return error;
	}
	return buffer_add(&pack->out, bytes, size) ? 0 : pack_failed(pack, "write", "", -ENOMEM);
}

// ---- names of one file ----

static size_t place_of(const struct names *names, uint64_t dev, uint64_t ino)
{
	size_t mask = names->room - 1;
	size_t at = (size_t)((dev * 31 + ino) * 0x9e3779b97f4a7c15u >> 20) & mask;
	while (names->all[at].path && (names->all[at].dev != dev || names->all[at].ino != ino))
		at = (at + 1) & mask;
	return at;
}

static bool grow_names(struct names *names)
{
	struct names larger = {.room = names->room ? 2 * names->room : 64, .count = names->count};
	larger.all = calloc(larger.room, sizeof(*larger.all));
	if (!larger.all)
		return false;
	for (size_t i = 0; i < names->room; i++)
		if (names->all[i].path)
			larger.all[place_of(&larger, names->all[i].dev, names->all[i].ino)] =
				names->all[i];
	free(names->all);
	*names = larger;
	return true;
}

// NULL in *first_ret for the first one, which is noted. Returns 0 or -ENOMEM.
static int first_name(struct names *names, const struct file_identity *file, const char *path,
		      const char **first_ret)
{
	if (2 * names->count >= names->room && !grow_names(names))
		return -ENOMEM;
	struct name *name = &names->all[place_of(names, file->dev, file->ino)];
	*first_ret = name->path;
	if (name->path)
		return 0;
	*name = (struct name){file->dev, file->ino, strdup(path)};
	if (!name->path)
		return -ENOMEM;
	names->count++;
	return 0;
}

static void release_names(struct names *names)
{
	for (size_t i = 0; i < names->room; i++)
		free(names->all[i].path);
	free(names->all);
}

// ---- files ----

static bool left_out(const struct pack_options *options, const struct file_identity *file)
{
	for (size_t i = 0; i < options->leave_out_count; i++)
		if (options->leave_out[i].dev == file->dev && options->leave_out[i].ino == file->ino)
			return true;
	return false;
}

static const struct inode_record *find(struct session *session, const struct statx *real,
				       struct inode_record *record)
{
	struct file_identity file;
	rules_identity(real, &file);
	enum inode_lookup found = inode_table_find(&session->table, file.dev, file.ino, record);
	if (found == INODE_BUSY) {
		SCOPED_LOCK held = session_lock(session, &session->locks->table_writer);
		found = inode_table_find(&session->table, file.dev, file.ino, record);
	}
	return found == INODE_FOUND && rules_record_owner(record, real) == RULES_THIS_FILE ? record
											  : NULL;
}

static int pack_directory(struct walk *walk, int parent, const char *name);

// The path ends with the file's name, without a slash.
static int pack_file(struct walk *walk, int directory, const char *name)
{
	struct pack *pack = &walk->pack;
	struct pack_entry entry = {.directory = directory, .name = name};
	struct inode_record record;
	struct file_identity file;
	const struct pack_options *options = pack->options;
	if (statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		  STATX_BASIC_STATS | STATX_BTIME, &entry.real) < 0)
		return errno == ENOENT ? 0
				       : pack_failed(pack, "look at", walk->path.bytes, -errno);
	if (++pack->count % ASK_EVERY == 0 && options->interrupted &&
	    options->interrupted(options->context))
		return -EINTR;
	rules_identity(&entry.real, &file);
	if (left_out(options, &file))
		return 0;
	entry.record = find(pack->session, &entry.real, &record);
	entry.shown = entry.real;
	rules_show(entry.record, options->unknown_is_real, &entry.shown);
	if (S_ISSOCK(entry.shown.stx_mode)) {
		pack->report->sockets++;
		return 0;
	}
	bool is_directory = S_ISDIR(entry.shown.stx_mode);
	if (is_directory && (!buffer_add(&walk->path, "", 1) ||
			     !memcpy(walk->path.bytes + walk->path.size - 2, "/", 2)))
		return -ENOMEM;
	entry.path = walk->path.bytes;
	int error = 0;
	if (!is_directory && entry.real.stx_nlink > 1)
		error = first_name(&walk->names, &file, entry.path, &entry.link);
	if (!error)
		error = pack_entry(pack, &entry);
	if (!error && is_directory)
		error = pack_directory(walk, directory, name);
	return error;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_names(DIR *directory, struct buffer *text, size_t *count_ret)
{
	const struct dirent *one;
	*count_ret = 0;
	for (errno = 0; (one = readdir(directory)); errno = 0) {
		if (strcmp(one->d_name, ".") == 0 || strcmp(one->d_name, "..") == 0)
			continue;
		if (!buffer_add(text, one->d_name, strlen(one->d_name) + 1))
			return -ENOMEM;
		++*count_ret;
	}
	return -errno;
}

static int pack_names(struct walk *walk, DIR *directory, struct buffer *text,
		      const char ***names_ret)
{
	size_t count, length = walk->path.size;
	int error = read_names(directory, text, &count);
	const char **names = *names_ret = calloc(count + 1, sizeof(*names));
	if (error || !names)
		return error ? error : -ENOMEM;
	const char *at = text->bytes;
	for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
		names[i] = at;
	qsort(names, count, sizeof(*names), compare);
	for (size_t i = 0; i < count && !error; i++) {
		walk->path.size = length - 1;
		if (!buffer_add(&walk->path, names[i], strlen(names[i]) + 1))
			return -ENOMEM;
		error = pack_file(walk, dirfd(directory), names[i]);
	}
	return error;
}

// The path ends with a slash.
static int pack_directory(struct walk *walk, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory) {
		int error = -errno;
		scope_close(&fd);
		return error == -ENOENT ? 0
					: pack_failed(&walk->pack, "list", walk->path.bytes, error);
	}
	struct buffer text = {0};
	const char **names = NULL;
	int error = pack_names(walk, directory, &text, &names);
	free(names);
	buffer_release(&text);
	closedir(directory);
	return error;
}

int pack_tar(struct session *session, const char *root, const struct pack_options *options,
	     struct pack_report *report_ret)
{
	struct walk walk = {
		.pack = {.session = session, .options = options, .report = report_ret},
	};
	*report_ret = (struct pack_report){.failed = "write"};
	SCOPED_FD top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int error = top < 0 ? pack_failed(&walk.pack, "open", root, -errno) : 0;
	if (!error && !buffer_add(&walk.path, ".", 2))
		error = -ENOMEM;
	if (!error)
		error = pack_file(&walk, top, ".");
	if (!error)
		error = pack_end(&walk.pack);
	release_names(&walk.names);
	buffer_release(&walk.path);
	buffer_release(&walk.pack.out);
	buffer_release(&walk.pack.pax);
	buffer_release(&walk.pack.xattrs);
	buffer_release(&walk.pack.text);
	buffer_release(&walk.pack.content);
	return error;
}
