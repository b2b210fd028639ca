// SPDX-License-Identifier: Apache-2.0
//
// Attributes that the shim has read for a call that it leaves to the supervisor: in
// shared memory that both write, so that the supervisor need neither read the
// target's path nor look it up, which costs a third of a chown(2).
//
// The call carries the number of the place in its sixth register, which the call does
// not have, mixed with the pass: see looks_number(). On x86-64 only: the 32 bits of an
// i386 register could be somebody else's by chance.
#ifndef FSC_LOOKS_H
#define FSC_LOOKS_H

#include <linux/stat.h>
#include <stdatomic.h>
#include <stdint.h>

#define LOOKS 128
#define LOOKS_BYTES (LOOKS * sizeof(struct look_place))

struct look_place {
	// By the thread that fills it, until its call returns. One that is killed
	// meanwhile leaves it taken: when all are, calls are made without.
	_Atomic uint32_t taken;
	uint32_t unused[15];
	struct statx attributes; // RULES_CHANGE_ATTRIBUTES
};

// The sixth register of a call with this second argument and these attributes, and
// back: 1 to LOOKS, anything else for a call without.
static inline uint64_t looks_number(uint64_t pass, uint64_t second, uint64_t number)
{
	return pass ^ second ^ number;
}

#endif
