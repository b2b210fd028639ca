// SPDX-License-Identifier: Apache-2.0
//
// A tree as fake root sees it, written as a tar archive: pax interchange (pax(1)), the
// same bytes from the same tree. In C because a user compares it with tar itself.
#ifndef FSC_PACK_H
#define FSC_PACK_H

#include "pack_buffer.h"
#include "session.h"

#include <linux/stat.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack_options {
	int out;
	bool has_epoch;
	int64_t epoch; // no file is younger: seconds since 1970 (SOURCE_DATE_EPOCH)
	bool unknown_is_real;
	const struct file_identity *leave_out; // dev and ino alone
	size_t leave_out_count;
	// Asked now and then, with context: true ends the work with -EINTR.
	bool (*interrupted)(void *context);
	void *context;
};

struct pack_report {
	const char *failed; // what failed, of the path: "read", "list", "write"
	struct buffer path;
	size_t sockets; // left out: tar has none
};

// Writes the tree to options->out. Returns 0, or a negative errno with what failed; -EPIPE
// with "shrink" for a file that became shorter meanwhile. The path is to be released.
int pack_tar(struct session *session, const char *root, const struct pack_options *options,
	     struct pack_report *report_ret);

// ---- between pack.c, which walks, and pack_tar.c, which writes ----

struct pack_entry {
	int directory;     // descriptor; with name: where the file is
	const char *name;
	const char *path;  // in the archive: "./a/b", or "./"
	const char *link;  // the first name of the same file, or NULL
	struct statx shown;
	const struct inode_record *record; // or NULL
	struct statx real;
};

struct pack {
	struct session *session;
	const struct pack_options *options;
	struct pack_report *report;
	struct buffer out, pax, xattrs, text, content;
	uint64_t written;
	unsigned count; // of files
};

int pack_write(struct pack *pack, const void *bytes, size_t size);
int pack_flush(struct pack *pack);
int pack_entry(struct pack *pack, const struct pack_entry *entry);
int pack_end(struct pack *pack);
int pack_failed(struct pack *pack, const char *what, const char *path, int error);

#endif
