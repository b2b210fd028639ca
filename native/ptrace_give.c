// SPDX-License-Identifier: Apache-2.0
//
// The target opens the supervisor's descriptor by its path below /proc. Where it has no
// /proc, or another, and where it must share the open file, it gets the descriptor in a
// message. The calls for that are made in its place, with a page of memory of its own
// for their arguments: what lies below its stack pointer may be in use (Go's stacks).
#include "ptrace_give.h"

#include "descriptor_message.h"
#include "kernel.h"
#include "proc_text.h"
#include "scope.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define PAGE_BYTES 4096

// Where things lie in the page.
#define AT_ADDRESS 0    // a path, or a struct sockaddr_un
#define AT_MESSAGE 256  // struct msghdr
#define AT_VECTOR 384   // struct iovec
#define AT_BYTE 448     // that it points to
#define AT_ANCILLARY 512
#define ANCILLARY_BYTES 64

// <linux/socket.h> as programs of 32 bits have it, compat_msghdr and compat_iovec
struct narrow_message {
	uint32_t name, name_length, vector, vectors, ancillary, ancillary_length, flags;
};

struct giving {
	struct stopped_call *call;
	next_call_stop *next;
	uint64_t page; // in the target, 0: none yet
	int socket;    // of the target, -1: none
};

static int64_t replace(const struct giving *giving, enum replacement what, uint64_t a, uint64_t b,
		       uint64_t c, uint64_t d)
{
	const uint64_t args[6] = {a, b, c, d, UINT64_MAX, 0}; // the fifth is mmap's descriptor
	return stopped_call_replace(giving->call, what, args, giving->next);
}

static int put(const struct giving *giving, size_t at, const void *bytes, size_t size)
{
	return target_write(giving->call->tid, giving->page + at, bytes, size);
}

static bool is_error(int64_t result)
{
	return result < 0 && result >= -4095;
}

static int make_page(struct giving *giving)
{
	int64_t page = replace(giving, REPLACE_MMAP, 0, PAGE_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS);
	if (is_error(page))
		return (int)page;
	giving->page = (uint64_t)page;
	return 0;
}

// Below another /proc another process may have our number, and opening what it has there may
// wait for ever.
static bool has_our_proc(pid_t tid)
{
	char name[32];
	struct stat its, own;
	snprintf(name, sizeof(name), "/proc/%d/root/proc", tid);
	return stat(name, &its) == 0 && stat("/proc", &own) == 0 && its.st_dev == own.st_dev &&
	       its.st_ino == own.st_ino;
}

static int open_in_target(struct stopped_call *call, int fd, uint64_t at, bool close_on_exec,
			  next_call_stop *next)
{
	char path[PTRACE_GIVE_LENT];
	int flags = fcntl(fd, F_GETFL);
	int length = snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	if (flags < 0)
		return -errno;
	if (!has_our_proc(call->tid))
		return -ENOENT;
	int error = target_write(call->tid, at, path, (size_t)length + 1);
	if (error)
		return error;
	flags = (flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_TMPFILE)) | O_NOCTTY |
		(close_on_exec ? O_CLOEXEC : 0);
	const uint64_t args[6] = {(uint64_t)AT_FDCWD, at, (uint64_t)flags};
	return (int)stopped_call_replace(call, REPLACE_OPENAT, args, next);
}

static int give_by_path(const struct giving *giving, int fd, bool close_on_exec)
{
	return open_in_target(giving->call, fd, giving->page + AT_ADDRESS, close_on_exec,
			      giving->next);
}

int ptrace_give_lent(struct stopped_call *call, int fd, uint64_t lent, next_call_stop *next)
{
	return open_in_target(call, fd, lent, true, next);
}

// An abstract name (unix(7)) of the target's socket, which nobody can guess.
static socklen_t draw_name(struct sockaddr_un *name_ret)
{
	uint64_t random[2] = {0};
	*name_ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (getrandom(random, sizeof(random), GRND_NONBLOCK) < 0)
		random[0] = __builtin_ia32_rdtsc();
	int length = snprintf(name_ret->sun_path + 1, sizeof(name_ret->sun_path) - 1,
			      "fakeroot-sc %016llx%016llx", (unsigned long long)random[0],
			      (unsigned long long)random[1]);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

// The target's own socket, for names are of one network namespace. Linux 5.6
static int take_socket(const struct giving *giving)
{
	char name[32];
	int process = -1;
	snprintf(name, sizeof(name), "/proc/%d/status", giving->call->tid);
	proc_text_read(AT_FDCWD, name, (struct proc_field[]){{"Tgid: %d", &process}, {0}});
	SCOPED_FD pidfd = (int)syscall(SYS_pidfd_open, process, 0);
	if (pidfd < 0)
		return -errno;
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, giving->socket, 0);
	return fd < 0 ? -errno : fd;
}

static int send_to(const struct sockaddr_un *name, socklen_t length, int fd, int by)
{
	char byte = 0;
	return descriptor_send(by, name, length, &byte, sizeof(byte), fd, MSG_DONTWAIT);
}

static int send_to_target(const struct giving *giving, const struct sockaddr_un *name,
			  socklen_t length, int fd)
{
	SCOPED_FD own = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	int error = send_to(name, length, fd, own);
	if (error != -ECONNREFUSED)
		return error;
	SCOPED_FD its = take_socket(giving);
	return its < 0 ? its : send_to(name, length, fd, its);
}

// In front of the descriptor: struct cmsghdr, as programs of either width have it.
static size_t header_bytes(const struct giving *giving)
{
	return giving->call->arch == FSC_ARCH_I386 ? 12 : 16;
}

static int put_message(const struct giving *giving)
{
	bool narrow = giving->call->arch == FSC_ARCH_I386;
	uint64_t page = giving->page;
	const uint32_t narrow_vector[2] = {(uint32_t)page + AT_BYTE, 1};
	const struct narrow_message narrow_message = {
		.vector = (uint32_t)page + AT_VECTOR,
		.vectors = 1,
		.ancillary = (uint32_t)page + AT_ANCILLARY,
		.ancillary_length = ANCILLARY_BYTES,
	};
	const uint64_t vector[2] = {page + AT_BYTE, 1};
	const struct msghdr message = {
		.msg_iov = (struct iovec *)(page + AT_VECTOR),
		.msg_iovlen = 1,
		.msg_control = (void *)(page + AT_ANCILLARY),
		.msg_controllen = ANCILLARY_BYTES,
	};
	// Stays there if the target may have no more descriptors: the message arrives without.
	const int none = -EMFILE;
	int error = put(giving, AT_ANCILLARY + header_bytes(giving), &none, sizeof(none));
	if (!error)
		error = narrow ? put(giving, AT_VECTOR, narrow_vector, sizeof(narrow_vector))
			       : put(giving, AT_VECTOR, vector, sizeof(vector));
	if (!error)
		error = narrow ? put(giving, AT_MESSAGE, &narrow_message, sizeof(narrow_message))
			       : put(giving, AT_MESSAGE, &message, sizeof(message));
	return error;
}

static int give_by_message(struct giving *giving, int fd, bool close_on_exec)
{
	struct sockaddr_un name;
	socklen_t length = draw_name(&name);
	int error = put(giving, AT_ADDRESS, &name, sizeof(name));
	if (!error)
		error = put_message(giving);
	if (error)
		return error;
	int64_t result =
		replace(giving, REPLACE_SOCKET, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0);
	if (is_error(result))
		return (int)result;
	giving->socket = (int)result;
	result = replace(giving, REPLACE_BIND, (uint64_t)giving->socket,
			 giving->page + AT_ADDRESS, length, 0);
	if (!is_error(result))
		result = send_to_target(giving, &name, length, fd);
	if (!is_error(result))
		result = replace(giving, REPLACE_RECVMSG, (uint64_t)giving->socket,
				 giving->page + AT_MESSAGE,
				 MSG_DONTWAIT | (close_on_exec ? MSG_CMSG_CLOEXEC : 0), 0);
	if (is_error(result))
		return (int)result;
	int number;
	error = target_read(giving->call->tid, giving->page + AT_ANCILLARY + header_bytes(giving),
			    &number, sizeof(number));
	return error ? error : number;
}

static int move(const struct giving *giving, int given, int number, bool close_on_exec)
{
	int64_t moved = replace(giving, REPLACE_DUP3, (uint64_t)given, (uint64_t)number,
				close_on_exec ? O_CLOEXEC : 0, 0);
	replace(giving, REPLACE_CLOSE, (uint64_t)given, 0, 0, 0);
	return (int)moved;
}

// What open(2) may fail with: no program expects that its own refuses a connection.
static int as_of_open(int error)
{
	switch (error) {
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ESRCH:
		return error;
	default:
		return -EACCES;
	}
}

int ptrace_give(struct stopped_call *call, const struct gift *gift, next_call_stop *next)
{
	struct giving giving = {.call = call, .next = next, .socket = -1};
	int fd = gift->fd, number = gift->number;
	bool close_on_exec = gift->close_on_exec;
	int error = make_page(&giving);
	if (error)
		return as_of_open(error);
	bool by_path = number < 0 && !gift->opening_may_wait;
	int given = by_path ? give_by_path(&giving, fd, close_on_exec) : -ENOENT;
	if (given < 0 && given != -EMFILE && given != -ESRCH)
		given = give_by_message(&giving, fd, close_on_exec);
	// open(2) promises the lowest number that was free: the socket has it.
	bool to_socket = number < 0 && giving.socket >= 0 && giving.socket < given;
	if (given >= 0 && (number >= 0 || to_socket))
		given = move(&giving, given, to_socket ? giving.socket : number, close_on_exec);
	if (giving.socket >= 0 && given != giving.socket)
		replace(&giving, REPLACE_CLOSE, (uint64_t)giving.socket, 0, 0, 0);
	replace(&giving, REPLACE_MUNMAP, giving.page, PAGE_BYTES, 0, 0);
	return given < 0 ? as_of_open(given) : given;
}
