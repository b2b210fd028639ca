// SPDX-License-Identifier: Apache-2.0
//
// How a process asks whether it runs under a supervisor, and joins it: calls that
// trap anyway, with arguments that are an error to every kernel and touch no memory
// there. The supervisor answers.
#ifndef FSC_ATTACH_H
#define FSC_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#define ATTACH_VERSION 1

// As the size of getgroups(2), else EINVAL.
#define ATTACH_QUERY (-0x0a3f0001)  // list ignored: answers ATTACH_VERSION
#define ATTACH_MEMORY (-0x0a3f0002) // list: 8 bytes, which come back inverted
// The launch's wish under ptrace, list ignored: from now on every call stops its target.
#define ATTACH_EVERY_CALL (-0x0a3f0008)

// As the descriptor of a stat call, else EBADF, with one empty string for both its
// path and its buffer, which checkers of memory (valgrind) want to see. For the shim,
// which may find itself behind a filter of others: a loader has just had to look at
// a descriptor itself, so this call is one that they let through.
#define ATTACH_TABLE (-0x0a3f0003) // installs and returns a descriptor of the records
#define ATTACH_WRITABLE (-0x0a3f0004) // of what targets write; for who has left root, to read

// As the first two arguments of any call that the shim makes in libc's place, else
// EFAULT or EBADF: the address is the kernel's, also to i386. Answers 1 if any thread has
// a filter beside ours, else 0. Such a filter may kill for every other number. As a
// mode it makes access() trap.
#define ATTACH_SANDBOXED (-0x1a3c)

// As the sixth argument of any call that the launch tries (trial.h), before COMMAND is
// executed: answers ATTACH_VERSION. None of these calls has one.
#define ATTACH_TRIAL (-0x1a3d)

// As the flags of faccessat2(2), else EINVAL: asks that the way to the file, and the file,
// be opened to the user (heal.h). Answers 0 if something has changed, else EACCES.
#define ATTACH_HEAL (-0x0a3f0005)
// The same with a descriptor and an empty path: what is remembered of that file, which has
// no name (any more), is to be forgotten.
#define ATTACH_RETIRE (-0x0a3f0006)

struct outcome;
struct request;

// Whether the request, getgroups, a stat call, faccessat2 or any that the shim makes, is one of
// these; if so, decides its outcome.
bool attach_by_getgroups(struct request *request, struct outcome *outcome);
bool attach_by_stat(struct request *request, struct outcome *outcome);
bool attach_by_flags(struct request *request, struct outcome *outcome);
bool attach_by_any(struct request *request, struct outcome *outcome);

// Whether a thread of the target's process has a filter beside ours, as far as can be told.
bool attach_is_sandboxed(const struct request *request);

#endif
