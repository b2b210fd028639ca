// SPDX-License-Identifier: Apache-2.0
//
// A target that means harm to its supervisor, by the memory that they share:
//
//     hostile SECONDS [FILE...]
//
// Takes what it is handed (native/attach.h), opens that once more for writing where it is
// let, and the FILEs, too. Writes into all of it for so long: random words, words from
// other places, numbers that could be indices, changes as the shim publishes them; gives it
// back to the kernel by pieces; and in the end cuts off the files that it was handed, and
// the FILEs. Prints how many bytes it could write to. It has to be static: a shim in it
// would be its first victim.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ATTACH_TABLE (-0x0a3f0003)
#define ATTACH_WRITABLE (-0x0a3f0004)
#define REGIONS 16
#define MOST ((size_t)8 << 20) // of each; what is in use comes first

static struct region {
	volatile uint32_t *words;
	size_t count;
	int fd;
} regions[REGIONS];
static int region_count;
static uint64_t state = 1;

static uint32_t next_random(void)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 32);
}

static void take(int fd)
{
	struct stat st;
	if (fd < 0 || region_count == REGIONS || fstat(fd, &st) < 0 || st.st_size < 4096)
		return;
	size_t size = (size_t)st.st_size < MOST ? (size_t)st.st_size : MOST;
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	regions[region_count] = (struct region){base, size / 4, fd};
	if (base != MAP_FAILED)
		region_count++;
}

static int handed(int what)
{
	char nothing[sizeof(struct stat)] = "";
	return (int)syscall(SYS_fstat, what, nothing);
}

static int reopen(int fd)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return open(name, O_RDWR);
}

static uint32_t word_of(const struct region *region)
{
	switch (next_random() % 4) {
	case 0:
		return next_random();
	case 1:
		return next_random() % 4096;
	case 2:
		return region->words[next_random() % region->count];
	default:
		return 1u << next_random() % 32;
	}
}

// As struct pending_place: a state, and a change.
static void publish(const struct region *region, const struct stat *file)
{
	if (region->count < 1024)
		return;
	volatile uint32_t *place = region->words + next_random() % (region->count - 16) / 16 * 16;
	const uint32_t change[] = {
		next_random() % 64, next_random() % 3000, next_random(),
		(uint32_t)file->st_dev, 0, (uint32_t)file->st_ino, 0,
		next_random(), 0, next_random() % 2000000000,
		next_random() % 0200000, next_random(),
	};
	for (size_t i = 0; i < sizeof(change) / sizeof(*change); i++)
		place[1 + i] = change[i];
	place[0] = next_random() % 8;
}

static void write_for(double seconds)
{
	struct timespec now;
	struct stat file = {0};
	stat(".", &file);
	clock_gettime(CLOCK_MONOTONIC, &now);
	double end = (double)now.tv_sec + (double)now.tv_nsec * 1e-9 + seconds;
	state += (uint64_t)now.tv_nsec;
	do {
		for (int i = 0; i < 20000; i++) {
			const struct region *region = &regions[next_random() % (unsigned)region_count];
			// The first pages say where the rest is.
			size_t room = next_random() % 4 ? region->count : 4096;
			if (room > region->count)
				room = region->count;
			if (next_random() % 16 == 0)
				publish(region, &file);
			else
				region->words[next_random() % room] = word_of(region);
			if (next_random() % 4096 == 0)
				fallocate(region->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					  (off_t)(next_random() % region->count) * 4, 4096);
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)now.tv_sec + (double)now.tv_nsec * 1e-9 < end);
}

int main(int argc, char **argv)
{
	const int given[] = {handed(ATTACH_TABLE), handed(ATTACH_WRITABLE)};
	size_t bytes = 0;
	for (int i = 0; i < 2; i++) {
		take(given[i]);
		take(reopen(given[i]));
	}
	for (int i = 2; i < argc; i++)
		take(open(argv[i], O_RDWR));
	for (int i = 0; i < region_count; i++)
		bytes += regions[i].count * 4;
	printf("%zu\n", bytes);
	fflush(stdout);
	if (region_count > 0)
		write_for(argc > 1 ? atof(argv[1]) : 1);
	for (int i = 0; i < 2; i++) {
		int again = reopen(given[i]);
		ftruncate(given[i], 0);
		ftruncate(again, 0);
		ftruncate(again, (off_t)1 << 33);
	}
	for (int i = 2; i < argc; i++)
		truncate(argv[i], 0);
	return 0;
}
