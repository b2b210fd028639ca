// SPDX-License-Identifier: Apache-2.0
#include "shim.h"

#include <stddef.h>

// Weak: found where the program's libc has them.
extern int *__errno_location(void) __attribute__((weak));
extern const char *gnu_get_libc_version(void) __attribute__((weak));

#define ERRNO_MOST 4095 // <linux/err.h>

long libc_result(long returned)
{
	if ((unsigned long)returned < (unsigned long)-ERRNO_MOST)
		return returned;
	libc_set_errno((int)-returned);
	return -1;
}

void libc_set_errno(int error)
{
	if (__errno_location)
		*__errno_location() = error;
}

static unsigned read_number(const char **text)
{
	unsigned number = 0;
	while (**text >= '0' && **text <= '9' && number < 1000)
		number = number * 10 + (unsigned)(*(*text)++ - '0');
	return number;
}

static enum libc_style find_style(void)
{
	if (!gnu_get_libc_version)
		return LIBC_OTHER;
	const char *text = gnu_get_libc_version();
	unsigned major = read_number(&text);
	text += *text == '.';
	unsigned minor = read_number(&text);
	if (major > 2 || minor >= 39)
		return LIBC_GLIBC_NEW;
	return minor >= 33 ? LIBC_GLIBC_AT : LIBC_GLIBC_OLD;
}

enum libc_style libc_style(void)
{
	// Found at the first call: constructors of other libraries may run before ours.
	static _Atomic int known = -1;
	int style = atomic_load_explicit(&known, memory_order_relaxed);
	if (style < 0) {
		style = (int)find_style();
		atomic_store_explicit(&known, style, memory_order_relaxed);
	}
	return (enum libc_style)style;
}
