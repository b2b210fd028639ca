// SPDX-License-Identifier: Apache-2.0
//
// What a program's file does to the credentials of who executes it.
#ifndef FSC_EXEC_CREDENTIALS_H
#define FSC_EXEC_CREDENTIALS_H

#include "request.h"

#include <linux/stat.h>

// Whether any execution now could: somebody has left root, or some file is remembered.
bool exec_may_change_credentials(const struct request *request);

// real: attributes of the program or, for a script, of its interpreter, whose bits count.
// Returns 0, or a negative errno that the call must fail with.
int exec_change_credentials(struct request *request, const struct statx *real);

#endif
