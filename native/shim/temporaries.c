// SPDX-License-Identifier: Apache-2.0
//
// mkstemp(3), mkdtemp(3) and their kin, whose open(2) is libc's own affair: it would trap
// each time, and stop at directories that the user may not write to.
#include "opening.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __x86_64__
#define LARGE 0
#else
#define LARGE O_LARGEFILE
#endif

#define PLACES 6
#define LETTERS 62u
#define TRIES (LETTERS * LETTERS * LETTERS) // TMP_MAX of glibc
#define OWNER_RW 0600u

// Others must not guess the next name; the pass is not known to them either. Threads that
// draw at once have stacks of their own.
static uint64_t draw(void)
{
	static _Atomic uint32_t drawn;
	const struct session_page *page = session_attached();
	uint64_t mixed = (page ? page->pass : 0) ^ __builtin_ia32_rdtsc() ^
			 (uintptr_t)__builtin_frame_address(0);
	mixed += atomic_fetch_add(&drawn, 1) * UINT64_C(0x9e3779b97f4a7c15);
	mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
	return mixed ^ mixed >> 31;
}

// Where the six Xs are, or NULL.
static char *find_places(char *template, int suffix)
{
	int length = 0;
	while (template[length] != '\0')
		length++;
	if (suffix < 0 || length < PLACES || suffix > length - PLACES)
		return NULL;
	char *places = template + length - suffix - PLACES;
	for (int i = 0; i < PLACES; i++)
		if (places[i] != 'X')
			return NULL;
	return places;
}

static void fill(char *places)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	uint32_t rest = (uint32_t)draw();
	for (int i = 0; i < PLACES; i++, rest = rest / LETTERS + (uint32_t)draw() % LETTERS)
		places[i] = letters[rest % LETTERS];
}

static int make_file(char *template, int suffix, int flags)
{
	char *places = find_places(template, suffix);
	if (!places)
		return (int)libc_result(-EINVAL);
	flags = (flags & ~O_ACCMODE) | O_RDWR | O_CREAT | O_EXCL;
	long fd = -EEXIST;
	for (unsigned tries = 0; fd == -EEXIST && tries < TRIES; tries++) {
		fill(places);
		fd = opening_at(AT_FDCWD, template, flags, OWNER_RW);
	}
	return (int)libc_result(fd);
}

EXPORTED(int, mkstemp, char *template)
{
	return make_file(template, 0, 0);
}

EXPORTED(int, mkstemp64, char *template)
{
	return make_file(template, 0, LARGE);
}

EXPORTED(int, mkostemp, char *template, int flags)
{
	return make_file(template, 0, flags);
}

EXPORTED(int, mkostemp64, char *template, int flags)
{
	return make_file(template, 0, flags | LARGE);
}

EXPORTED(int, mkstemps, char *template, int suffix)
{
	return make_file(template, suffix, 0);
}

EXPORTED(int, mkstemps64, char *template, int suffix)
{
	return make_file(template, suffix, LARGE);
}

EXPORTED(int, mkostemps, char *template, int suffix, int flags)
{
	return make_file(template, suffix, flags);
}

EXPORTED(int, mkostemps64, char *template, int suffix, int flags)
{
	return make_file(template, suffix, flags | LARGE);
}

EXPORTED(char *, mkdtemp, char *template)
{
	char *places = find_places(template, 0);
	long returned = places ? -EEXIST : -EINVAL;
	for (unsigned tries = 0; returned == -EEXIST && tries < TRIES; tries++) {
		fill(places);
		returned = creations_mkdir(template, 0700);
	}
	return libc_result(returned) < 0 ? NULL : template;
}
