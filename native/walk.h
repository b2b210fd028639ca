// SPDX-License-Identifier: Apache-2.0
//
// path_resolution(7) step by step, from a target's own root.
#ifndef FSC_WALK_H
#define FSC_WALK_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct walk {
	pid_t tid;        // whose root, working directory and /proc/self count
	int base;         // the target's descriptor a relative path starts from, or AT_FDCWD;
	int start;        // or the supervisor's, unless it is -1
	const char *path; // not empty, shorter than PATH_MAX
	bool follow;      // whether a symbolic link at the end is followed
	bool confined;    // links of other processes are followed as far as tid may (namespace.h)
};

// Returns an O_PATH descriptor, or -errno as open(2) names it.
int walk_open(const struct walk *walk);

// Whether whoever lives by the kernel's rules may follow a symbolic link in this directory: where
// the system protects links (last: it is the path's last component), and its mount has any.
// Returns 0 or -errno.
int walk_may_follow(int directory, const struct stat *link, bool last);

#endif
