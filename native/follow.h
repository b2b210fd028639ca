// SPDX-License-Identifier: Apache-2.0
//
// Following a target by ptrace(2) for a few calls, where a notification alone does not do: from
// the opening of a map of ids (id_map.h) until it has been written.
#ifndef FSC_FOLLOW_H
#define FSC_FOLLOW_H

#include <stdbool.h>
#include <sys/types.h>

struct request;

// Begins to follow the caller, who will stop when its call has been continued. Returns 0 or
// -errno: a sandbox may refuse ptrace(2), and a target has one tracer.
int follow_start(const struct request *request);

// Who waits for children hears of stops first. Whether any target is followed: then it must wait
// for threads, too (__WALL); and whether a status was a followed one's.
bool follow_any(void);
bool follow_hear(pid_t tid, int status);

#endif
