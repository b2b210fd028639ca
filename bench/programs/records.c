// SPDX-License-Identifier: Apache-2.0
//
// records RECORDS DIRECTORY kept|unchecked: has the fake root remember RECORDS owners, LOOKED of them
// for files in DIRECTORY; then answers each line "KIND MILLISECONDS" on standard input
// with the nanoseconds of one lstat(2) of those files (KIND "recorded") or of as many
// that were never changed ("unrecorded"), until the input ends. "kept": the supervisor's memory must show that it has them all.
#include "bench.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOKED 1000
#define OWNER 1000
#define RECORD_BYTES 64 // that a record takes at least in the table

static char names[LOOKED][2][16];

static void create(const char *name, int change)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || (change && fchown(fd, OWNER, OWNER) != 0))
		fail(name);
	close(fd);
}

// A file that has no name, and goes away as it is closed: nobody notices that, so its
// record stays. Every memfd has an inode number of its own.
static void record_nameless(void)
{
	int fd = memfd_create("record", MFD_CLOEXEC);
	if (fd < 0 || fchown(fd, OWNER, OWNER) != 0)
		fail("fchown of a memfd");
	close(fd);
}

// Those that are looked at lie evenly among all.
static void fill(long records)
{
	long every = records / LOOKED;
	for (long i = 0; i < records; i++) {
		if (i % every == 0 && i / every < LOOKED)
			create(names[i / every][1], 1);
		else
			record_nameless();
	}
	for (int i = 0; i < LOOKED; i++)
		create(names[i][0], 0);
}

// Whether the supervisor, which is our parent, has kept them all.
static void check_kept(long records)
{
	char name[40], line[512];
	long kib = 0;
	int inside = 0;
	snprintf(name, sizeof(name), "/proc/%d/smaps", (int)getppid());
	FILE *file = fopen(name, "re");
	if (!file)
		fail(name);
	while (!kib && fgets(line, sizeof(line), file)) {
		if (strstr(line, "inode table"))
			inside = 1;
		else if (inside)
			(void)sscanf(line, "Rss: %ld kB", &kib);
	}
	fclose(file);
	if (kib * 1024 < records * RECORD_BYTES)
		wrong("bytes of the table, at least", records * RECORD_BYTES, kib * 1024);
}

static void answer(int recorded, uint64_t duration)
{
	uint64_t calls = 0, elapsed;
	uint64_t start = now_ns();
	do {
		for (int i = 0; i < LOOKED; i++, calls++) {
			struct stat found;
			if (lstat(names[i][recorded], &found) != 0)
				fail(names[i][recorded]);
			if (found.st_uid != (recorded ? OWNER : 0))
				wrong("owner", recorded ? OWNER : 0, (long)found.st_uid);
		}
		elapsed = now_ns() - start;
	} while (elapsed < duration);
	print_per_call(elapsed, calls);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	long records = argc == 4 ? atol(argv[1]) : 0;
	if (records < LOOKED)
		return 2;
	if (chdir(argv[2]) != 0)
		fail(argv[2]);
	for (int i = 0; i < LOOKED; i++) {
		snprintf(names[i][0], sizeof(names[i][0]), "unrecorded%d", i);
		snprintf(names[i][1], sizeof(names[i][1]), "recorded%d", i);
	}
	fill(records);
	if (strcmp(argv[3], "kept") == 0)
		check_kept(records);

	char line[64], kind[16], duration[16];
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%15s %15s", kind, duration) != 2)
			return 2;
		answer(strcmp(kind, "recorded") == 0, milliseconds(duration));
	}
	return 0;
}
