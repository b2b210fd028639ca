// SPDX-License-Identifier: Apache-2.0
//
// fts(3) for programs of glibc on x86-64, whose own makes its calls where the shim
// does not stand in front of them.
//
// A walk is allocated by the program's malloc(3) and has no state but what is here:
// nothing in it is the shim's own, and glibc's functions would understand it.
#ifndef FSC_SHIM_FTS_H
#define FSC_SHIM_FTS_H

#include "shim.h"

#include <stddef.h>
#include <stdint.h>

// <fts.h>: options, and what the walk notes among them.
enum fts_option {
	FTS_COMFOLLOW = 1 << 0,
	FTS_LOGICAL = 1 << 1,
	FTS_NOCHDIR = 1 << 2,
	FTS_NOSTAT = 1 << 3,
	FTS_PHYSICAL = 1 << 4,
	FTS_SEEDOT = 1 << 5,
	FTS_XDEV = 1 << 6,
	FTS_OPTIONMASK = 0xff,
	FTS_NAMEONLY = 1 << 8, // the children are names only; also an argument
	FTS_STOP = 1 << 9,     // the walk cannot go on
};

enum fts_instruction {
	FTS_AGAIN = 1,
	FTS_FOLLOW,
	FTS_NOINSTR,
	FTS_SKIP,
};

enum fts_info {
	FTS_D = 1,
	FTS_DC,
	FTS_DEFAULT,
	FTS_DNR,
	FTS_DOT,
	FTS_DP,
	FTS_ERR,
	FTS_F,
	FTS_INIT,
	FTS_NS,
	FTS_NSOK,
	FTS_SL,
	FTS_SLNONE,
};

enum fts_flag {
	FTS_DONTCHDIR = 1 << 0, // could not be entered, so is not to be left
	FTS_SYMFOLLOW = 1 << 1, // was entered through a link: symfd leads back
};

#define FTS_ROOTPARENTLEVEL (-1)
#define FTS_ROOTLEVEL 0

#define FTS_LENGTH_MOST 65535 // of a path: its pathlen says no more
#define FTS_PATH_ROOM (FTS_LENGTH_MOST + 1)
#define FTS_PATH_STEP 256 // glibc's path buffer is larger than it must be by this

struct stat;

// FTSENT. fts_name and the attributes follow in the same allocation.
struct fts_entry {
	struct fts_entry *cycle, *parent, *link;
	long number;
	void *pointer;
	char *accpath, *path;
	int error; // fts_errno
	int symfd;
	unsigned short pathlen, namelen;
	uint64_t ino, dev, nlink; // of directories
	short level;
	unsigned short info, flags, instr;
	struct stat *statp;
	char name[];
};

typedef int fts_compare(const struct fts_entry **, const struct fts_entry **);

// FTS. One buffer has the paths of all entries in turn.
struct fts {
	struct fts_entry *cur, *child, **array;
	uint64_t dev; // of the root below which the walk is
	char *path;
	int rfd; // where the walk began
	int pathlen; // the buffer's size, as far as it may be used
	int nitems; // the array's
	fts_compare *compar;
	int options;
};

_Static_assert(offsetof(struct fts_entry, error) == 56, "FTSENT");
_Static_assert(offsetof(struct fts_entry, level) == 96, "FTSENT");
_Static_assert(offsetof(struct fts_entry, name) == 112, "FTSENT");
_Static_assert(offsetof(struct fts, options) == 64 && sizeof(struct fts) == 72, "FTS");

// The program's. Weak: found where its libc has them.
extern void *malloc(size_t size) __attribute__((weak));
extern void free(void *memory) __attribute__((weak));
extern void qsort(void *array, size_t count, size_t size,
		  int (*compare)(const void *, const void *)) __attribute__((weak));

// ---- entries (fts_entry.c) ----

// NULL: there is no memory.
struct fts_entry *fts_entry_new(const struct fts *walk, const char *name, size_t length);
void fts_entry_free(struct fts_entry *entry);
void fts_entry_free_list(struct fts_entry *list);

// Closes symfd, if there is one.
void fts_entry_forget_place(struct fts_entry *entry);

bool fts_entry_is_dot(const char *name);

// Looks at the file and sets info; follow: also through a link.
void fts_entry_look(const struct fts *walk, struct fts_entry *entry, bool follow);

// As it was looked at.
bool fts_entry_is_directory(const struct fts_entry *entry);

// The list in the program's order, or as it is where it has none or memory lacks.
struct fts_entry *fts_entry_sort(struct fts *walk, struct fts_entry *list, size_t count);

// ---- reading directories (fts_directory.c) ----

struct fts_directory {
	int fd;
	unsigned char *bytes;
	long size, at;
};

struct fts_name {
	const char *text;
	size_t length;
	bool may_be_directory;
};

// Returns 0 or -errno.
long fts_directory_open(struct fts_directory *directory, const char *path);
void fts_directory_close(struct fts_directory *directory);
bool fts_directory_next(struct fts_directory *directory, struct fts_name *name_ret);

// ---- going from place to place (fts_place.c); all return -errno on failure ----

// A descriptor.
long fts_place_open(const char *path);
void fts_place_close(int fd);

// fchdir(2), but not under FTS_NOCHDIR. Nor do the others then do anything.
long fts_place_change(const struct fts *walk, int fd);

// Into a directory, if that is what is there.
long fts_place_enter(const struct fts *walk, const struct fts_entry *directory, int fd);
long fts_place_enter_path(const struct fts *walk, const struct fts_entry *directory,
			  const char *path);

// From a directory to that which has it: by "..", or by the way it was entered.
long fts_place_go_up(const struct fts *walk, const struct fts_entry *directory);
long fts_place_leave(const struct fts *walk, struct fts_entry *directory);

// ---- listing (fts_list.c) ----

enum fts_purpose {
	FTS_FOR_DESCENT,
	FTS_FOR_CHILDREN, // fts_children()
	FTS_FOR_NAMES,    // the same with FTS_NAMEONLY
};

// The entries of the current directory. The walk is in it then, if that was for the
// descent. NULL: there are none, or the directory's info says what is wrong, or the
// walk stops; with errno.
struct fts_entry *fts_list(struct fts *walk, enum fts_purpose purpose);

// Where in the path of what is in a directory the name begins.
size_t fts_list_name_at(const struct fts_entry *directory);
void fts_list_append(const struct fts *walk, size_t at, const char *name);

// ---- other implementations (fts_next.c) ----

enum fts_function {
	FTS_FUNCTION_OPEN,
	FTS_FUNCTION_READ,
	FTS_FUNCTION_CHILDREN,
	FTS_FUNCTION_SET,
	FTS_FUNCTION_CLOSE,
};

// Whether a call is for the libc's own implementation, the one that ours may replace;
// caller: an address in the program's code. Otherwise *function_ret is what the
// program would have called, or NULL, with errno.
bool fts_is_libcs(enum fts_function which, const void *caller, void **function_ret);

#endif
