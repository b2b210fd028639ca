// SPDX-License-Identifier: Apache-2.0
//
// What session_run runs: threads and processes that make every native call at
// once, on files of their own and on one that all share, and check what they see.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 4
#define THREADS 4
#define ROUNDS 60

static char directory[] = "/tmp/fakeroot-sc-native.XXXXXX";

#define EXPECT(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition,  \
				errno);                                                            \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static int own_file(unsigned worker, unsigned round)
{
	char name[100], other[100];
	struct stat st;
	unsigned uid = 1000 + worker * 100 + round;
	snprintf(name, sizeof(name), "%s/%u-%u", directory, worker, round);
	snprintf(other, sizeof(other), "%s/%u-other", directory, worker);

	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
	EXPECT(fd >= 0);
	EXPECT(stat(name, &st) == 0 && st.st_uid == 0 && (st.st_mode & 07777) == 0644);
	EXPECT(chown(name, uid, uid + 1) == 0);
	EXPECT(fchmod(fd, 04711) == 0);
	EXPECT(fstat(fd, &st) == 0 && st.st_uid == uid && st.st_gid == uid + 1);
	EXPECT((st.st_mode & 07777) == 04711);
	EXPECT(access(name, R_OK | W_OK | X_OK) == 0);
	EXPECT(fchmod(fd, 0) == 0 && access(name, R_OK | W_OK) == 0);
	EXPECT(access(name, X_OK) == -1 && errno == EACCES && fchmod(fd, 04711) == 0);
	EXPECT(fchownat(AT_FDCWD, name, (uid_t)-1, 7, AT_SYMLINK_NOFOLLOW) == 0);
	EXPECT(lstat(name, &st) == 0 && st.st_gid == 7 && (st.st_mode & 07777) == 0711);
	EXPECT(rename(name, other) == 0);
	EXPECT(stat(other, &st) == 0 && st.st_uid == uid);
	EXPECT(unlink(other) == 0);
	EXPECT(fstat(fd, &st) == 0 && st.st_uid == uid && st.st_nlink == 0);
	return close(fd);
}

static int wrong_calls(void)
{
	struct stat st;
	char *wild = (char *)16;
	char longest[5000];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	EXPECT(syscall(SYS_chown, wild, 1, 1) == -1 && errno == EFAULT);
	EXPECT(syscall(SYS_lstat, "/", wild) == -1 && errno == EFAULT);
	EXPECT(syscall(SYS_chown, "", 1, 1) == -1 && errno == ENOENT);
	EXPECT(syscall(SYS_chmod, longest, 0) == -1 && errno == ENAMETOOLONG);
	EXPECT(syscall(SYS_fchown, 999, 1, 1) == -1 && errno == EBADF);
	EXPECT(syscall(SYS_fchownat, 999, "x", 1, 1, 0) == -1 && errno == EBADF);
	EXPECT(syscall(SYS_newfstatat, AT_FDCWD, "/dev/stdin", &st, 0) == 0);
	EXPECT(syscall(SYS_stat, "/proc/self/exe", &st) == 0 && st.st_uid == 0);
	return 0;
}

// A program that no loader here can take makes the supervisor change LD_PRELOAD, and
// the next one makes it change that back.
static int executions(unsigned worker)
{
	char name[100], *argv[] = {name, NULL};
	Elf64_Ehdr header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64},
			     .e_type = ET_EXEC, .e_machine = EM_AARCH64};
	pid_t child;
	int status;
	snprintf(name, sizeof(name), "%s/foreign-%u", directory, worker);
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);
	EXPECT(fd >= 0 && write(fd, &header, sizeof(header)) == sizeof(header) && close(fd) == 0);
	// Another thread's child may still have the descriptor, until it executes (ETXTBSY).
	int error = ETXTBSY;
	for (int tries = 0; error == ETXTBSY && tries < 10000; tries++)
		error = posix_spawn(&child, name, NULL, NULL, argv, environ);
	EXPECT(error == ENOEXEC);
	EXPECT(posix_spawn(&child, "/missing", NULL, NULL, argv, environ) == ENOENT);
	EXPECT(posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ) == 0);
	EXPECT(waitpid(child, &status, 0) == child && status == 0);
	return unlink(name);
}

static void *work(void *number)
{
	unsigned worker = (unsigned)(size_t)number;
	if (executions(worker))
		return (void *)1;
	for (unsigned round = 0; round < ROUNDS; round++)
		if (own_file(worker, round) || wrong_calls() || getuid() != 0)
			return (void *)1;
	return NULL;
}

static int work_in_threads(unsigned process)
{
	pthread_t threads[THREADS];
	int failed = 0;
	for (unsigned i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, (void *)(size_t)(process * THREADS + i));
	for (unsigned i = 0; i < THREADS; i++) {
		void *result;
		pthread_join(threads[i], &result);
		failed |= result != NULL;
	}
	return failed;
}

int main(void)
{
	if (!mkdtemp(directory))
		return 2;
	for (unsigned process = 0; process < PROCESSES; process++)
		if (fork() == 0)
			_exit(work_in_threads(process));
	int status, failed = 0;
	while (wait(&status) > 0)
		failed |= status != 0;
	return rmdir(directory) != 0 || failed;
}
