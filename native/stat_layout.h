// SPDX-License-Identifier: Apache-2.0
//
// The layouts in which the stat calls of each ABI hand out attributes.
#ifndef FSC_STAT_LAYOUT_H
#define FSC_STAT_LAYOUT_H

#include <linux/stat.h>

#define STAT_LAYOUT_MAX 256

// Encodes attributes as the variant (VARIANT_STAT...) wants them. Returns the
// size in bytes, or -EOVERFLOW where a value does not fit, by the rules of
// fs/stat.c and arch/x86/kernel/sys_ia32.c.
int stat_layout_encode(int variant, const struct statx *attributes,
		       unsigned char bytes_ret[static STAT_LAYOUT_MAX]);

#endif
