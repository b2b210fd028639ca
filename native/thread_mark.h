// SPDX-License-Identifier: Apache-2.0
//
// A thread's credentials, handed on by the kernel to the threads and processes it makes.
#ifndef FSC_THREAD_MARK_H
#define FSC_THREAD_MARK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Marks a thread, and so all that it makes from now on, with a position in the store.
// Has no effect where the kernel has no such marks (before Linux 6.5), and for more than
// about a thousand different positions. One caller at a time.
void thread_mark_set(pid_t tid, uint32_t position);

// Returns false for a thread that has no mark.
bool thread_mark_get(pid_t tid, uint32_t *position_ret);

#endif
