// SPDX-License-Identifier: Apache-2.0
//
// The walk. Where fts(3) leaves something open, or glibc (2.36) does otherwise, this
// does as glibc: without the shim a program gets that.
//
// The path buffer has room for the longest path from the start and never moves, so
// that pointers into it stay good; the pages that no path reaches are never touched.
#include "fts.h"

#include <linux/errno.h>
#include <linux/limits.h>

// ---- walking ----

static struct fts_entry *stop(struct fts *walk, long failed)
{
	walk->options |= FTS_STOP;
	libc_set_errno((int)-failed);
	return NULL;
}

static void drop_children(struct fts *walk)
{
	fts_entry_free_list(walk->child);
	walk->child = NULL;
}

static void follow(const struct fts *walk, struct fts_entry *entry)
{
	fts_entry_look(walk, entry, true);
	if (entry->info != FTS_D || walk->options & FTS_NOCHDIR)
		return;
	fts_entry_forget_place(entry);
	long fd = fts_place_open(".");
	if (fd < 0) {
		entry->error = (int)-fd;
		entry->info = FTS_ERR;
		return;
	}
	entry->symfd = (int)fd;
	entry->flags |= FTS_SYMFOLLOW;
}

static struct fts_entry *visit(struct fts *walk, struct fts_entry *entry)
{
	fts_list_append(walk, fts_list_name_at(entry->parent), entry->name);
	return walk->cur = entry;
}

// A root's name is then what it is called in its directory.
static struct fts_entry *visit_root(struct fts *walk, struct fts_entry *root)
{
	long failed = fts_place_change(walk, walk->rfd);
	if (failed)
		return stop(walk, failed);
	size_t base = 0;
	for (size_t i = 0; i <= root->namelen; i++) {
		walk->path[i] = root->name[i];
		if (root->name[i] == '/' && root->namelen > 1)
			base = i + 1;
	}
	root->pathlen = root->namelen;
	root->namelen = (unsigned short)(root->namelen - base);
	for (size_t i = 0; base && i <= root->namelen; i++)
		root->name[i] = root->name[base + i];
	root->accpath = walk->path;
	walk->dev = root->dev;
	return walk->cur = root;
}

static struct fts_entry *finish_parent(struct fts *walk, struct fts_entry *directory)
{
	if (directory->level == FTS_ROOTPARENTLEVEL) {
		fts_entry_free(directory);
		walk->cur = NULL;
		libc_set_errno(0);
		return NULL;
	}
	walk->path[directory->pathlen] = '\0';
	long failed = fts_place_leave(walk, directory);
	if (failed)
		return stop(walk, failed);
	directory->info = directory->error ? FTS_ERR : FTS_DP;
	return directory;
}

// The entry is done with.
static struct fts_entry *go_on(struct fts *walk)
{
	drop_children(walk);
	for (;;) {
		struct fts_entry *done = walk->cur;
		struct fts_entry *next = done->link;
		walk->cur = next ? next : done->parent;
		fts_entry_free(done);
		if (!next)
			return finish_parent(walk, walk->cur);
		if (next->level == FTS_ROOTLEVEL)
			return visit_root(walk, next);
		if (next->instr == FTS_SKIP)
			continue;
		if (next->instr == FTS_FOLLOW) {
			follow(walk, next);
			next->instr = FTS_NOINSTR;
		}
		return visit(walk, next);
	}
}

static struct fts_entry *pass_over(struct fts *walk, struct fts_entry *directory)
{
	fts_entry_forget_place(directory);
	drop_children(walk);
	directory->info = FTS_DP;
	return directory;
}

// The children that the program has seen are those that are visited.
static struct fts_entry *descend(struct fts *walk, struct fts_entry *directory)
{
	if (walk->child && walk->options & FTS_NAMEONLY) {
		walk->options &= ~FTS_NAMEONLY;
		drop_children(walk);
	}
	if (!walk->child)
		return fts_list(walk, FTS_FOR_DESCENT);
	struct fts_entry *children = walk->child;
	walk->child = NULL;
	long failed = fts_place_enter_path(walk, directory, directory->accpath);
	if (failed) {
		directory->error = (int)-failed;
		directory->flags |= FTS_DONTCHDIR;
		for (struct fts_entry *child = children; child; child = child->link)
			child->accpath = directory->accpath;
	}
	return children;
}

static struct fts_entry *read_next(struct fts *walk)
{
	struct fts_entry *entry = walk->cur;
	if (!entry || walk->options & FTS_STOP)
		return NULL;
	unsigned short instruction = entry->instr;
	entry->instr = FTS_NOINSTR;
	if (instruction == FTS_AGAIN) {
		fts_entry_look(walk, entry, false);
		return entry;
	}
	if (instruction == FTS_FOLLOW && (entry->info == FTS_SL || entry->info == FTS_SLNONE)) {
		follow(walk, entry);
		return entry;
	}
	if (entry->info != FTS_D)
		return go_on(walk);
	if (instruction == FTS_SKIP || (walk->options & FTS_XDEV && entry->dev != walk->dev))
		return pass_over(walk, entry);
	struct fts_entry *child = descend(walk, entry);
	if (child)
		return visit(walk, child);
	return walk->options & FTS_STOP ? NULL : entry;
}

static struct fts_entry *children(struct fts *walk, int instruction)
{
	struct fts_entry *entry = walk->cur;
	if (instruction != 0 && instruction != FTS_NAMEONLY) {
		libc_set_errno(EINVAL);
		return NULL;
	}
	libc_set_errno(0);
	if (!entry || walk->options & FTS_STOP)
		return NULL;
	if (entry->info == FTS_INIT)
		return entry->link;
	if (entry->info != FTS_D)
		return NULL;

	drop_children(walk);
	enum fts_purpose purpose = instruction == FTS_NAMEONLY ? FTS_FOR_NAMES : FTS_FOR_CHILDREN;
	if (purpose == FTS_FOR_NAMES)
		walk->options |= FTS_NAMEONLY;
	if (entry->level != FTS_ROOTLEVEL || entry->accpath[0] == '/' ||
	    walk->options & FTS_NOCHDIR)
		return walk->child = fts_list(walk, purpose);
	// The walk goes back to where it began; the program need not be there.
	long fd = fts_place_open(".");
	if (fd < 0) {
		libc_set_errno((int)-fd);
		return NULL;
	}
	walk->child = fts_list(walk, purpose);
	long failed = fts_place_change(walk, (int)fd);
	fts_place_close((int)fd);
	if (failed)
		libc_set_errno((int)-failed);
	return failed ? NULL : walk->child;
}

// ---- beginning and end ----

static long add_roots(struct fts *walk, char *const *paths)
{
	struct fts_entry *parent = fts_entry_new(walk, "", 0);
	struct fts_entry *before = fts_entry_new(walk, "", 0);
	if (!parent || !before) {
		free(parent);
		free(before);
		return -ENOMEM;
	}
	parent->level = FTS_ROOTPARENTLEVEL;
	before->parent = parent;
	before->info = FTS_INIT;
	walk->cur = before;

	struct fts_entry **end = &before->link;
	size_t count = 0;
	for (; *paths; paths++, count++) {
		size_t length = 0;
		while (length <= FTS_LENGTH_MOST && (*paths)[length])
			length++;
		if (length == 0)
			return -ENOENT;
		if (length > FTS_LENGTH_MOST)
			return -ENAMETOOLONG;
		struct fts_entry *root = fts_entry_new(walk, *paths, length);
		if (!root)
			return -ENOMEM;
		root->parent = parent;
		root->accpath = root->name;
		root->link = *end;
		*end = root;
		// glibc sorts the roots from the last to the first.
		if (!walk->compar)
			end = &root->link;
		fts_entry_look(walk, root, walk->options & FTS_COMFOLLOW);
		if (root->info == FTS_DOT)
			root->info = FTS_D;
	}
	before->link = fts_entry_sort(walk, before->link, count);
	return 0;
}

static void release(struct fts *walk)
{
	drop_children(walk);
	while (walk->cur) {
		struct fts_entry *entry = walk->cur;
		walk->cur = entry->link ? entry->link : entry->parent;
		fts_entry_free(entry);
	}
	free(walk->array);
	free(walk->path);
	free(walk);
}

static struct fts *begin(char *const *paths, int options, fts_compare *compar)
{
	if (options & ~FTS_OPTIONMASK) {
		libc_set_errno(EINVAL);
		return NULL;
	}
	if (!malloc || !free || !qsort) {
		libc_set_errno(ENOSYS);
		return NULL;
	}
	struct fts *walk = malloc(sizeof(*walk));
	if (!walk)
		return NULL;
	*walk = (struct fts){
		.path = malloc(FTS_PATH_ROOM),
		.rfd = -1,
		.pathlen = PATH_MAX + FTS_PATH_STEP,
		.compar = compar,
		.options = options & FTS_LOGICAL ? options | FTS_NOCHDIR : options,
	};
	long failed = walk->path ? add_roots(walk, paths) : -ENOMEM;
	if (failed) {
		release(walk);
		libc_set_errno((int)-failed);
		return NULL;
	}
	if (!(walk->options & FTS_NOCHDIR))
		walk->rfd = (int)fts_place_open(".");
	if (walk->rfd < 0)
		walk->options |= FTS_NOCHDIR;
	return walk;
}

static int end(struct fts *walk)
{
	long failed = fts_place_change(walk, walk->rfd);
	if (!(walk->options & FTS_NOCHDIR))
		fts_place_close(walk->rfd);
	release(walk);
	return (int)libc_result(failed);
}

// ---- what programs call ----

#define CALLER __builtin_return_address(0)
#define NEXT(function) ((__typeof__(&(function)))next)

EXPORTED(struct fts *, fts_open, char *const *paths, int options, fts_compare *compar)
{
	void *next;
	if (fts_is_libcs(FTS_FUNCTION_OPEN, CALLER, &next))
		return begin(paths, options, compar);
	return next ? NEXT(fts_open)(paths, options, compar) : NULL;
}

EXPORTED(struct fts_entry *, fts_read, struct fts *walk)
{
	void *next;
	if (fts_is_libcs(FTS_FUNCTION_READ, CALLER, &next))
		return read_next(walk);
	return next ? NEXT(fts_read)(walk) : NULL;
}

EXPORTED(struct fts_entry *, fts_children, struct fts *walk, int instruction)
{
	void *next;
	if (fts_is_libcs(FTS_FUNCTION_CHILDREN, CALLER, &next))
		return children(walk, instruction);
	return next ? NEXT(fts_children)(walk, instruction) : NULL;
}

EXPORTED(int, fts_set, struct fts *walk, struct fts_entry *entry, int instruction)
{
	void *next;
	if (!fts_is_libcs(FTS_FUNCTION_SET, CALLER, &next))
		return next ? NEXT(fts_set)(walk, entry, instruction) : -1;
	if (instruction < 0 || instruction > FTS_SKIP) {
		libc_set_errno(EINVAL);
		return 1; // not the -1 of fts(3)
	}
	entry->instr = (unsigned short)instruction;
	return 0;
}

EXPORTED(int, fts_close, struct fts *walk)
{
	void *next;
	if (fts_is_libcs(FTS_FUNCTION_CLOSE, CALLER, &next))
		return end(walk);
	return next ? NEXT(fts_close)(walk) : -1;
}

// The names of large-file support (lfs64(7)): the same functions on x86-64.
ALSO(fts64_open, fts_open);
ALSO(fts64_read, fts_read);
ALSO(fts64_children, fts_children);
ALSO(fts64_set, fts_set);
ALSO(fts64_close, fts_close);
