// SPDX-License-Identifier: Apache-2.0
//
// What a seccomp filter says of a call, where the kernel does not run it.
#ifndef FSC_BPF_H
#define FSC_BPF_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

// Runs a program that the kernel's own check would pass (the build has checked it,
// fakeroot_sc/bpf.py). Returns a SECCOMP_RET_* value, SECCOMP_RET_ALLOW for what no filter
// of ours has.
uint32_t bpf_run(const struct sock_filter *program, size_t count,
		 const struct seccomp_data *data);

#endif
