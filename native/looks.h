// SPDX-License-Identifier: Apache-2.0
//
// Attributes that the shim has read for a call that it leaves to the supervisor: in
// shared memory that both write, so that the supervisor need neither read the
// target's path nor look it up, which costs a third of a chown(2).
//
// The call carries the number of the place in its sixth register, which the call does
// not have, mixed with the pass: see looks_mix(). On x86-64 only: the 32 bits of an
// i386 register could be somebody else's by chance.
#ifndef FSC_LOOKS_H
#define FSC_LOOKS_H

#include <linux/stat.h>
#include <stdatomic.h>
#include <stdint.h>

#define LOOKS 128

struct look_place {
	// The ticket of the thread that fills it, until its call returns; 0: free. Of a
	// thread that is killed meanwhile it stays: when all are taken, calls are
	// made without. It tells the supervisor, too, whose the attributes are: a
	// call that a signal ends early (before Linux 5.19) gives its place to another.
	_Atomic uint32_t ticket;
	uint32_t unused[15];
	struct statx attributes; // RULES_CHANGE_ATTRIBUTES
};

// The ticket above the number of the place.
static inline uint64_t looks_name(uint32_t index, uint32_t ticket)
{
	return (uint64_t)ticket << 32 | index;
}

// From this to the sixth register of a call with this second argument, and back.
static inline uint64_t looks_mix(uint64_t pass, uint64_t second, uint64_t name)
{
	return pass ^ second ^ name;
}

#endif
