// SPDX-License-Identifier: Apache-2.0
//
// What the measured programs share. Each prints one number on its last line and
// ends with status 0; 2: something failed; 3: the answer of a call was wrong, so
// that the time it took means nothing.
#pragma once

#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

_Noreturn static inline void fail(const char *what)
{
	perror(what);
	exit(2);
}

_Noreturn static inline void wrong(const char *what, long expected, long found)
{
	fprintf(stderr, "%s: expected %ld, found %ld\n", what, expected, found);
	exit(3);
}

static inline uint64_t milliseconds(const char *text)
{
	return strtoull(text, NULL, 10) * 1000000u;
}

// How many calls there were, and the time of one, in nanoseconds.
static inline void print_per_call(uint64_t elapsed, uint64_t calls)
{
	printf("%llu calls, %.2f\n", (unsigned long long)calls, (double)elapsed / (double)calls);
}
