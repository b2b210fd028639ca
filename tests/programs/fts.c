// SPDX-License-Identifier: Apache-2.0
//
// Walks file hierarchies with fts(3) and prints all that it is told, one line for
// each entry:
//
//   fts OPTIONS ORDER INSTRUCTIONS CHANGES ROOT...
//
// OPTIONS: the number for fts_open(). ORDER: "none", or how entries compare: "name",
// "reverse", "same". INSTRUCTIONS: 0, or the seed of a random script of fts_set() and
// fts_children(). CHANGES: 0, or the seed of random changes to the tree on the way;
// numbers that would differ in another copy of the tree are then shown by their order
// of appearance, and times not at all. Descriptors that are left open at the end are
// complained of on standard error.
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES_MOST 20000
#define REVISITS_MOST 25
#define INODES_MOST 4096

static FTS *walk;
static int options, changes, start;
static unsigned long instruct_state, change_state;
static int revisits, listed, pinned;

// xorshift64, Marsaglia 2003
static unsigned draw(unsigned long *state, unsigned below)
{
	if (!*state)
		return below;
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (unsigned)(*state >> 33) % below;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int by_name_reversed(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*b)->fts_name, (*a)->fts_name);
}

static int all_same(const FTSENT **a, const FTSENT **b)
{
	(void)a, (void)b;
	return 0;
}

static unsigned long shown_number(dev_t dev, ino_t ino)
{
	static struct {
		dev_t dev;
		ino_t ino;
	} seen[INODES_MOST];
	static unsigned long count;
	if (!changes)
		return ino;
	for (unsigned long i = 0; i < count; i++)
		if (seen[i].dev == dev && seen[i].ino == ino)
			return i;
	if (count == INODES_MOST)
		return INODES_MOST;
	seen[count].dev = dev;
	seen[count].ino = ino;
	return count++;
}

static void print_attributes(const struct stat *st)
{
	printf(" stat dev=%lx ino=%lu mode=%o owner=%u:%u rdev=%lx",
	       (unsigned long)st->st_dev, shown_number(st->st_dev, st->st_ino), st->st_mode,
	       st->st_uid, st->st_gid, (unsigned long)st->st_rdev);
	// Of directories, link count and size depend on the file system's history.
	if (!S_ISDIR(st->st_mode) || !changes)
		printf(" nlink=%lu size=%ld", (unsigned long)st->st_nlink, (long)st->st_size);
	if (!changes)
		printf(" mtime=%ld.%09ld ctime=%ld.%09ld", (long)st->st_mtim.tv_sec,
		       st->st_mtim.tv_nsec, (long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
}

// Of long strings, as much as tells them apart.
static void print_text(const char *name, const char *text)
{
	size_t length = strlen(text);
	if (length > 300)
		printf(" %s=%.100s[%zu]%s", name, text, length, text + length - 100);
	else
		printf(" %s=%s", name, text);
}

static void print_here(void)
{
	struct stat st;
	if (stat(".", &st) == 0)
		printf(" here=%lu", shown_number(st.st_dev, st.st_ino));
	else
		printf(" here=%s", strerrorname_np(errno));
}

// Whether the fields that say so are the entry's own (fts(3)).
static int is_looked_at(const FTSENT *entry)
{
	return entry->fts_info != FTS_NS && entry->fts_info != FTS_NSOK;
}

static int is_directory(const FTSENT *entry)
{
	switch (entry->fts_info) {
	case FTS_D:
	case FTS_DC:
	case FTS_DNR:
	case FTS_DOT:
	case FTS_DP:
		return 1;
	}
	return 0;
}

static void print_entry(const char *what, const FTSENT *entry)
{
	static const char *const kinds[] = {"0",  "D",	 "DC",	 "DEFAULT", "DNR",  "DOT", "DP", "ERR",
					    "F",  "INIT", "NS", "NSOK",    "SL", "SLNONE", "W"};
	printf("%s %s level=%d", what, kinds[entry->fts_info], entry->fts_level);
	print_text("name", entry->fts_name);
	printf(" namelen=%u number=%ld pointer=%ld error=%s", entry->fts_namelen,
	       entry->fts_number, (long)entry->fts_pointer,
	       entry->fts_errno ? strerrorname_np(entry->fts_errno) : "0");
	printf(" parent=%d", entry->fts_parent->fts_level);
	if (entry->fts_level > FTS_ROOTLEVEL)
		print_text("below", entry->fts_parent->fts_name);
	if (entry->fts_info == FTS_DC)
		printf(" cycle=%d", entry->fts_cycle->fts_level);
	if (is_directory(entry))
		printf(" ino=%lu", shown_number(entry->fts_dev, entry->fts_ino));
	if (is_directory(entry) && !changes)
		printf(" dev=%lx nlink=%lu", (unsigned long)entry->fts_dev,
		       (unsigned long)entry->fts_nlink);
	if (is_looked_at(entry) && !(options & FTS_NOSTAT))
		print_attributes(entry->fts_statp);
}

static void print_read(const FTSENT *entry)
{
	print_entry("read", entry);
	print_text("path", entry->fts_path);
	print_text("accpath", entry->fts_accpath);
	printf(" pathlen=%u", entry->fts_pathlen);
	if (walk->fts_path != entry->fts_path || walk->fts_cur != entry)
		printf(" elsewhere");
	print_here();
	printf("\n");
}

static void instruct(FTSENT *entry, const char *what)
{
	switch (draw(&instruct_state, 12)) {
	case 0:
		printf("%s skip %d\n", what, fts_set(walk, entry, FTS_SKIP));
		break;
	case 1:
		if (entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE)
			printf("%s follow %d\n", what, fts_set(walk, entry, FTS_FOLLOW));
		break;
	case 2:
		printf("%s nothing %d\n", what, fts_set(walk, entry, 0));
		break;
	}
}

// glibc takes the children that it has listed for those of the next directory where
// a file is no directory when it is looked at again: as the root "." is not, or a link
// that was followed.
static int may_become_another(const FTSENT *entry)
{
	struct stat st;
	return changes || entry->fts_name[0] == '.' || lstat(entry->fts_accpath, &st) < 0 ||
	       S_ISLNK(st.st_mode);
}

static void instruct_read(FTSENT *entry)
{
	int links = entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE;
	unsigned drawn = draw(&instruct_state, 14);
	int safe = !listed || !may_become_another(entry);
	if (drawn < 2 && safe && revisits++ < REVISITS_MOST)
		printf("again %d\n", fts_set(walk, entry, FTS_AGAIN));
	else if (links && drawn < 8 && revisits++ < REVISITS_MOST)
		printf("follow %d\n", fts_set(walk, entry, FTS_FOLLOW));
	else if (drawn == 8)
		printf("skip %d\n", fts_set(walk, entry, FTS_SKIP));
	else if (drawn == 9) {
		errno = 0;
		int returned = fts_set(walk, entry, 77);
		printf("wrong %d %d\n", returned, errno);
	}
}

static void children(FTSENT *entry)
{
	static const int wanted[] = {0, FTS_NAMEONLY, 77};
	unsigned drawn = draw(&instruct_state, 12);
	if (drawn > 5)
		return;
	int instruction = wanted[drawn == 5 ? 2 : drawn % 2];
	errno = 0;
	FTSENT *child = fts_children(walk, instruction);
	listed = child != NULL;
	printf("children %d %s", instruction, child ? "some" : strerrorname_np(errno));
	if (entry && !child)
		print_text("path", entry->fts_path);
	print_here();
	printf("\n");
	for (; child; child = child->fts_link) {
		if (instruction == FTS_NAMEONLY) {
			printf("child %s %u\n", child->fts_name, child->fts_namelen);
			continue;
		}
		print_entry("child", child);
		printf("\n");
		instruct(child, "child");
	}
}

// Keeps the inode number of what is about to go from being given to a new file.
static void pin(const char *path)
{
	pinned += openat(start, path, O_PATH | O_NOFOLLOW) >= 0;
}

static void change(const FTSENT *entry)
{
	char path[4096], other[4200];
	if (!change_state || entry->fts_pathlen >= sizeof(path))
		return;
	memcpy(path, entry->fts_path, entry->fts_pathlen);
	path[entry->fts_pathlen] = '\0';
	snprintf(other, sizeof(other), "%s+", path);
	int failed = -2;
	unsigned drawn = draw(&change_state, 40);
	switch (drawn) {
	case 0:
		failed = fchmodat(start, path, 0, 0);
		break;
	case 1:
		failed = fchmodat(start, path, 0444, 0);
		break;
	case 2:
		failed = fchmodat(start, path, 0111, 0);
		break;
	case 3:
		failed = fchmodat(start, path, 0755, 0);
		break;
	case 4:
		pin(path);
		failed = unlinkat(start, path, 0);
		break;
	case 5:
		pin(path);
		failed = unlinkat(start, path, AT_REMOVEDIR);
		break;
	case 6:
		failed = renameat(start, path, start, other);
		break;
	case 7:
		pin("moved");
		failed = renameat(start, path, start, "moved");
		break;
	case 8:
		strcat(path, "/new");
		failed = mkdirat(start, path, 0755);
		break;
	}
	if (failed != -2)
		printf("change %u %s\n", drawn, failed ? strerrorname_np(errno) : "done");
}

static int descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int main(int count, char **arguments)
{
	static const struct {
		const char *name;
		int (*compare)(const FTSENT **, const FTSENT **);
	} orders[] = {{"none", NULL}, {"name", by_name}, {"reverse", by_name_reversed},
		      {"same", all_same}};
	int (*compare)(const FTSENT **, const FTSENT **) = NULL;
	if (count < 5)
		return 2;
	options = atoi(arguments[1]);
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		if (strcmp(orders[i].name, arguments[2]) == 0)
			compare = orders[i].compare;
	instruct_state = strtoul(arguments[3], NULL, 10) * 0x9e3779b97f4a7c15;
	change_state = strtoul(arguments[4], NULL, 10) * 0x9e3779b97f4a7c15;
	changes = change_state != 0;
	start = open(".", O_PATH);
	int before = descriptors();

	errno = 0;
	walk = fts_open(arguments + 5, options, compare);
	if (!walk) {
		printf("open %s\n", strerrorname_np(errno));
		return 0;
	}
	printf("options %#x\n", walk->fts_options);
	children(NULL);
	int entries = 0;
	long number = 0;
	FTSENT *entry;
	while (errno = 0, entries++ < ENTRIES_MOST && (entry = fts_read(walk))) {
		print_read(entry);
		listed = 0;
		entry->fts_number = ++number;
		entry->fts_pointer = (void *)-number;
		change(entry);
		children(entry);
		change(entry);
		instruct_read(entry);
	}
	printf("end %s%s", strerrorname_np(errno), entries > ENTRIES_MOST ? " too many" : "");
	print_here();
	errno = 0;
	int closed = fts_close(walk);
	printf("\nclose %d %s", closed, strerrorname_np(errno));
	print_here();
	printf("\n");
	if (descriptors() - pinned != before)
		fprintf(stderr, "descriptors left: %d\n", descriptors() - pinned - before);
	return 0;
}
