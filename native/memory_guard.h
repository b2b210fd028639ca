// SPDX-License-Identifier: Apache-2.0
//
// Mapped files that others may cut off or whose disk may fail: whoever reads them then gets
// SIGBUS. Here he gets zeros instead, in the place of the whole mapping, and it is noted
// that the memory is lost. (Files that are sealed need no guard.)
#ifndef FSC_MEMORY_GUARD_H
#define FSC_MEMORY_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

// Watches a mapping, for this thread and those that it starts. False: there are too many.
bool memory_guard_watch(void *base, size_t size, atomic_bool *lost);
void memory_guard_forget(const void *base);

#endif
