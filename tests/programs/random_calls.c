// SPDX-License-Identifier: Apache-2.0
//
// Makes random system calls with random arguments in children, and asks after each child
// whether the supervisor answers on: random_calls SEED COUNT CALL...
//
// A CALL is a number and a letter for each argument: p a path, f a descriptor, b a place for
// data, i anything else; "257:fpii". A fourth of all arguments is of another kind.
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u
#define BATCH 400
#define SECONDS_MOST 3 // that a child may take: it may make a FIFO, and wait in opening it

struct call {
	long number;
	char kinds[7];
};

static uint64_t state;
static char *names, *place; // pages, each with an unmapped one behind
static volatile uint64_t *made;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * UINT64_C(0x2545f4914f6cdd1d);
}

static unsigned below(unsigned count)
{
	return (unsigned)(draw() >> 33) % count;
}

static char *map_page(void)
{
	char *base = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED || mprotect(base, PAGE, PROT_READ | PROT_WRITE) < 0)
		exit(99);
	return base;
}

static unsigned long draw_name(void)
{
	static const char *const some[] = {
		"a", "b", "d", "d/x", "d/y", "e", "l", "ld", "n", "m", "f/..", ".", "..", "d/", "a/x", "",
		"/proc/self/fd/3", "/proc/self/cwd/a", "/dev/fd/4", "user.x", "trusted.x", "user.",
		"security.capability", "system.posix_acl_access", "system.posix_acl_default", "foo.q",
	};
	const char *name = some[below(sizeof(some) / sizeof(*some))];
	char *at = names + PAGE - strlen(name) - 1;
	if (below(8) == 0)
		at = memset(names, 'x', PAGE); // no end
	strcpy(names + PAGE - strlen(name) - 1, name);
	if (below(16) == 0)
		names[PAGE - 1] = 'x';
	return (unsigned long)at;
}

static unsigned long draw_place(void)
{
	switch (below(6)) {
	case 0:
		for (unsigned i = 0; i < 64; i++)
			((uint32_t *)(void *)place)[i] = (uint32_t)draw() >> below(32);
		return (unsigned long)place;
	case 1:
		return (unsigned long)place + PAGE - below(300);
	case 2:
		return (unsigned long)place + below(PAGE);
	case 3:
		return (unsigned long)draw();
	case 4:
		return below(2) ? 0 : (unsigned long)-PAGE + below(PAGE);
	default:
		return (unsigned long)place;
	}
}

static unsigned long draw_number(void)
{
	switch (below(6)) {
	case 0:
		return below(64);
	case 1:
		return 1ul << below(8 * sizeof(long));
	case 2:
		return (unsigned long)-1 - below(3) * (draw() & 1);
	case 3:
		return (unsigned long)draw();
	case 4:
		return below(1 << 16);
	default:
		return (1ul << below(18)) | below(4096);
	}
}

static unsigned long draw_descriptor(void)
{
	switch (below(5)) {
	case 0:
		return (unsigned long)AT_FDCWD;
	case 1:
		return draw_number();
	default:
		return 3 + below(8);
	}
}

static unsigned long draw_argument(char kind)
{
	if (below(4) == 0)
		kind = "pfbi"[below(4)];
	return kind == 'p'   ? draw_name()
	       : kind == 'f' ? draw_descriptor()
	       : kind == 'b' ? draw_place()
			     : draw_number();
}

static void make_batch(const struct call *calls, unsigned count)
{
	for (unsigned i = 0; i < BATCH; i++) {
		const struct call *call = &calls[below(count)];
		unsigned long args[6] = {0};
		for (unsigned k = 0; call->kinds[k]; k++)
			args[k] = draw_argument(call->kinds[k]);
		++*made;
		syscall(call->number, args[0], args[1], args[2], args[3], args[4], args[5]);
	}
	_exit(0);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	return where->level > 0 ? remove(path) & 0 : 0;
}

// The directory as it was: a FIFO that stayed would stop child after child.
static void furnish(void)
{
	nftw(".", remove_one, 16, FTW_DEPTH | FTW_PHYS);
	close(open("a", O_CREAT | O_WRONLY, 0644));
	if (link("a", "b") < 0 && errno != EEXIST)
		exit(98);
	mkdir("d", 0755);
	close(open("d/x", O_CREAT | O_WRONLY, 0755));
	mkdir("e", 0755);
	symlink("a", "l");
	symlink("d", "ld");
}

static int answers(unsigned round)
{
	struct stat st;
	return getuid() == 0 && chown("../kept", 1000 + round % 50000, 7) == 0 &&
	       stat("../kept", &st) == 0 && st.st_uid == 1000 + round % 50000 && st.st_gid == 7;
}

static pid_t start(const struct call *calls, unsigned count)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	const struct itimerval most = {.it_value = {.tv_sec = SECONDS_MOST}};
	setitimer(ITIMER_REAL, &most, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	open("a", O_RDWR);
	open("d", O_RDONLY | O_DIRECTORY);
	open("l", O_PATH | O_NOFOLLOW);
	make_batch(calls, count);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned count = (unsigned)argc - 3, round = 0, stuck = 0;
	struct call *calls = calloc(count, sizeof(*calls));
	uint64_t wanted = strtoull(argv[2], NULL, 0);
	uint64_t seed = strtoull(argv[1], NULL, 0);
	made = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	names = map_page();
	place = map_page();
	for (unsigned i = 0; i < count; i++)
		sscanf(argv[3 + i], "%ld:%6s", &calls[i].number, calls[i].kinds);
	close(open("kept", O_CREAT | O_WRONLY, 0644));
	mkdir("here", 0755);
	if (chdir("here") < 0)
		return 97;
	for (; *made < wanted; round++) {
		furnish();
		state = (seed + round) * UINT64_C(0x9e3779b97f4a7c15) | 1;
		pid_t pid = start(calls, count);
		int status;
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return 96;
		stuck += WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
		if (!answers(round)) {
			printf("no answer after round %u: %s; seed %llu begins there\n", round,
			       strerror(errno), (unsigned long long)(seed + round));
			return 1;
		}
	}
	printf("%llu calls in %u rounds, of which %u waited too long\n", (unsigned long long)*made,
	       round, stuck);
	return 0;
}
