// SPDX-License-Identifier: Apache-2.0
//
// Values in the text files of proc(5) that have one on a line, and where its links lead.
#ifndef FSC_PROC_TEXT_H
#define FSC_PROC_TEXT_H

#include <stdbool.h>
#include <sys/types.h>

struct proc_field {
	const char *format; // of sscanf(3), with one conversion that is stored
	void *value;        // left alone where no line fits
};

// Reads the file, relative to a directory (AT_FDCWD), line by line. fields: up to one
// without a format. Returns 0 or -errno.
int proc_text_read(int directory, const char *name, const struct proc_field *fields);

// Whether a link of the thread's directory below /proc (root, ns/user) leads where the one of
// this process leads. One that cannot be followed does not.
bool proc_text_same_link(pid_t tid, const char *link);

#endif
