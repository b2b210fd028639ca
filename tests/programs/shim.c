// SPDX-License-Identifier: Apache-2.0
//
// What the shim promises to the program that it lives in: shim PROMISE ARGUMENT...
// Exits 0 where the promise is kept, 1 with a line that says what was not, 77 with
// a line that says what the machine lacks.
#include <errno.h>
#include <fcntl.h>
#if defined(__GLIBC__) && defined(__x86_64__)
#include <fts.h>
#endif
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_MOST 60
#define OWNER 5 // of files that are recorded, by those who start us

#define FAIL(...) (printf(__VA_ARGS__), printf("\n"), fflush(stdout), _exit(1))
#define LACKS(...) (printf(__VA_ARGS__), printf("\n"), fflush(stdout), _exit(77))
#define EXPECT(condition)                                                                         \
	do                                                                                        \
		if (!(condition))                                                                 \
			FAIL("line %d: %s (errno %d)", __LINE__, #condition, errno);              \
	while (0)

static unsigned owner_of(const char *path)
{
	struct stat st;
	EXPECT(lstat(path, &st) == 0);
	return st.st_uid;
}

static int maps_have(const char *what)
{
	char line[1024];
	int found = 0;
	FILE *maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof(line), maps))
		found |= strstr(line, what) != NULL;
	if (maps)
		fclose(maps);
	return found;
}

static int is_shimmed(void)
{
	return maps_have("fakeroot_sc/shim") && maps_have("fakeroot-sc inode table");
}

// shimmed | bare
static void shimmed(void)
{
	EXPECT(is_shimmed());
}

static void bare(void)
{
	EXPECT(!maps_have("fakeroot_sc/shim"));
	EXPECT(getuid() == 0 && owner_of(".") == 0);
}

static pid_t supervisor, front;

static pid_t parent_of(pid_t pid)
{
	char name[32], line[128];
	pid_t parent = 0;
	snprintf(name, sizeof(name), "/proc/%d/status", pid);
	FILE *status = fopen(name, "re");
	EXPECT(status);
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "PPid: %d", &parent) == 1)
			break;
	fclose(status);
	return parent;
}

// The front process first: it would stop and continue as the supervisor does.
static void stop_supervisor(void)
{
	supervisor = getppid();
	front = parent_of(supervisor);
	EXPECT(kill(front, SIGSTOP) == 0 && kill(supervisor, SIGSTOP) == 0);
}

static void continue_supervisor(void)
{
	kill(supervisor, SIGCONT);
	kill(front, SIGCONT);
}

static void give_up(int number)
{
	static const char text[] = "a call waited for the supervisor\n";
	(void)number;
	continue_supervisor();
	_exit(write(1, text, sizeof(text) - 1) > 0 ? 1 : 2);
}

// alone PLAIN RECORDED: looks are answered while the supervisor stands still.
static void alone(char **argv)
{
	struct stat st;
	int fd = open(argv[0], O_RDONLY);
	EXPECT(is_shimmed() && fd >= 0);
	signal(SIGALRM, give_up);
	alarm(10); // an unanswered call would wait for ever
	stop_supervisor();
	int plain = owner_of(argv[0]), recorded = owner_of(argv[1]);
	int by_fd = fstat(fd, &st);
	int by_at = fstatat(AT_FDCWD, argv[1], &st, AT_SYMLINK_NOFOLLOW);
	unsigned at_uid = st.st_uid;
	int ids = getuid() || geteuid() || getgid() || getegid();
	int may = access(argv[0], R_OK | W_OK);
	int to_write = open(argv[0], O_WRONLY), to_both = open(argv[0], O_RDWR | O_APPEND);
	int renamed = rename(argv[0], "renamed");
	int unlinked = unlink("renamed");
	continue_supervisor();
	EXPECT(plain == 0 && recorded == OWNER && by_fd == 0 && by_at == 0 && at_uid == OWNER);
	EXPECT(ids == 0 && may == 0 && renamed == 0 && unlinked == 0);
	EXPECT(to_write >= 0 && to_both >= 0);
	EXPECT(access("renamed", F_OK) < 0 && errno == ENOENT);
}

#if defined(__GLIBC__) && defined(__x86_64__)
static int sum_of_owners(char *directory)
{
	char *roots[] = {directory, NULL};
	int sum = 0;
	FTS *walk = fts_open(roots, FTS_PHYSICAL, NULL);
	for (FTSENT *entry; walk && (entry = fts_read(walk));)
		sum += entry->fts_info == FTS_DP ? 0 : (int)entry->fts_statp->st_uid;
	return walk && fts_close(walk) == 0 ? sum : -1;
}

// walk DIRECTORY: the same for fts(3). It has two recorded files, one of them a device.
static void walks(char **argv)
{
	struct stat st;
	EXPECT(is_shimmed());
	signal(SIGALRM, give_up);
	alarm(10);
	// A program that looks at files asks once for what others have changed.
	EXPECT(lstat(argv[0], &st) == 0);
	stop_supervisor();
	int sum = sum_of_owners(argv[0]);
	continue_supervisor();
	EXPECT(sum == 2 * OWNER);
}
#endif

// errno PATH
static void keeps_errno(char **argv)
{
	struct stat st;
	errno = 77;
	EXPECT(lstat(argv[0], &st) == 0 && access(argv[0], R_OK) == 0 && getuid() == 0);
	EXPECT(chmod(argv[0], 0600) == 0 && unlink(argv[0]) == 0);
	EXPECT(errno == 77);
	EXPECT(lstat(argv[0], &st) == -1 && errno == ENOENT);
	EXPECT(fstat(-1, &st) == -1 && errno == EBADF);
	EXPECT(stat((char *)8, &st) == -1 && errno == EFAULT);
	EXPECT(fstatat(AT_FDCWD, (char *)8, &st, 0) == -1 && errno == EFAULT);
#ifdef __GLIBC__ // musl reads the path by itself
	EXPECT(fstatat(3, (char *)8, &st, AT_EMPTY_PATH) == -1 && errno == EFAULT);
#endif
	EXPECT(unlink((char *)8) == -1 && errno == EFAULT);
}

#ifdef __x86_64__
// What a program does that knows nothing of the sixth register: it is left alone.
static long raw_stat(const char *path, struct stat *st, unsigned long sixth)
{
	long result;
	register unsigned long r9 __asm__("r9") = sixth;
	register long r10 __asm__("r10") = AT_SYMLINK_NOFOLLOW;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(SYS_newfstatat), "D"(AT_FDCWD), "S"(path), "d"(st), "r"(r10), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

// cleared PATH: the pass does not stay behind for the next raw call.
static void cleared(char **argv)
{
	struct stat st, raw;
	for (int i = 0; i < 1000; i++) {
		unsigned long left;
		EXPECT(lstat(argv[0], &st) == 0);
		__asm__ volatile("movq %%r9, %0" : "=r"(left));
		EXPECT(raw_stat(argv[0], &raw, left) == 0);
		EXPECT(raw.st_uid == 0 && st.st_uid == 0);
	}
}

static volatile sig_atomic_t handled, leaked;
static const char *handler_path;

static void look_in_handler(int number)
{
	struct stat raw, st;
	unsigned long found;
	__asm__ volatile("movq %%r9, %0" : "=r"(found));
	(void)number;
	int saved = errno;
	leaked |= raw_stat(handler_path, &raw, found) != 0 || raw.st_uid != 0;
	leaked |= lstat(handler_path, &st) != 0 || st.st_uid != 0;
	handled++;
	errno = saved;
}

// handler PATH: nor is there one for a handler that interrupts the shim.
static void handler(char **argv)
{
	struct itimerval often = {{0, 100}, {0, 100}}, never = {0};
	struct sigaction action = {.sa_handler = look_in_handler, .sa_flags = SA_RESTART};
	handler_path = strdup(argv[0]);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 1000000 && handled < 2000; i++)
		EXPECT(owner_of(argv[0]) == 0);
	setitimer(ITIMER_REAL, &never, NULL);
	EXPECT(handled > 100 && !leaked);
}
#endif

// vfork PATH RECORDED
static void after_vfork(char **argv)
{
	for (int i = 0; i < 50; i++) {
		pid_t child = vfork();
		if (child == 0) {
			struct stat st;
			int good = getuid() == 0 && lstat(argv[1], &st) == 0 &&
				   st.st_uid == OWNER && access(argv[0], R_OK) == 0;
			_exit(good ? 0 : 9);
		}
		int status;
		EXPECT(waitpid(child, &status, 0) == child && status == 0);
		EXPECT(owner_of(argv[1]) == OWNER);
	}
}

static char **thread_argv;
static pthread_barrier_t all_there;

static void *look_in_thread(void *argument)
{
	struct stat st;
	(void)argument;
	pthread_barrier_wait(&all_there);
	int good = lstat(thread_argv[0], &st) == 0 && st.st_uid == 0 &&
		   lstat(thread_argv[1], &st) == 0 && st.st_uid == OWNER && getuid() == 0;
	return good ? argument : NULL;
}

// threads COUNT PATH RECORDED: all alive at once.
static void threads(char **argv)
{
	int count = atoi(argv[0]), made = 0;
	pthread_t *ids = calloc((size_t)count, sizeof(*ids));
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	thread_argv = argv + 1;
	pthread_barrier_init(&all_there, NULL, (unsigned)count + 1);
	while (made < count && pthread_create(&ids[made], &attributes, look_in_thread, ids) == 0)
		made++;
	if (made < count)
		LACKS("only %d threads are allowed", made);
	pthread_barrier_wait(&all_there);
	for (int i = 0; i < count; i++) {
		void *good;
		EXPECT(pthread_join(ids[i], &good) == 0 && good);
	}
}

#define CHANGERS 200
#define CHANGES 50

static void *change_in_thread(void *argument)
{
	char name[32];
	unsigned number = (unsigned)(size_t)argument;
	struct stat st;
	snprintf(name, sizeof(name), "own%u", number);
	int fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	pthread_barrier_wait(&all_there);
	for (unsigned i = 1; i <= CHANGES; i++) {
		int done = i % 3 == 0   ? fchown(fd, number, i)
			   : i % 3 == 1 ? chown(name, number, i)
					: fchownat(AT_FDCWD, name, number, i, 0);
		if (done != 0 || lstat(name, &st) != 0 || st.st_uid != number || st.st_gid != i)
			return argument;
	}
	return close(fd) == 0 ? NULL : argument;
}

// owners: more threads than there are places for looks change owners at once, each
// those of its own file.
static void owners(char **argv)
{
	pthread_t ids[CHANGERS];
	pthread_attr_t attributes;
	(void)argv;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	pthread_barrier_init(&all_there, NULL, CHANGERS);
	for (size_t i = 0; i < CHANGERS; i++)
		EXPECT(pthread_create(&ids[i], &attributes, change_in_thread, (void *)(i + 1)) == 0);
	for (size_t i = 0; i < CHANGERS; i++) {
		void *wrong;
		EXPECT(pthread_join(ids[i], &wrong) == 0 && !wrong);
	}
}

static size_t mapped_bytes(void)
{
	char line[1024];
	size_t most = 0;
	FILE *maps = fopen("/proc/self/maps", "re");
	EXPECT(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long long start, end;
		if (strstr(line, "fakeroot-sc inode table") &&
		    sscanf(line, "%llx-%llx", &start, &end) == 2 && end - start > most)
			most = (size_t)(end - start);
	}
	fclose(maps);
	return most;
}

// grow COUNT LIMIT: more records than the first mapping has room for. LIMIT: whether
// there is no address space for more.
static void grow(char **argv)
{
	int count = atoi(argv[0]), limited = atoi(argv[1]);
	char name[32];
	size_t before = mapped_bytes();
	struct rlimit limit;
	EXPECT(is_shimmed());
	getrlimit(RLIMIT_AS, &limit);
	if (limited) {
		// Already more than this is in use: nothing further can be mapped.
		limit.rlim_cur = 1 << 20;
		EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
	}
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		EXPECT(fd >= 0 && fchown(fd, OWNER, i) == 0 && close(fd) == 0);
	}
	for (int i = 0; i < count; i++) {
		struct stat st;
		snprintf(name, sizeof(name), "f%d", i);
		EXPECT(lstat(name, &st) == 0);
		EXPECT(st.st_uid == OWNER && st.st_gid == (unsigned)i);
	}
	if (limited) {
		limit.rlim_cur = limit.rlim_max;
		EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
		EXPECT(mapped_bytes() == before);
	} else {
		EXPECT(mapped_bytes() > before);
	}
}

static void kill_calls(const int *numbers, int count)
{
	struct sock_filter program[40];
	int size = 0;
	program[size++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						       offsetof(struct seccomp_data, nr));
	for (int i = 0; i < count; i++) {
		program[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							       (unsigned)numbers[i], 0, 1);
		program[size++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	}
	program[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = {.len = (unsigned short)size, .filter = program};
	EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 39)
#define LIBC_CALLS_FCHMODAT2
#endif
#endif

// What libc's stat(), unlink(), access() and fchmodat() never call here.
static const int unusual[] = {SYS_mremap, SYS_getgroups, SYS_readlinkat, SYS_rt_sigreturn,
#ifndef LIBC_CALLS_FCHMODAT2
			      452,
#endif
#ifdef __x86_64__
			      SYS_statx,
#endif
};

static void look_and_change(char **argv)
{
	struct stat st;
	EXPECT(owner_of(argv[0]) == 0 && owner_of(argv[1]) == OWNER);
	EXPECT(stat(argv[1], &st) == 0 && st.st_uid == OWNER && getuid() == 0);
	EXPECT(access(argv[1], R_OK) == 0);
	EXPECT(fchmodat(AT_FDCWD, argv[1], 0640, AT_SYMLINK_NOFOLLOW) == 0);
	EXPECT(stat(argv[1], &st) == 0 && (st.st_mode & 07777) == 0640);
	EXPECT(rename(argv[0], "renamed") == 0 && unlink("renamed") == 0);
	EXPECT(unlink(argv[1]) == 0);
}

// sandbox PATH RECORDED: a program with a filter of its own.
static void sandbox(char **argv)
{
	EXPECT(is_shimmed());
	kill_calls(unusual, sizeof(unusual) / sizeof(*unusual));
	look_and_change(argv);
}

// Runs a call in a child that may make that one and end, and nothing else.
#define ALONE_ALLOWED(number, call)                                                               \
	do {                                                                                      \
		pid_t child = fork();                                                             \
		int status;                                                                       \
		if (child == 0) {                                                                 \
			allow_only(number);                                                       \
			_exit(!(call));                                                           \
		}                                                                                 \
		EXPECT(waitpid(child, &status, 0) == child);                                      \
		if (status != 0)                                                                  \
			FAIL("%s: status %x", #call, status);                                     \
	} while (0)

static void allow_only(int number)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(program) / sizeof(*program), program};
	EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

// one-call PATH RECORDED: a filter that lets one of libc's calls through.
static void one_call(char **argv)
{
	EXPECT(is_shimmed() && chmod(argv[1], 0755) == 0 && link(argv[1], "linked") == 0);
	ALONE_ALLOWED(SYS_access, access(argv[1], X_OK) == 0);
#ifdef __GLIBC__
#if !__GLIBC_PREREQ(2, 39)
	ALONE_ALLOWED(SYS_access, eaccess(argv[1], X_OK) == 0);
#endif
	struct statx attributes;
	ALONE_ALLOWED(SYS_statx, statx(AT_FDCWD, argv[1], 0, STATX_UID, &attributes) == 0 &&
					 attributes.stx_uid == OWNER);
#endif
	ALONE_ALLOWED(SYS_unlink, unlink("linked") == 0);
	ALONE_ALLOWED(SYS_rename, rename(argv[0], argv[1]) == 0);
}

// sandboxed COMMAND...: one that is started behind such a filter.
static void sandboxed(char **argv)
{
	kill_calls(unusual, sizeof(unusual) / sizeof(*unusual));
	execv(argv[0], argv);
	FAIL("execv: errno %d", errno);
}

// beside PATH RECORDED: a filter of another process concerns nobody else.
static void beside(char **argv)
{
	pid_t child = fork();
	if (child == 0) {
		kill_calls(unusual, sizeof(unusual) / sizeof(*unusual));
		_exit(0);
	}
	EXPECT(waitpid(child, NULL, 0) == child);
	// Finds out that there is none here.
	EXPECT(owner_of(argv[1]) == OWNER && unlink("missing") < 0);
	alone(argv);
}

static void *filter_thread(void *argument)
{
	kill_calls(unusual, sizeof(unusual) / sizeof(*unusual));
	pthread_barrier_wait(&all_there);
	pthread_barrier_wait(&all_there);
	look_and_change(argument);
	return NULL;
}

// thread-sandbox PATH RECORDED: a filter of one thread, while another looks too.
static void thread_sandbox(char **argv)
{
	pthread_t thread;
	pthread_barrier_init(&all_there, NULL, 2);
	EXPECT(pthread_create(&thread, NULL, filter_thread, argv) == 0);
	pthread_barrier_wait(&all_there);
	EXPECT(owner_of(argv[1]) == OWNER);
	pthread_barrier_wait(&all_there);
	EXPECT(pthread_join(thread, NULL) == 0);
}

static void ignore_signal(int number)
{
	(void)number;
}

// One signal, at some moment of the call that follows. A timer that goes on would leave a
// program no time where each signal stops it for longer (ptrace).
static void interrupt_soon(int i)
{
	struct itimerval once = {.it_value = {0, 1 + i % 100}};
	setitimer(ITIMER_REAL, &once, NULL);
}

// interrupted PATH: changes never fail for a signal.
static void interrupted(char **argv)
{
	struct itimerval never = {0};
	struct sigaction action = {.sa_handler = ignore_signal}; // without SA_RESTART
	sigaction(SIGALRM, &action, NULL);
	for (int i = 0; i < 10000; i++) {
		interrupt_soon(i);
		EXPECT(chown(argv[0], OWNER, (gid_t)i) == 0);
		interrupt_soon(i + 30);
		EXPECT(chmod(argv[0], 0640 + (i & 7)) == 0);
		interrupt_soon(i + 60);
		EXPECT(owner_of(argv[0]) == OWNER && getuid() == 0);
	}
	setitimer(ITIMER_REAL, &never, NULL);
}

// with-odd-environment COMMAND...: LD_PRELOAD twice, with the shim twice in one of them,
// behind a string that ends with its page.
static void with_odd_environment(char **argv)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char once[4096], twice[8192];
	char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);
	EXPECT(pages != MAP_FAILED && munmap(pages + page, page) == 0);
	char *last = strcpy(pages + page - sizeof("A=1"), "A=1");
	snprintf(once, sizeof(once), "LD_PRELOAD=%s", getenv("LD_PRELOAD"));
	snprintf(twice, sizeof(twice), "%s:%s", once, getenv("LD_PRELOAD"));
	char *environment[] = {last, once, twice, NULL};
	execve(argv[0], argv, environment);
	FAIL("execve: errno %d", errno);
}

// execute COMMAND...: by way of vfork, twice, with the environment as it is then.
static void execute(char **argv)
{
	for (int i = 0; i < 2; i++) {
		pid_t child = vfork();
		if (child == 0) {
			execv(argv[0], argv);
			_exit(9);
		}
		int status;
		EXPECT(waitpid(child, &status, 0) == child && status == 0);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int arguments;
		void (*check)(char **);
	} promises[] = {
		{"alone", 2, alone},
#if defined(__GLIBC__) && defined(__x86_64__)
		{"walk", 1, walks},
#endif
		{"errno", 1, keeps_errno},
#ifdef __x86_64__
		{"cleared", 1, cleared},
		{"handler", 1, handler},
#endif
		{"vfork", 2, after_vfork},
		{"threads", 3, threads},
		{"owners", 0, owners},
		{"grow", 2, grow},
		{"sandbox", 2, sandbox},
		{"one-call", 2, one_call},
		{"sandboxed", 1, sandboxed},
		{"beside", 2, beside},
		{"thread-sandbox", 2, thread_sandbox},
		{"interrupted", 1, interrupted},
		{"with-odd-environment", 1, with_odd_environment},
		{"execute", 1, execute},
	};
	alarm(SECONDS_MOST);
	if (argc == 2 && strcmp(argv[1], "shimmed") == 0)
		return shimmed(), 0;
	if (argc == 2 && strcmp(argv[1], "bare") == 0)
		return bare(), 0;
	for (size_t i = 0; i < sizeof(promises) / sizeof(*promises); i++)
		if (argc > 1 + promises[i].arguments && strcmp(argv[1], promises[i].name) == 0)
			return promises[i].check(argv + 2), 0;
	FAIL("no such promise");
}
