// SPDX-License-Identifier: Apache-2.0
//
// Target memory: the only file that reads or writes it is target.c.
//
// A task id names the target only while its notification is valid: who acts on
// what was read asks notification_valid() (answer.h) in between.
#ifndef FSC_TARGET_H
#define FSC_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Both return 0, or:
//   -EFAULT  the range, or a part of it, is not mapped (or not writable)
//   -ESRCH   the target has gone
//   -EPERM   the target's memory is closed to us: it is not dumpable, or a
//            security policy forbids it
int target_read(pid_t tid, uint64_t address, void *bytes, size_t size);
int target_write(pid_t tid, uint64_t address, const void *bytes, size_t size);

// Reads the first bytes at each of up to 64 addresses; zeros where they cannot be read.
void target_read_heads(pid_t tid, const uint64_t *addresses, unsigned count, size_t size,
		       void *heads_ret);

// A descriptor of the very open file that the target has (pidfd_getfd(2), Linux 5.6), or -errno:
// container profiles refuse it. Before Linux 6.9 only for a thread that leads its group: others
// may have descriptors of their own (unshare(2), CLONE_FILES).
int target_take_descriptor(pid_t tid, int number);

// Reads a path: up to PATH_MAX bytes with the final NUL, never touching the page
// behind it. Returns its length, -ENAMETOOLONG, or an error of target_read().
ssize_t target_read_path(pid_t tid, uint64_t address, char path_ret[static 4096]);

#endif
