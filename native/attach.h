// SPDX-License-Identifier: Apache-2.0
//
// How a process asks whether it runs under a supervisor: getgroups(2) with
// arguments that are an error to every kernel (EINVAL) and touch no memory
// there. The supervisor answers.
#ifndef FSC_ATTACH_H
#define FSC_ATTACH_H

#include "outcome.h"

#include <stdbool.h>
#include <stdint.h>

#define ATTACH_VERSION 1

#define ATTACH_QUERY (-0x0a3f0001)  // list ignored: answers ATTACH_VERSION
#define ATTACH_MEMORY (-0x0a3f0002) // list: 8 bytes, which come back inverted

struct request;

// Whether the getgroups request is one of these; if so, decides its outcome.
bool attach_request(struct request *request, struct outcome *outcome);

#endif
