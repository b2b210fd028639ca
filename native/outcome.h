// SPDX-License-Identifier: Apache-2.0
//
// What a handler decided. Only answer.c turns an outcome into a kernel answer.
#ifndef FSC_OUTCOME_H
#define FSC_OUTCOME_H

#include <stdint.h>
#include <string.h>

enum outcome_kind {
	OUTCOME_VALUE,      // the call returns value
	OUTCOME_ERRNO,      // the call fails with errno value
	OUTCOME_CONTINUE,   // the kernel executes the call as it stands
	OUTCOME_COPY_OUT,   // data goes to the target, then the call returns value
	OUTCOME_INSTALL_FD, // the target gets a copy of descriptor value, the call returns its number
};

#define OUTCOME_COPIES 3
#define OUTCOME_DATA 256 // sizeof(struct statx), the largest answer

struct outcome_copy {
	uint64_t address; // in the target
	uint32_t offset;  // in data
	uint32_t size;
};

struct outcome {
	enum outcome_kind kind;
	int64_t value;
	unsigned copies;
	struct outcome_copy copy[OUTCOME_COPIES];
	unsigned char data[OUTCOME_DATA];
};

static inline void outcome_value(struct outcome *outcome, int64_t value)
{
	outcome->kind = OUTCOME_VALUE;
	outcome->value = value;
	outcome->copies = 0;
}

// error: 0 for success, or a negative errno, as helpers return it.
static inline void outcome_result(struct outcome *outcome, int error)
{
	outcome->kind = error ? OUTCOME_ERRNO : OUTCOME_VALUE;
	outcome->value = -error;
	outcome->copies = 0;
}

static inline void outcome_continue(struct outcome *outcome)
{
	outcome->kind = OUTCOME_CONTINUE;
	outcome->value = 0;
	outcome->copies = 0;
}

// Adds bytes to copy out; the caller stays within OUTCOME_COPIES and OUTCOME_DATA.
static inline void outcome_copy_out(struct outcome *outcome, uint64_t address, const void *bytes,
				    uint16_t size)
{
	if (outcome->kind != OUTCOME_COPY_OUT) {
		outcome_value(outcome, 0);
		outcome->kind = OUTCOME_COPY_OUT;
	}
	uint32_t offset = 0;
	if (outcome->copies > 0) {
		const struct outcome_copy *last = &outcome->copy[outcome->copies - 1];
		offset = last->offset + last->size;
	}
	outcome->copy[outcome->copies++] =
		(struct outcome_copy){.address = address, .offset = offset, .size = size};
	memcpy(outcome->data + offset, bytes, size);
}

#endif
