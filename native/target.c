// SPDX-License-Identifier: Apache-2.0
#include "target.h"

#include "kernel.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

// process_vm_readv(2) is refused by some container profiles (ENOSYS, EPERM)
// that still let /proc/TID/mem be opened. Once refused it is not tried again.
// It is the second choice, though quicker on repeated use: it reads and writes
// what the target itself has protected (FOLL_FORCE), where the kernel's own
// copy_from_user() and copy_to_user() answer EFAULT.
static atomic_bool vm_calls_refused;

#define HEADS_MOST 64
#define HEADS_GAP 512   // between two that are read as one piece
#define HEADS_ROOM 8192 // for all pieces

static ssize_t transfer_mem(pid_t tid, uint64_t address, void *bytes, size_t size, bool write)
{
	char name[40];
	snprintf(name, sizeof(name), "/proc/%d/mem", tid);
	SCOPED_FD fd = open(name, (write ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : errno == EACCES ? -EPERM : -errno;
	ssize_t done = write ? pwrite(fd, bytes, size, (off_t)address)
			     : pread(fd, bytes, size, (off_t)address);
	// mem_rw() answers EIO, or 0 bytes, for what is not mapped.
	if (done < 0)
		return errno == EIO ? -EFAULT : -errno;
	return done;
}

// Moves up to size bytes and returns how many; 0 stands for none mapped.
static ssize_t transfer(pid_t tid, uint64_t address, void *bytes, size_t size, bool write)
{
	if (atomic_load_explicit(&vm_calls_refused, memory_order_relaxed))
		return transfer_mem(tid, address, bytes, size, write);
	struct iovec local = {.iov_base = bytes, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
	ssize_t done = write ? process_vm_writev(tid, &local, 1, &remote, 1, 0)
			     : process_vm_readv(tid, &local, 1, &remote, 1, 0);
	if (done >= 0)
		return done;
	if (errno != ENOSYS && errno != EPERM)
		return -errno;
	int refusal = errno;
	done = transfer_mem(tid, address, bytes, size, write);
	if (done >= 0 && refusal == ENOSYS)
		atomic_store_explicit(&vm_calls_refused, true, memory_order_relaxed);
	return done;
}

int target_read(pid_t tid, uint64_t address, void *bytes, size_t size)
{
	ssize_t done = transfer(tid, address, bytes, size, false);
	if (done < 0)
		return (int)done;
	return (size_t)done == size ? 0 : -EFAULT;
}

int target_write(pid_t tid, uint64_t address, const void *bytes, size_t size)
{
	ssize_t done = transfer(tid, address, (void *)bytes, size, true);
	if (done < 0)
		return (int)done;
	return (size_t)done == size ? 0 : -EFAULT;
}

// Each piece that is asked for costs a look at the target's pages, a byte nearly nothing; and
// strings that were made one after the other lie one behind the other.
static bool read_heads_in_pieces(pid_t tid, const uint64_t *addresses, unsigned count,
				 size_t size, unsigned char *heads)
{
	struct iovec pieces[HEADS_MOST];
	size_t at[HEADS_MOST], total = 0; // where each head is in the bytes
	unsigned char bytes[HEADS_ROOM];
	unsigned piece_count = 0;
	uint64_t end = 0;
	for (unsigned i = 0; i < count; i++) {
		uint64_t address = addresses[i];
		bool apart = i == 0 || address < end || address - end > HEADS_GAP;
		size_t more = apart ? size : (size_t)(address - end) + size;
		if (total + more > sizeof(bytes))
			return false;
		if (apart)
			pieces[piece_count++] =
				(struct iovec){.iov_base = (void *)(uintptr_t)address};
		pieces[piece_count - 1].iov_len += more;
		total += more;
		at[i] = total - size;
		end = address + size;
	}
	struct iovec local = {.iov_base = bytes, .iov_len = total};
	if (process_vm_readv(tid, &local, 1, pieces, piece_count, 0) != (ssize_t)total)
		return false;
	for (unsigned i = 0; i < count; i++)
		memcpy(heads + i * size, bytes + at[i], size);
	return true;
}

void target_read_heads(pid_t tid, const uint64_t *addresses, unsigned count, size_t size,
		       void *heads_ret)
{
	struct iovec remote[HEADS_MOST];
	unsigned char *heads = heads_ret;
	if (count == 0 || read_heads_in_pieces(tid, addresses, count, size, heads))
		return;
	memset(heads, 0, size * count);
	for (unsigned i = 0; i < count; i++)
		remote[i] = (struct iovec){(void *)(uintptr_t)addresses[i], size};
	for (unsigned i = 0; i < count;) {
		struct iovec local = {.iov_base = heads + i * size, .iov_len = size * (count - i)};
		ssize_t done = process_vm_readv(tid, &local, 1, remote + i, count - i, 0);
		if (done < 0 && errno != EFAULT) {
			for (; i < count; i++)
				transfer(tid, addresses[i], heads + i * size, size, false);
			return;
		}
		// It stops at what is not mapped, a short string's end, say: on behind that.
		i += done < 0 ? 1 : (unsigned)((size_t)done / size) + 1;
	}
}

ssize_t target_read_path(pid_t tid, uint64_t address, char path_ret[static 4096])
{
	// One read of at most this much serves nearly every path; the copy of a
	// whole page would cost as much as the call itself.
	const size_t usual = 256;
	size_t length = 0;

	while (length < PATH_MAX) {
		size_t step = 4096 - ((address + length) & 4095);
		if (step > usual)
			step = usual;
		if (step > PATH_MAX - length)
			step = PATH_MAX - length;
		ssize_t done = transfer(tid, address + length, path_ret + length, step, false);
		if (done < 0)
			return done;
		if (done == 0)
			return -EFAULT;
		char *end = memchr(path_ret + length, '\0', (size_t)done);
		if (end)
			return end - path_ret;
		length += (size_t)done;
	}
	return -ENAMETOOLONG;
}

int target_take_descriptor(pid_t tid, int number)
{
	SCOPED_FD process = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	if (process < 0)
		process = (int)syscall(SYS_pidfd_open, tid, 0);
	int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, number, 0);
	return fd < 0 ? -errno : fd;
}
