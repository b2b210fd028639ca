// SPDX-License-Identifier: Apache-2.0
//
// What the compiler may call by itself, even in freestanding code (GCC manual,
// "Language Standards Supported by GCC").
#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	unsigned char *target = to;
	const unsigned char *source = from;
	while (size--)
		*target++ = *source++;
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	unsigned char *target = to;
	while (size--)
		*target++ = (unsigned char)byte;
	return to;
}
