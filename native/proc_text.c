// SPDX-License-Identifier: Apache-2.0
#include "proc_text.h"

#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int proc_text_read(int directory, const char *name, const struct proc_field *fields)
{
	char line[128];
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	FILE *text = fd < 0 ? NULL : fdopen(fd, "r");
	if (!text) {
		int error = -errno;
		scope_close(&fd);
		return error;
	}
	while (fgets(line, sizeof(line), text))
		for (const struct proc_field *field = fields; field->format; field++)
			sscanf(line, field->format, field->value);
	fclose(text);
	return 0;
}
