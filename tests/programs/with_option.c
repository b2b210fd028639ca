// SPDX-License-Identifier: Apache-2.0
//
// Becomes COMMAND, with OPTIONS (string literals with commas between) before all other
// arguments and nothing else changed (a shell would drop variables that it has no names
// for, and set others).
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char *arguments[argc + 8];
	char *options[] = {COMMAND, OPTIONS};
	memcpy(arguments, options, sizeof(options));
	memcpy(arguments + sizeof(options) / sizeof(*options), argv + 1,
	       (size_t)argc * sizeof(*argv));
	execv(COMMAND, arguments);
	perror(COMMAND);
	return 125;
}
