// SPDX-License-Identifier: Apache-2.0
//
// The promises of native/pending.h, tried by threads that stand for the programs of a
// session, the supervisor and those who look: a change that was made is seen by everyone
// from then on, whole, and is never undone by an older one. Prints what failed; returns 1
// when anything did.
//
//     cc -O2 -pthread -I native tests/native/pending_stress.c native/{pending,inode_table}.c
#include "pending.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	PROGRAMS = 3,
	LOOKERS = 2,
	FILES = 3000, // of each program: all together do not fit
	DEV = 0x801,
	TABLE_BYTES = 8 << 20,
#ifdef __SANITIZE_THREAD__
	CHANGES = 40000,
#else
	CHANGES = 400000,
#endif
};

static struct pending_changes pending;
static struct inode_table table;
static pthread_mutex_t supervisor = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint32_t made[PROGRAMS * FILES]; // the last change that has returned
static _Atomic int failures, programs_left = PROGRAMS;
static _Atomic unsigned long published, refused;

#define CHECK(condition, ...)                                                                     \
	do {                                                                                      \
		if (!(condition) && atomic_fetch_add(&failures, 1) < 20) {                        \
			fprintf(stderr, "FAILED line %d: %s: ", __LINE__, #condition);            \
			fprintf(stderr, __VA_ARGS__);                                             \
			fprintf(stderr, "\n");                                                    \
		}                                                                                 \
	} while (0)

static struct inode_record make_change(uint32_t file, uint32_t generation)
{
	return (struct inode_record){
		.identity = {DEV, file + 1, file * 3, file},
		.fields = INODE_UID | INODE_GID | INODE_MODE | INODE_TYPE,
		.uid = generation,
		.gid = ~generation,
		.mode = (generation & 07777) | 020000,
		.rdev = generation * 7,
	};
}

// As metadata_settle(); supervisor is held.
static void settle(void)
{
	struct inode_record change, record;
	struct pending_place *place;
	uint32_t cursor = 0;
	while ((place = pending_next(&pending, &cursor, &change))) {
		bool known = inode_table_find(&table, DEV, change.identity.ino, &record) ==
			     INODE_FOUND;
		CHECK(pending_merge(&change, &record, known), "another file");
		CHECK(inode_table_put(&table, &record) == 0, "full");
		pending_empty(&pending, place);
	}
}

static void change_file(uint32_t file, uint32_t generation)
{
	struct inode_record change = make_change(file, generation);
	if (pending_publish(&pending, &change)) {
		atomic_fetch_add(&published, 1);
	} else {
		atomic_fetch_add(&refused, 1);
		pthread_mutex_lock(&supervisor);
		settle();
		CHECK(inode_table_put(&table, &change) == 0, "full");
		pthread_mutex_unlock(&supervisor);
	}
	atomic_store(&made[file], generation);
}

// As the shim's session_find(). Its fallback is the supervisor.
static bool look(uint32_t file, struct inode_record *record_ret)
{
	for (int i = 0; i < 8; i++) {
		struct pending_view view;
		if (!pending_look(&pending, DEV, file + 1, &view))
			continue;
		enum inode_lookup found = inode_table_find(&table, DEV, file + 1, record_ret);
		if (found == INODE_BUSY || !pending_unchanged(&view))
			continue;
		if (!view.found)
			return found == INODE_FOUND;
		CHECK(pending_merge(&view.change, record_ret, found == INODE_FOUND), "another");
		return true;
	}
	pthread_mutex_lock(&supervisor);
	settle();
	bool found = inode_table_find(&table, DEV, file + 1, record_ret) == INODE_FOUND;
	pthread_mutex_unlock(&supervisor);
	return found;
}

static void check_file(uint32_t file)
{
	struct inode_record record;
	uint32_t least = atomic_load(&made[file]);
	if (!look(file, &record)) {
		CHECK(least == 0, "file %u is lost", file);
		return;
	}
	struct inode_record whole = make_change(file, record.uid);
	CHECK(record.uid >= least, "file %u: %u, not %u", file, record.uid, least);
	CHECK(record.gid == whole.gid && record.mode == whole.mode && record.rdev == whole.rdev &&
		      record.identity.btime_sec == whole.identity.btime_sec,
	      "file %u is torn", file);
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static void *run_program(void *argument)
{
	uint32_t first = (uint32_t)(uintptr_t)argument * FILES, generation = 0;
	uint64_t random = first;
	for (int i = 0; i < CHANGES; i++) {
		uint32_t file = first + next_random(&random) % FILES;
		change_file(file, ++generation);
		check_file(i % 2 ? file : first + next_random(&random) % FILES);
	}
	atomic_fetch_sub(&programs_left, 1);
	return NULL;
}

static void *run_looker(void *argument)
{
	uint64_t random = (uintptr_t)argument + 99;
	while (atomic_load(&programs_left) > 0)
		check_file(next_random(&random) % (PROGRAMS * FILES));
	return NULL;
}

static void *run_supervisor(void *unused)
{
	(void)unused;
	while (atomic_load(&programs_left) > 0) {
		pthread_mutex_lock(&supervisor);
		settle();
		pthread_mutex_unlock(&supervisor);
	}
	return NULL;
}

// A thread that died while it filled a place has done nothing, and harms no other file.
static void check_dead_places(void)
{
	struct inode_record change = make_change(0, 1), found;
	struct pending_view view;
	uint32_t cursor = 0;
	CHECK(pending_publish(&pending, &change), "the place is taken");
	CHECK(!pending_publish(&pending, &change), "the place is not taken");
	CHECK(pending_look(&pending, DEV, 1, &view) && view.found, "not seen");
	struct pending_place *place = pending_next(&pending, &cursor, &found);
	CHECK(place && found.uid == 1 && found.identity.ino == 1, "not visited");
	pending_empty(&pending, place);
	CHECK(!pending_unchanged(&view), "settled, and not to be told");
	cursor = 0;
	CHECK(!pending_next(&pending, &cursor, &found), "still there");

	uint32_t free = atomic_load(&place->state);
	atomic_store(&place->state, free + 1);
	CHECK(!pending_publish(&pending, &change), "two fill one place");
	CHECK(pending_look(&pending, DEV, 1, &view) && !view.found, "half a change is seen");
	atomic_store(&place->state, free);
}

int main(void)
{
	pthread_t threads[PROGRAMS + LOOKERS + 1];
	void *region = aligned_alloc(64, TABLE_BYTES);
	if (!region)
		return 1;
	for (size_t i = 0; i < TABLE_BYTES; i++)
		((char *)region)[i] = 0;
	if (inode_table_format(&table, region, TABLE_BYTES) != 0)
		return 1;
	check_dead_places();
	int count = 0;
	for (uintptr_t i = 0; i < PROGRAMS; i++)
		pthread_create(&threads[count++], NULL, run_program, (void *)i);
	for (uintptr_t i = 0; i < LOOKERS; i++)
		pthread_create(&threads[count++], NULL, run_looker, (void *)i);
	pthread_create(&threads[count++], NULL, run_supervisor, NULL);
	while (count > 0)
		pthread_join(threads[--count], NULL);
	for (uint32_t file = 0; file < PROGRAMS * FILES; file++)
		check_file(file);
	settle();
	CHECK(atomic_load(&published) > 0 && atomic_load(&refused) > 0, "%lu published, %lu refused",
	      atomic_load(&published), atomic_load(&refused));
	printf("%lu published, %lu refused\n", atomic_load(&published), atomic_load(&refused));
	free(region);
	return atomic_load(&failures) > 0;
}
