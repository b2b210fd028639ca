// SPDX-License-Identifier: Apache-2.0
#include "fts.h"
#include "look.h"

#include <asm/stat.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#define SPARE 40 // places by which the array for sorting is larger than it must be

bool fts_entry_is_dot(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

struct fts_entry *fts_entry_new(const struct fts *walk, const char *name, size_t length)
{
	const size_t alignment = _Alignof(struct stat);
	size_t size = sizeof(struct fts_entry) + length + 1;
	size_t stat_at = (size + alignment - 1) & ~(alignment - 1);
	bool has_stat = !(walk->options & FTS_NOSTAT);
	struct fts_entry *entry = malloc(has_stat ? stat_at + sizeof(struct stat) : size);
	if (!entry)
		return NULL;
	*entry = (struct fts_entry){
		.path = walk->path,
		.namelen = (unsigned short)length,
		.symfd = -1,
		.instr = FTS_NOINSTR,
		.statp = has_stat ? (struct stat *)((char *)entry + stat_at) : NULL,
	};
	for (size_t i = 0; i < length; i++)
		entry->name[i] = name[i];
	entry->name[length] = '\0';
	return entry;
}

void fts_entry_forget_place(struct fts_entry *entry)
{
	if (entry->symfd >= 0)
		fts_place_close(entry->symfd);
	entry->symfd = -1;
}

void fts_entry_free(struct fts_entry *entry)
{
	fts_entry_forget_place(entry);
	free(entry);
}

void fts_entry_free_list(struct fts_entry *list)
{
	while (list) {
		struct fts_entry *next = list->link;
		fts_entry_free(list);
		list = next;
	}
}

static enum fts_info directory_kind(struct fts_entry *entry)
{
	if (fts_entry_is_dot(entry->name))
		return FTS_DOT;
	for (struct fts_entry *above = entry->parent; above->level >= FTS_ROOTLEVEL;
	     above = above->parent)
		if (above->ino == entry->ino && above->dev == entry->dev) {
			entry->cycle = above;
			return FTS_DC;
		}
	return FTS_D;
}

static enum fts_info look(const struct fts *walk, struct fts_entry *entry, bool follow)
{
	struct stat unseen;
	struct stat *seen = walk->options & FTS_NOSTAT ? &unseen : entry->statp;
	bool through = follow || walk->options & FTS_LOGICAL;
	long failed = look_path(entry->accpath, seen, through ? 0 : AT_SYMLINK_NOFOLLOW);
	if (failed && through && look_path(entry->accpath, seen, AT_SYMLINK_NOFOLLOW) == 0)
		return FTS_SLNONE;
	if (failed) {
		entry->error = (int)-failed;
		*seen = (struct stat){0};
		return FTS_NS;
	}
	switch (seen->st_mode & S_IFMT) {
	case S_IFDIR:
		entry->dev = seen->st_dev;
		entry->ino = seen->st_ino;
		entry->nlink = seen->st_nlink;
		return directory_kind(entry);
	case S_IFLNK:
		return FTS_SL;
	case S_IFREG:
		return FTS_F;
	default:
		return FTS_DEFAULT;
	}
}

void fts_entry_look(const struct fts *walk, struct fts_entry *entry, bool follow)
{
	entry->info = (unsigned short)look(walk, entry, follow);
}

bool fts_entry_is_directory(const struct fts_entry *entry)
{
	return entry->info == FTS_D || entry->info == FTS_DC || entry->info == FTS_DOT;
}

static bool make_room(struct fts *walk, size_t count)
{
	if (count <= (size_t)walk->nitems)
		return true;
	free(walk->array);
	walk->array = malloc((count + SPARE) * sizeof(struct fts_entry *));
	walk->nitems = walk->array ? (int)(count + SPARE) : 0;
	return walk->array;
}

struct fts_entry *fts_entry_sort(struct fts *walk, struct fts_entry *list, size_t count)
{
	if (!walk->compar || count < 2 || !make_room(walk, count))
		return list;
	size_t i = 0;
	for (struct fts_entry *entry = list; entry; entry = entry->link)
		walk->array[i++] = entry;
	qsort(walk->array, count, sizeof(struct fts_entry *),
	      (int (*)(const void *, const void *))walk->compar);
	for (i = 0; i + 1 < count; i++)
		walk->array[i]->link = walk->array[i + 1];
	walk->array[i]->link = NULL;
	return walk->array[0];
}
