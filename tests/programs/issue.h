// SPDX-License-Identifier: Apache-2.0
//
// The two ways in which the probe calls the kernel.
#pragma once

#define ARGUMENTS 6

// Issues a system call of the program's ABI and returns its value, or -1 with errno.
// issue_raw.c: by its number. issue_libc.c: by the C library's function for it, if any.
long issue(long number, const unsigned long arguments[ARGUMENTS]);
