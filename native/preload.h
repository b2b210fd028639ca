// SPDX-License-Identifier: Apache-2.0
//
// Which object a program's loader is told to preload (ld.so(8), LD_PRELOAD).
//
// What cannot be preloaded makes a loader complain on standard error, or a sanitizer
// end the program. So the value is made to fit each program as it is executed, in
// place: the path of the shim for x86-64, that of the shim for i386, of the same
// length, or as many colons, which every loader skips. They are what static programs have,
// too, and a loader that is asked for a program's libraries (ldd(1)): who lists them, or
// copies them into a product, does not mean ours.
#ifndef FSC_PRELOAD_H
#define FSC_PRELOAD_H

#include "executable.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PRELOAD_PROGRAMS 256 // remembered

struct request;
struct statx;

enum preload_form {
	PRELOAD_X86_64,
	PRELOAD_I386,
	PRELOAD_NOTHING,
	PRELOAD_FORMS,
};

// A program whose kind is known, by its identity and last change.
struct preload_program {
	uint64_t dev, ino;
	int64_t ctime_sec;
	uint32_t ctime_nsec;
	enum executable_kind kind;
};

struct preload {
	size_t length; // of each form; 0: nothing is preloaded in this session
	char form[PRELOAD_FORMS][PATH_MAX];
	bool has_i386;
	// The shim for x86-64, to be recognised from inside another root.
	dev_t dev;
	ino_t ino;
	atomic_bool changed; // some environment has another form than it started with
	pthread_mutex_t lock;
	struct preload_program programs[PRELOAD_PROGRAMS];
};

// path: of the shim for x86-64, "...64.so"; that for i386 lies beside it. NULL for
// none.
void preload_init(struct preload *preload, const char *path);

// Looks a program up, by attributes (STATX_INO, STATX_CTIME) that were read before
// its file was. Returns whether it is known.
bool preload_recall(struct preload *preload, const struct statx *real,
		    enum executable_kind *kind_ret);
void preload_remember(struct preload *preload, const struct statx *real,
		      enum executable_kind kind);

// Gives LD_PRELOAD in a request's environment, if it has the shim, the form that the program
// can take. What cannot be read or written stays as it is.
void preload_change(const struct request *request, uint64_t environment, enum preload_form form);

#endif
