// SPDX-License-Identifier: Apache-2.0
//
// From a directory to the list of its entries.
#include "fts.h"

#include <linux/errno.h>

size_t fts_list_name_at(const struct fts_entry *directory)
{
	size_t length = directory->pathlen;
	return directory->path[length - 1] == '/' ? length : length + 1;
}

void fts_list_append(const struct fts *walk, size_t at, const char *name)
{
	char *to = walk->path + at;
	to[-1] = '/';
	while ((*to++ = *name++))
		;
}

static bool believes_types(const struct fts *walk)
{
	const int options = FTS_NOSTAT | FTS_PHYSICAL;
	return (walk->options & options) == options;
}

// How many entries have to be looked at, -1: all. As long as there is no other need
// (FTS_NOSTAT), as many as there are directories, which the link count tells; a file
// system that counts otherwise says 1.
static int looks_needed(const struct fts *walk, const struct fts_entry *directory,
			enum fts_purpose purpose)
{
	if (purpose == FTS_FOR_NAMES)
		return 0;
	if (!believes_types(walk))
		return -1;
	return (int)directory->nlink - (walk->options & FTS_SEEDOT ? 0 : 2);
}

// Whether glibc's buffer has room for a path, which may be no larger than pathlen can
// say but doubles when it grows: from 37,000 bytes or so there is no further step.
static bool has_room(struct fts *walk, size_t length)
{
	if (length >= (size_t)walk->pathlen)
		walk->pathlen += (int)length + 1 + FTS_PATH_STEP;
	return walk->pathlen <= FTS_LENGTH_MOST;
}

// Appends what is in the directory. Returns the number of entries or -errno.
static long add_entries(struct fts *walk, struct fts_directory *directory, int looks,
			struct fts_entry **end)
{
	size_t name_at = fts_list_name_at(walk->cur);
	bool no_chdir = walk->options & FTS_NOCHDIR;
	long count = 0;
	struct fts_name name;
	while (fts_directory_next(directory, &name)) {
		if (!(walk->options & FTS_SEEDOT) && fts_entry_is_dot(name.text))
			continue;
		if (!has_room(walk, name_at + name.length))
			return -ENAMETOOLONG;
		struct fts_entry *entry = fts_entry_new(walk, name.text, name.length);
		if (!entry)
			return -ENOMEM;
		*end = entry;
		end = &entry->link;
		count++;
		entry->level = (short)(walk->cur->level + 1);
		entry->parent = walk->cur;
		entry->pathlen = (unsigned short)(name_at + name.length);
		entry->accpath = no_chdir ? walk->path : entry->name;
		entry->info = FTS_NSOK;
		if (looks == 0 || (believes_types(walk) && !name.may_be_directory))
			continue;
		if (no_chdir)
			fts_list_append(walk, name_at, name.text);
		fts_entry_look(walk, entry, false);
		looks -= looks > 0 && fts_entry_is_directory(entry);
	}
	return count;
}

static struct fts_entry *nothing(long failed)
{
	libc_set_errno((int)-failed);
	return NULL;
}

static struct fts_entry *unreadable(struct fts_entry *directory, enum fts_purpose purpose,
				    long failed)
{
	if (purpose == FTS_FOR_DESCENT) {
		directory->info = FTS_DNR;
		directory->error = (int)-failed;
	}
	return nothing(failed);
}

static struct fts_entry *closed(struct fts_entry *directory, enum fts_purpose purpose,
				long failed, int looks)
{
	directory->flags |= FTS_DONTCHDIR;
	if (purpose == FTS_FOR_DESCENT) {
		directory->info = FTS_DP;
		directory->error = looks ? (int)-failed : directory->error;
	}
	return nothing(failed);
}

struct fts_entry *fts_list(struct fts *walk, enum fts_purpose purpose)
{
	struct fts_entry *current = walk->cur;
	struct fts_directory directory;
	long failed = fts_directory_open(&directory, current->accpath);
	if (failed)
		return unreadable(current, purpose, failed);
	int looks = looks_needed(walk, current, purpose);
	bool entering = looks || purpose == FTS_FOR_DESCENT;
	if (entering)
		failed = fts_place_enter(walk, current, directory.fd);
	if (failed) {
		fts_directory_close(&directory);
		return closed(current, purpose, failed, looks);
	}

	size_t name_at = fts_list_name_at(current);
	struct fts_entry *entries = NULL;
	long count = add_entries(walk, &directory, looks, &entries);
	fts_directory_close(&directory);
	if (walk->options & FTS_NOCHDIR) {
		walk->path[name_at - 1] = '/';
		walk->path[count ? name_at : name_at - 1] = '\0';
	}
	if (count < 0)
		failed = count;
	else if (entering && (purpose == FTS_FOR_CHILDREN || count == 0))
		failed = fts_place_go_up(walk, current);
	if (failed) {
		fts_entry_free_list(entries);
		current->info = FTS_ERR;
		walk->options |= FTS_STOP;
		return nothing(failed);
	}
	if (count == 0 && purpose == FTS_FOR_DESCENT)
		current->info = FTS_DP;
	return fts_entry_sort(walk, entries, (size_t)count);
}
