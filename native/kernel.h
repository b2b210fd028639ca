// SPDX-License-Identifier: Apache-2.0
//
// Kernel interfaces that the oldest supported headers (Linux 6.1, Debian 12)
// lack. Whether the running kernel has them is found by trying.
#ifndef FSC_KERNEL_H
#define FSC_KERNEL_H

#include <linux/magic.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP // Linux 6.6
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV // Linux 5.19
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#ifndef MFD_NOEXEC_SEAL // Linux 6.3
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#ifndef PIDFD_THREAD // Linux 6.9: O_EXCL
#define PIDFD_THREAD 0200
#endif

#ifndef SYS_close_range // Linux 5.9
#define SYS_close_range 436
#endif

// AUDIT_ARCH_* of <linux/audit.h>, which goes together with few others.
#define FSC_ARCH_X86_64 0xC000003EU
#define FSC_ARCH_I386 0x40000003U
#define FSC_X32_SYSCALL_BIT 0x40000000

#endif
