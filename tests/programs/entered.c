// SPDX-License-Identifier: Apache-2.0
//
// entered: calls each function that the shim stands in front of, once, and says which of them
// counts.c did not count once, or where it has counted something else, or what is wrong with
// the result. In a directory of its own, with a file "recorded" of owner 5.
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <fts.h>
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

static int (*counted)(const char *);
static void *libc;
static int failures;

static void *find(const char *name)
{
	counted("all");
	return dlsym(libc, name) ? dlsym(RTLD_DEFAULT, name) : NULL;
}

static void check(const char *name, int right)
{
	int once = counted(name), others = counted("all");
	if (once == 1 && others == 0 && right)
		return;
	printf("%s: entered %d times, others %d times, result %s (%d)\n", name, once, others,
	       right ? "right" : "wrong", errno);
	failures++;
}

// Calls a function of this type, if there is one, with these arguments.
#define CALL(name, type, arguments, right)                                                        \
	do {                                                                                      \
		type = find(#name);                                                               \
		if (f) {                                                                          \
			long r = (long)f arguments;                                               \
			int is_right = (right);                                                   \
			(void)r;                                                                  \
			check(#name, is_right);                                                   \
		}                                                                                 \
	} while (0)

#define OWNER(buffer) (r == 0 && (buffer).st_uid == 5 && (buffer).st_gid == 6)

// What the kernel writes of a struct statx: its fifth word is the owner.
struct words {
	uint32_t word[64];
};

static int is_owned(const char *path, unsigned uid)
{
	struct words x;
	const unsigned mask = 8; // STATX_UID
	return syscall(SYS_statx, AT_FDCWD, path, 0, mask, &x) == 0 && x.word[5] == uid;
}

static void attributes(void)
{
	struct stat s;
	struct stat64 l;
	struct words x;
	int fd = open("recorded", O_RDONLY);
	CALL(stat, int (*f)(const char *, struct stat *), ("recorded", &s), OWNER(s));
	CALL(lstat, int (*f)(const char *, struct stat *), ("recorded", &s), OWNER(s));
	CALL(fstat, int (*f)(int, struct stat *), (fd, &s), OWNER(s));
	CALL(fstatat, int (*f)(int, const char *, struct stat *, int), (AT_FDCWD, "recorded", &s, 0),
	     OWNER(s));
	CALL(stat64, int (*f)(const char *, struct stat64 *), ("recorded", &l), OWNER(l));
	CALL(lstat64, int (*f)(const char *, struct stat64 *), ("recorded", &l), OWNER(l));
	CALL(fstat64, int (*f)(int, struct stat64 *), (fd, &l), OWNER(l));
	CALL(fstatat64, int (*f)(int, const char *, struct stat64 *, int),
	     (AT_FDCWD, "recorded", &l, 0), OWNER(l));
	CALL(statx, int (*f)(int, const char *, int, unsigned, struct words *),
	     (AT_FDCWD, "recorded", 0, 8, &x), r == 0 && x.word[5] == 5);
#ifdef __x86_64__
	const int version = 1;
#else
	const int version = 3;
#endif
	CALL(__xstat, int (*f)(int, const char *, struct stat *), (version, "recorded", &s), OWNER(s));
	CALL(__lxstat, int (*f)(int, const char *, struct stat *), (version, "recorded", &s),
	     OWNER(s));
	CALL(__fxstat, int (*f)(int, int, struct stat *), (version, fd, &s), OWNER(s));
	CALL(__fxstatat, int (*f)(int, int, const char *, struct stat *, int),
	     (version, AT_FDCWD, "recorded", &s, 0), OWNER(s));
	CALL(__xstat64, int (*f)(int, const char *, struct stat64 *), (version, "recorded", &l),
	     OWNER(l));
	CALL(__lxstat64, int (*f)(int, const char *, struct stat64 *), (version, "recorded", &l),
	     OWNER(l));
	CALL(__fxstat64, int (*f)(int, int, struct stat64 *), (version, fd, &l), OWNER(l));
	CALL(__fxstatat64, int (*f)(int, int, const char *, struct stat64 *, int),
	     (version, AT_FDCWD, "recorded", &l, 0), OWNER(l));
	close(fd);
}

static void owners_and_modes(void)
{
	int fd = open("file", O_CREAT | O_RDWR, 0644);
	CALL(chown, int (*f)(const char *, uid_t, gid_t), ("file", 7, 1), is_owned("file", 7));
	CALL(lchown, int (*f)(const char *, uid_t, gid_t), ("file", 8, 1), is_owned("file", 8));
	CALL(fchown, int (*f)(int, uid_t, gid_t), (fd, 9, 1), is_owned("file", 9));
	CALL(fchownat, int (*f)(int, const char *, uid_t, gid_t, int), (AT_FDCWD, "file", 10, 1, 0),
	     is_owned("file", 10));
	CALL(chmod, int (*f)(const char *, mode_t), ("file", 04755), r == 0);
	CALL(fchmod, int (*f)(int, mode_t), (fd, 0644), r == 0);
	CALL(fchmodat, int (*f)(int, const char *, mode_t, int), (AT_FDCWD, "file", 0600, 0), r == 0);
	CALL(access, int (*f)(const char *, int), ("file", R_OK), r == 0);
	CALL(eaccess, int (*f)(const char *, int), ("file", R_OK), r == 0);
	CALL(euidaccess, int (*f)(const char *, int), ("file", R_OK), r == 0);
	CALL(faccessat, int (*f)(int, const char *, int, int), (AT_FDCWD, "file", R_OK, 0), r == 0);
	CALL(futimens, int (*f)(int, const struct timespec *), (fd, NULL), r == 0);
	CALL(utimensat, int (*f)(int, const char *, const struct timespec *, int),
	     (AT_FDCWD, "file", NULL, 0), r == 0);
	CALL(truncate, int (*f)(const char *, off_t), ("file", 0), r == 0);
	CALL(truncate64, int (*f)(const char *, off64_t), ("file", 0), r == 0);
	close(fd);
}

static void ids(void)
{
	uid_t a, b, c;
	CALL(getuid, uid_t (*f)(void), (), r == 0);
	CALL(geteuid, uid_t (*f)(void), (), r == 0);
	CALL(getgid, uid_t (*f)(void), (), r == 0);
	CALL(getegid, uid_t (*f)(void), (), r == 0);
	CALL(getresuid, int (*f)(uid_t *, uid_t *, uid_t *), (&a, &b, &c), r == 0 && a + b + c == 0);
	CALL(getresgid, int (*f)(uid_t *, uid_t *, uid_t *), (&a, &b, &c), r == 0 && a + b + c == 0);
	CALL(getgroups, int (*f)(int, gid_t *), (0, NULL), r >= 0);
}

static int opened(long fd)
{
	return fd > 2 && close((int)fd) == 0;
}

static void openings(void)
{
	char t[20];
#define TEMPLATE strcpy(t, "t.XXXXXX")
	CALL(open, int (*f)(const char *, int, ...), ("file", O_RDONLY), opened(r));
	CALL(open64, int (*f)(const char *, int, ...), ("file", O_RDWR | O_CREAT, 0600), opened(r));
	CALL(openat, int (*f)(int, const char *, int, ...), (AT_FDCWD, "file", O_RDONLY), opened(r));
	CALL(openat64, int (*f)(int, const char *, int, ...), (AT_FDCWD, "file", O_RDONLY), opened(r));
	CALL(creat, int (*f)(const char *, mode_t), ("file", 0600), opened(r));
	CALL(creat64, int (*f)(const char *, mode_t), ("file", 0600), opened(r));
	CALL(__open_2, int (*f)(const char *, int), ("file", O_RDONLY), opened(r));
	CALL(__open64_2, int (*f)(const char *, int), ("file", O_RDONLY), opened(r));
	CALL(__openat_2, int (*f)(int, const char *, int), (AT_FDCWD, "file", O_RDONLY), opened(r));
	CALL(__openat64_2, int (*f)(int, const char *, int), (AT_FDCWD, "file", O_RDONLY), opened(r));
	CALL(fopen, FILE *(*f)(const char *, const char *), ("file", "r"),
	     r && fclose((FILE *)r) == 0);
	CALL(fopen64, FILE *(*f)(const char *, const char *), ("file", "w"),
	     r && fclose((FILE *)r) == 0);
	CALL(opendir, DIR *(*f)(const char *), ("."), r && closedir((DIR *)r) == 0);
	CALL(mkstemp, int (*f)(char *), (TEMPLATE), opened(r));
	CALL(mkstemp64, int (*f)(char *), (TEMPLATE), opened(r));
	CALL(mkostemp, int (*f)(char *, int), (TEMPLATE, 0), opened(r));
	CALL(mkostemp64, int (*f)(char *, int), (TEMPLATE, 0), opened(r));
	CALL(mkstemps, int (*f)(char *, int), (TEMPLATE, 0), opened(r));
	CALL(mkstemps64, int (*f)(char *, int), (TEMPLATE, 0), opened(r));
	CALL(mkostemps, int (*f)(char *, int, int), (TEMPLATE, 0, 0), opened(r));
	CALL(mkostemps64, int (*f)(char *, int, int), (TEMPLATE, 0, 0), opened(r));
	CALL(mkdtemp, char *(*f)(char *), (TEMPLATE), r != 0);
}

static void entries(void)
{
	const dev_t null = makedev(1, 3);
	CALL(mkdir, int (*f)(const char *, mode_t), ("d1", 0700), r == 0);
	CALL(mkdirat, int (*f)(int, const char *, mode_t), (AT_FDCWD, "d2", 0700), r == 0);
	CALL(symlink, int (*f)(const char *, const char *), ("file", "s1"), r == 0);
	CALL(symlinkat, int (*f)(const char *, int, const char *), ("file", AT_FDCWD, "s2"), r == 0);
	CALL(link, int (*f)(const char *, const char *), ("file", "l1"), r == 0);
	CALL(linkat, int (*f)(int, const char *, int, const char *, int),
	     (AT_FDCWD, "file", AT_FDCWD, "l2", 0), r == 0);
	CALL(mknod, int (*f)(const char *, mode_t, dev_t), ("n1", S_IFCHR | 0600, null), r == 0);
	CALL(mknodat, int (*f)(int, const char *, mode_t, dev_t),
	     (AT_FDCWD, "n2", S_IFCHR | 0600, null), r == 0);
#ifdef __x86_64__
	const int version = 0;
#else
	const int version = 1;
#endif
	CALL(__xmknod, int (*f)(int, const char *, mode_t, const dev_t *),
	     (version, "n3", S_IFCHR | 0600, &null), r == 0);
	CALL(__xmknodat, int (*f)(int, int, const char *, mode_t, const dev_t *),
	     (version, AT_FDCWD, "n4", S_IFCHR | 0600, &null), r == 0);
	CALL(rename, int (*f)(const char *, const char *), ("l1", "r1"), r == 0);
	CALL(renameat, int (*f)(int, const char *, int, const char *),
	     (AT_FDCWD, "l2", AT_FDCWD, "r2"), r == 0);
	CALL(renameat2, int (*f)(int, const char *, int, const char *, unsigned),
	     (AT_FDCWD, "s1", AT_FDCWD, "r3", 0), r == 0);
	CALL(unlink, int (*f)(const char *), ("s2"), r == 0);
	CALL(unlinkat, int (*f)(int, const char *, int), (AT_FDCWD, "r2", 0), r == 0);
	CALL(remove, int (*f)(const char *), ("d2"), r == 0);
	CALL(rmdir, int (*f)(const char *), ("d1"), r == 0);
	CALL(chdir, int (*f)(const char *), ("."), r == 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CALL(bind, int (*f)(int, const void *, unsigned), (fd, &address, sizeof(address)), r == 0);
	close(fd);
}

static void attributes_by_name(void)
{
	const char *name = "trusted.entered";
	char value[64];
	int fd = open("file", O_RDONLY);
	CALL(setxattr, int (*f)(const char *, const char *, const void *, size_t, int),
	     ("file", name, "a", 1, 0), r == 0);
	CALL(lsetxattr, int (*f)(const char *, const char *, const void *, size_t, int),
	     ("file", name, "ab", 2, 0), r == 0);
	CALL(fsetxattr, int (*f)(int, const char *, const void *, size_t, int),
	     (fd, name, "abc", 3, 0), r == 0);
	CALL(getxattr, ssize_t (*f)(const char *, const char *, void *, size_t),
	     ("file", name, value, sizeof(value)), r == 3);
	CALL(lgetxattr, ssize_t (*f)(const char *, const char *, void *, size_t),
	     ("file", name, value, sizeof(value)), r == 3);
	CALL(fgetxattr, ssize_t (*f)(int, const char *, void *, size_t),
	     (fd, name, value, sizeof(value)), r == 3);
	CALL(listxattr, ssize_t (*f)(const char *, char *, size_t), ("file", value, sizeof(value)),
	     r >= 16);
	CALL(llistxattr, ssize_t (*f)(const char *, char *, size_t), ("file", value, sizeof(value)),
	     r >= 16);
	CALL(flistxattr, ssize_t (*f)(int, char *, size_t), (fd, value, sizeof(value)), r >= 16);
	close(fd);
}

#ifdef __GLIBC__
static void walks(void)
{
	char here[] = "recorded", *paths[] = {here, NULL};
	FTS *walk = NULL;
	FTSENT *entry = NULL;
	CALL(fts_open, FTS *(*f)(char *const *, int, int (*)(const FTSENT **, const FTSENT **)),
	     (paths, FTS_PHYSICAL, NULL), (walk = (FTS *)r) != NULL);
	if (!walk)
		return;
	CALL(fts_children, FTSENT *(*f)(FTS *, int), (walk, 0), r != 0);
	CALL(fts_read, FTSENT *(*f)(FTS *), (walk), (entry = (FTSENT *)r) &&
	     entry->fts_statp->st_uid == 5);
	CALL(fts_set, int (*f)(FTS *, FTSENT *, int), (walk, entry, FTS_SKIP), r == 0);
	CALL(fts_close, int (*f)(FTS *), (walk), r == 0);
}
#endif

int main(void)
{
	counted = dlsym(RTLD_DEFAULT, "counted");
#ifdef __GLIBC__
	libc = dlopen("libc.so.6", RTLD_LAZY);
#else
	libc = dlopen("libc.so", RTLD_LAZY);
#endif
	if (!counted || !libc)
		return 3;
	attributes();
	owners_and_modes();
	ids();
	openings();
	entries();
	attributes_by_name();
#ifdef __GLIBC__
	walks();
#endif
	fflush(stdout);
	return failures > 0;
}
