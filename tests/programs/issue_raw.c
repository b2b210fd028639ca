// SPDX-License-Identifier: Apache-2.0
#include "issue.h"

#include <unistd.h>

long issue(long number, const unsigned long arguments[ARGUMENTS])
{
	return syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
		       arguments[5]);
}
