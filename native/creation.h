// SPDX-License-Identifier: Apache-2.0
//
// Whose a new file is, and what its mode: inode_init_owner(), acl(5), umask(2).
#ifndef FSC_CREATION_H
#define FSC_CREATION_H

#include "request.h"
#include "resolve.h"

#include <stdbool.h>
#include <stdint.h>

// What is to be made, and what is to be remembered of it.
struct creation {
	uint32_t asked;     // type and mode, as the umask leaves it
	uint32_t real_mode; // to make it with: the user stays able to work on it
	uint32_t fields;    // enum inode_field: of what follows
	uint32_t uid, gid;
	uint32_t rdev;
};

// Whether the kernel may make it without us: it will belong to root, show the mode asked
// for, and stay open to the user. directory: that it is made in, -1 if it is not known
// yet; then false may only mean that it must be looked at.
bool creation_is_ordinary(const struct request *request, uint32_t mode, int directory);

// mode: with the S_IFMT bits. Returns 0 or -errno.
int creation_plan(const struct request *request, int directory, uint32_t mode, uint32_t rdev,
		  struct creation *creation_ret);

// The target's umask.
uint32_t creation_umask(const struct request *request);

// Remembers a file that has been made, by any descriptor of it; without a name, until the last
// of them is closed. Returns 0 or -errno.
int creation_remember(struct session *session, int fd, const struct creation *creation);

// The same file has gone.
void creation_forget(struct session *session, int fd);

// Makes the regular file of a plan without a name, remembers it, and only then gives it
// its name: nobody sees it as another's. Returns a descriptor (O_WRONLY), or -errno:
// -EEXIST, and -EOPNOTSUPP or the like where the file system has no O_TMPFILE.
int creation_link_file(const struct request *request, const struct entry *entry,
		       const struct creation *creation);

// Remembers what has just been made under this name. Returns 0 or -errno.
int creation_remember_entry(struct session *session, const struct entry *entry,
			    const struct creation *creation);

#endif
