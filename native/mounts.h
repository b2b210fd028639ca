// SPDX-License-Identifier: Apache-2.0
//
// Whether looking at a file can take long: what kinds of file system are mounted.
#ifndef FSC_MOUNTS_H
#define FSC_MOUNTS_H

#include <stdbool.h>

// Opens the list of mounts, for mounts_all_local() and for poll(2), which reports
// POLLPRI when it has changed (proc_pid_mountinfo(5)). Returns -errno on failure.
int mounts_open(void);

// Whether every mount is of a kind known to answer from memory or a local disk. A
// kind not known counts as remote, as does a list that cannot be read.
bool mounts_all_local(int mounts);

#endif
