// SPDX-License-Identifier: Apache-2.0
//
// file_server DIRECTORY CLIENTS ROUNDS: serves an empty file system on DIRECTORY by /dev/fuse,
// to CLIENTS processes that change files there which do not exist, ROUNDS times each. Before it
// answers, the server itself changes owners of a file of its own, by a system call. Prints "done";
// ends with 77 where it may not mount.
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void answer(int fd, uint64_t unique, int error, const void *bytes, size_t size)
{
	char message[512];
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof(header) + size), .error = error, .unique = unique};
	memcpy(message, &header, sizeof(header));
	if (size)
		memcpy(message + sizeof(header), bytes, size);
	if (write(fd, message, header.len) < 0 && errno != ENOENT)
		perror("file_server: answer");
}

static void serve_one(int fd, const struct fuse_in_header *in)
{
	const struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096, .max_readahead = 4096};
	struct fuse_attr_out root = {
		.attr = {.ino = 1, .mode = S_IFDIR | 0777, .nlink = 2, .blksize = 4096}};
	switch (in->opcode) {
	case FUSE_INIT:
		answer(fd, in->unique, 0, &init, sizeof(init));
		return;
	case FUSE_GETATTR:
		answer(fd, in->unique, 0, &root, sizeof(root));
		return;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	default:
		answer(fd, in->unique, in->opcode == FUSE_LOOKUP ? -ENOENT : -ENOSYS, NULL, 0);
	}
}

static void serve(int fd)
{
	static char request[FUSE_MIN_READ_BUFFER * 2];
	struct stat st;
	for (unsigned id = 0;; id = (id + 1) % 1000) {
		ssize_t size = read(fd, request, sizeof(request));
		if (size < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (size <= 0)
			_exit(0); // unmounted
		if (syscall(SYS_chown, "own", id, id) < 0 || syscall(SYS_mkdir, "made", 0) < 0 ||
		    syscall(SYS_rename, "made", "moved") < 0 || syscall(SYS_rmdir, "moved") < 0 ||
		    syscall(SYS_stat, "own", &st) < 0) {
			perror("file_server: its own file");
			_exit(1);
		}
		serve_one(fd, (const struct fuse_in_header *)request);
	}
}

static int change(const char *directory, int client, int rounds)
{
	char name[4096];
	for (int round = 0; round < rounds; round++) {
		snprintf(name, sizeof(name), "%s/%d-%d", directory, client, round);
		if (syscall(SYS_chown, name, 1, 2) == 0 || errno != ENOENT)
			return 1;
		if (syscall(SYS_chmod, name, 0) == 0 || errno != ENOENT)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	char options[128];
	int status, wrong = 0;
	if (argc < 4)
		return 2;
	int clients = atoi(argv[2]), rounds = atoi(argv[3]);
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
	if (fd < 0 || mount("none", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
		perror("file_server: mount");
		return 77;
	}
	close(open("own", O_CREAT | O_RDWR, 0600));
	pid_t server = fork();
	if (server == 0)
		serve(fd);
	close(fd);
	for (int i = 0; i < clients; i++)
		if (fork() == 0)
			_exit(change(argv[1], i, rounds));
	for (int i = 0; i < clients; i++) {
		pid_t ended = wait(&status);
		wrong |= ended == server || status != 0;
	}
	umount2(argv[1], MNT_DETACH);
	puts(wrong ? "wrong" : "done");
	return wrong;
}
