// SPDX-License-Identifier: Apache-2.0
#include "proc_text.h"

#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

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

bool proc_text_same_link(pid_t tid, const char *link)
{
	char its_name[32], own_name[32];
	struct stat its, own;
	snprintf(its_name, sizeof(its_name), "/proc/%d/%s", tid, link);
	snprintf(own_name, sizeof(own_name), "/proc/self/%s", link);
	return stat(its_name, &its) == 0 && stat(own_name, &own) == 0 &&
	       its.st_ino == own.st_ino && its.st_dev == own.st_dev;
}
