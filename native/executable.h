// SPDX-License-Identifier: Apache-2.0
//
// What kind of program a file is, as far as preloading goes (elf(5), execve(2)).
#ifndef FSC_EXECUTABLE_H
#define FSC_EXECUTABLE_H

enum executable_kind {
	EXECUTABLE_UNKNOWN, // not readable, or nothing that the kernel executes by itself
	// Without a loader: LD_PRELOAD means nothing to it. What it hands on is not for the
	// loaders of this machine alone: it may be an emulator.
	EXECUTABLE_STATIC,
	EXECUTABLE_X86_64,
	EXECUTABLE_I386,
	// With a loader that has no use for the shim: of another machine, of
	// a sanitizer whose runtime insists on coming first, of an emulator, which gives
	// its environment to a program of another machine, or who knows which.
	EXECUTABLE_FOREIGN,
	EXECUTABLE_SCRIPT,
};

#define EXECUTABLE_HEAD 256 // of a script the kernel reads this much (BINPRM_BUF_SIZE, Linux 5.1)

struct executable {
	enum executable_kind kind;
	char interpreter[EXECUTABLE_HEAD]; // of a script: the path behind "#!"
};

// Reads it from an open regular file.
void executable_read(int fd, struct executable *executable_ret);

#endif
