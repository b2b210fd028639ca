// SPDX-License-Identifier: Apache-2.0
//
// Whether handling a request waits for nobody: for the case that every thread waits already.
#ifndef FSC_AT_ONCE_H
#define FSC_AT_ONCE_H

#include <stdbool.h>

struct request;

// True where the request touches no file, or one to which only file systems of the kernel's own
// lead, along names that the kernel has at hand. Waits for nobody itself. A server among the
// targets is answered by that, whoever waits for what it serves. Linux 5.12
bool at_once(const struct request *request);

#endif
