// SPDX-License-Identifier: Apache-2.0
//
// What the supervisor does for real in a target's place: creating, removing, renaming, opening,
// binding. A target that has restricted itself by landlock(7) is not to gain by that.
#ifndef FSC_LANDLOCK_H
#define FSC_LANDLOCK_H

#include <sys/syscall.h>

struct request;

// Makes a system call in the target's place. Returns its value or -errno.
long act(const struct request *request, long number, long a, long b, long c, long d, long e);

// Runs a function so; it returns a value or -errno.
typedef long act_function(void *context);
long act_run(const struct request *request, act_function *function, void *context);

#define ACT_2(request, call, a, b) act(request, SYS_##call, (long)(a), (long)(b), 0, 0, 0)
#define ACT_3(request, call, a, b, c)                                                             \
	act(request, SYS_##call, (long)(a), (long)(b), (long)(c), 0, 0)
#define ACT_4(request, call, a, b, c, d)                                                          \
	act(request, SYS_##call, (long)(a), (long)(b), (long)(c), (long)(d), 0)
#define ACT_5(request, call, a, b, c, d, e)                                                       \
	act(request, SYS_##call, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

#endif
