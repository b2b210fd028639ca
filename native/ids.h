// SPDX-License-Identifier: Apache-2.0
//
// Ids as the ABI of a call has them.
#ifndef FSC_IDS_H
#define FSC_IDS_H

#include "answer.h"
#include "request.h"

#define IDS_OVERFLOW 65534u // overflowuid, proc_sys_kernel(5)

// What a call with 16-bit ids makes of one that does not fit: high2lowuid(),
// <linux/highuid.h>.
static inline uint32_t ids_shown(const struct request *request, uint32_t id)
{
	return request->row->variant == VARIANT_IDS16 && id > UINT16_MAX ? IDS_OVERFLOW : id;
}

#endif
