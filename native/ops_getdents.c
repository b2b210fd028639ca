// SPDX-License-Identifier: Apache-2.0
//
// getdents(2): a remembered device lists as the device, not as the regular file
// that stands for it, which find(1), rsync(1) and others believe without a stat.
//
// The kernel lists every directory as long as no device is remembered. After that,
// the supervisor reads the directory in the target's place: through the target's
// own open file, whose position moves along (pidfd_getfd(2), Linux 5.6), or, where
// a container profile forbids that, through one of its own that it gives the target
// in place of the old one, if the directory does have devices.
#include "answer.h"
#include "kernel.h"
#include "metadata.h"
#include "proc_text.h"
#include "request.h"
#include "resolve.h"
#include "scope.h"
#include "target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define LISTING_MOST ((size_t)1 << 16) // bytes read at a time; libc asks for 32 KiB

struct listing {
	int fd;
	unsigned char *bytes;
	size_t low; // bytes mapped there, 0: from the heap
	long size;
	bool shows_devices;
};

// Where an entry keeps what matters, <linux/dirent.h>, fs/readdir.c
struct dirent_layout {
	size_t word; // of the inode number, and of the offset behind it
	size_t name_at;
	bool type_last; // in the entry's last byte, else in front of the name
	long number;    // the call that writes it, of x86-64 or, for short words, i386
};

static const struct dirent_layout *layout_of(int variant)
{
	static const struct dirent_layout dirent64 = {8, 19, false, SYS_getdents64};
	static const struct dirent_layout dirent = {8, 18, true, SYS_getdents};
	static const struct dirent_layout dirent_i386 = {4, 10, true, 141};
	return variant == VARIANT_DIRENT64 ? &dirent64
	       : variant == VARIANT_DIRENT ? &dirent
					   : &dirent_i386;
}

// A file system hands out other offsets to programs of 32 bits, which fit there
// (in_compat_syscall(), fs/ext4/dir.c): only such a call gets them. What it writes to lies
// below 4 GiB.
static long call_as_i386(long number, int fd, void *bytes, size_t size)
{
	long result;
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "0"(number), "b"((long)fd), "c"(bytes), "d"(size)
			 : "memory", "r8", "r9", "r10", "r11");
	if (result < 0) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

static unsigned char *allocate_low(size_t size)
{
	void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	return bytes == MAP_FAILED ? NULL : bytes;
}

// The type to show for an entry that the kernel calls a regular file, or 0. On
// overlayfs a file's device may be another than its directory's.
static unsigned char remembered_type(struct session *session, int directory, uint64_t dev,
				     uint64_t ino, const char *name)
{
	struct statx real;
	struct inode_record record;
	if ((dev != 0 && !metadata_may_know(session, dev, ino)) ||
	    statx(directory, name, AT_SYMLINK_NOFOLLOW, RESOLVE_ATTRIBUTES, &real) < 0 ||
	    !metadata_find(session, &real, &record) || !(record.fields & INODE_TYPE))
		return 0;
	return (unsigned char)IFTODT(record.mode);
}

static void show_types(struct session *session, const struct dirent_layout *layout,
		       struct listing *listing)
{
	struct stat directory;
	struct statfs fs;
	if (fstat(listing->fd, &directory) < 0 || fstatfs(listing->fd, &fs) < 0)
		return;
	uint64_t dev = fs.f_type == OVERLAYFS_SUPER_MAGIC ? 0 : directory.st_dev;
	for (long at = 0; at < listing->size;) {
		unsigned char *entry = listing->bytes + at;
		uint16_t length;
		uint64_t ino = 0;
		memcpy(&length, entry + 2 * layout->word, sizeof(length));
		memcpy(&ino, entry, layout->word);
		unsigned char *type = layout->type_last ? entry + length - 1
							: entry + layout->name_at - 1;
		const char *name = (const char *)entry + layout->name_at;
		if (*type == DT_REG) {
			unsigned char shown =
				remembered_type(session, listing->fd, dev, ino, name);
			if (shown) {
				*type = shown;
				listing->shows_devices = true;
			}
		}
		at += length;
	}
}

static void read_listing(struct request *request, struct listing *listing)
{
	const struct dirent_layout *layout = layout_of(request->row->variant);
	size_t room = (uint32_t)request->args[request->row->size];
	if (room > LISTING_MOST)
		room = LISTING_MOST;
	listing->low = layout->word == 4 ? LISTING_MOST : 0;
	listing->bytes = listing->low ? allocate_low(listing->low) : calloc(1, room ? room : 1);
	if (!listing->bytes)
		listing->size = -1;
	else if (listing->low)
		listing->size = call_as_i386(layout->number, listing->fd, listing->bytes, room);
	else
		listing->size = syscall(layout->number, listing->fd, listing->bytes, room);
	if (listing->size < 0)
		listing->size = -errno;
	else
		show_types(request->session, layout, listing);
}

// Opens the same directory anew, at the same position. Returns a descriptor or
// -errno; *flags_ret: the O_* flags of the target's.
static int open_again(const struct request *request, int number, unsigned *flags_ret)
{
	char name[64];
	long long position = -1;
	const struct proc_field fields[] = {
		{"pos: %lld", &position}, {"flags: %o", flags_ret}, {0}};
	snprintf(name, sizeof(name), "/proc/%d/fdinfo/%d", request->tid, number);
	int error = proc_text_read(AT_FDCWD, name, fields);
	if (error)
		return error;
	snprintf(name, sizeof(name), "/proc/%d/fd/%d", request->tid, number);
	SCOPED_FD fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || position < 0 || *flags_ret & O_PATH || lseek(fd, position, SEEK_SET) < 0)
		return -EBADF;
	return fd_release(&fd);
}

static bool hand_out(const struct request *request, const struct listing *listing)
{
	return target_write(request->tid, request->args[request->row->buffer], listing->bytes,
			    (size_t)listing->size) == 0;
}

// Where anything fails, the position is put back and the kernel does the call: it
// knows the error, and how much to hand out before it.
static void list_shared(struct request *request, struct listing *listing, struct outcome *outcome)
{
	off_t position = lseek(listing->fd, 0, SEEK_CUR);
	read_listing(request, listing);
	if (listing->size >= 0 && notification_valid(request) && hand_out(request, listing))
		outcome_value(outcome, listing->size);
	else if (listing->size > 0)
		lseek(listing->fd, position, SEEK_SET);
}

static void list_anew(struct request *request, struct listing *listing, struct outcome *outcome)
{
	unsigned flags = 0;
	int number = (int)request->args[request->row->fd];
	listing->fd = open_again(request, number, &flags);
	if (listing->fd < 0)
		return;
	read_listing(request, listing);
	if (listing->size > 0 && listing->shows_devices && notification_valid(request) &&
	    hand_out(request, listing) &&
	    answer_replace(request, listing->fd, number, flags & O_CLOEXEC) >= 0)
		outcome_value(outcome, listing->size);
}

static void listing_release(struct listing *listing)
{
	scope_close(&listing->fd);
	if (listing->low && listing->bytes)
		munmap(listing->bytes, listing->low);
	else
		free(listing->bytes);
}

void op_getdents(struct request *request, struct outcome *outcome)
{
	outcome_continue(outcome);
	if (!atomic_load(&request->session->page->shared.type_records))
		return;
	SCOPED(listing_release) struct listing listing = {.fd = -1};
	listing.fd = target_take_descriptor(request->tid, (int)request->args[request->row->fd]);
	if (listing.fd >= 0 && notification_valid(request))
		list_shared(request, &listing, outcome);
	else if (listing.fd < 0 && listing.fd != -EBADF)
		list_anew(request, &listing, outcome);
}
