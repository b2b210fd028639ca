// SPDX-License-Identifier: Apache-2.0
//
// Threads that nobody waits for: they run until they return, or the process ends.
#ifndef FSC_THREAD_H
#define FSC_THREAD_H

#include <stddef.h>

#define THREAD_STACK ((size_t)1 << 20) // a Python handler's frames included

// Returns 0 or -errno.
int thread_start(void *(*function)(void *), void *argument);

// How many filters this process has put on itself for that (Seccomp_filters), 0 or 1.
int thread_filters(void);

#endif
