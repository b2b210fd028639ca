// SPDX-License-Identifier: Apache-2.0
//
// Compiles only if what is written by hand of the kernel's interface is what its headers
// say.
#include "kernel.h"
#include "rules.h"

#include <linux/audit.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define SAME(ours, theirs) _Static_assert((ours) == (theirs), #ours)

SAME(FSC_ARCH_X86_64, AUDIT_ARCH_X86_64);
SAME(FSC_ARCH_I386, AUDIT_ARCH_I386);
SAME(FSC_X32_SYSCALL_BIT, __X32_SYSCALL_BIT);
SAME(RULES_TYPE_MASK, S_IFMT);
SAME(RULES_MODE_MASK, S_ISUID | S_ISGID | S_ISVTX | S_IRWXU | S_IRWXG | S_IRWXO);
