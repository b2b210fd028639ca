// SPDX-License-Identifier: Apache-2.0
//
// The promises of native/inode_table.h, tried hard: against a model, with a writer
// that dies after any of its stores or acts between any two loads of a reader,
// in damaged regions, and by readers beside a writer. Prints what failed;
// returns 1 when anything did.
//
//     cc -O2 -pthread -o table_stress tests/native/table_stress.c && ./table_stress
//
// One translation unit: the table is included, so that its stores and loads pass
// points where a test can step in. (The find times printed suffer by it, slightly.)
#include <setjmp.h>
#include <stdatomic.h>

static void before_store(void);
static void before_load(void);

#pragma push_macro("atomic_store_explicit")
#pragma push_macro("atomic_load_explicit")
#undef atomic_store_explicit
#undef atomic_load_explicit
#define atomic_store_explicit(word, value, order)                                                  \
	(before_store(), __atomic_store_n((uint32_t *)(word), (value), (order)))
#define atomic_load_explicit(word, order)                                                          \
	(before_load(), __atomic_load_n((const uint32_t *)(word), (order)))
#include "../../native/inode_table.c"
#pragma pop_macro("atomic_load_explicit")
#pragma pop_macro("atomic_store_explicit")

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static _Atomic int failures;

#define CHECK(condition, ...)                                                                      \
	do {                                                                                       \
		if (!(condition) && atomic_fetch_add(&failures, 1) < 20) {                         \
			fprintf(stderr, "FAILED %s:%d: %s: ", __func__, __LINE__, #condition);     \
			fprintf(stderr, __VA_ARGS__);                                              \
			fprintf(stderr, "\n");                                                     \
		}                                                                                  \
	} while (0)

// ThreadSanitizer makes everything some thirty times slower.
#ifdef __SANITIZE_THREAD__
enum { WRITES = 25000, MANY_RECORDS = 100000, TRIES = 150000 };
enum { INTERLEAVINGS = 30000, FINDS = 50000 };
#else
enum { WRITES = 300000, MANY_RECORDS = 1000000, TRIES = 400000 };
enum { INTERLEAVINGS = 400000, FINDS = 400000 };
#endif

enum {
	DEV = 0x801,
	OTHER_DEV = 0x802, // nothing is ever put there
};

// Every part of a record follows from its key and generation, so that a
// mixture of two records is seen as one.
static struct inode_record make_record(uint64_t dev, uint64_t ino, uint32_t generation)
{
	uint64_t sum = mix(dev ^ mix(ino + mix(generation)));
	uint32_t uid = (uint32_t)sum;

	return (struct inode_record){
		.identity = {dev, ino, -(int64_t)(sum >> 1), (uint32_t)(sum >> 32)},
		.fields = uid * 3,
		.uid = uid,
		.gid = ~uid,
		.mode = uid ^ generation,
		.rdev = uid + 1,
		.xattrs = generation,
	};
}

static bool is_consistent(const struct inode_record *record, uint64_t dev, uint64_t ino)
{
	struct inode_record whole = make_record(dev, ino, record->xattrs);
	const struct file_identity *a = &whole.identity, *b = &record->identity;

	return a->dev == b->dev && a->ino == b->ino && a->btime_sec == b->btime_sec &&
	       a->btime_nsec == b->btime_nsec && whole.fields == record->fields &&
	       whole.uid == record->uid && whole.gid == record->gid &&
	       whole.mode == record->mode && whole.rdev == record->rdev;
}

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t limit)
{
	random_state += 0x9e3779b97f4a7c15;
	return (uint32_t)(mix(random_state) >> 32) % limit;
}

static struct inode_table make_table(size_t size)
{
	struct inode_table table;
	void *base = aligned_alloc(LINE, size);

	if (!base)
		abort();
	memset(base, 0, size);
	if (inode_table_format(&table, base, size) != 0)
		abort();
	return table;
}

static int put(struct inode_table *table, uint64_t ino, uint32_t generation)
{
	struct inode_record record = make_record(DEV, ino, generation);

	return inode_table_put(table, &record);
}

// The model: the generation of each key's record, 0 for none.

enum { MODEL_KEYS = 700 };

struct model {
	uint32_t generation[MODEL_KEYS];
	size_t count;
};

static void check_key(const struct inode_table *table, uint64_t ino, uint32_t generation)
{
	struct inode_record record;
	enum inode_lookup found = inode_table_find(table, DEV, ino, &record);

	CHECK(found == (generation ? INODE_FOUND : INODE_ABSENT), "ino %d: %d", (int)ino, found);
	if (found == INODE_FOUND) {
		CHECK(record.xattrs == generation, "ino %d", (int)ino);
		CHECK(is_consistent(&record, DEV, ino), "ino %d", (int)ino);
	}
}

static void check_iteration(const struct inode_table *table, const struct model *model)
{
	bool seen[MODEL_KEYS] = {false};
	struct inode_record record;
	uint32_t cursor = 0;
	size_t count = 0;

	while (inode_table_next(table, &cursor, &record)) {
		uint64_t ino = record.identity.ino;

		CHECK(ino < MODEL_KEYS && !seen[ino], "visited twice");
		CHECK(model->generation[ino] == record.xattrs, "visited a removed record");
		CHECK(is_consistent(&record, DEV, ino), "ino %d", (int)ino);
		seen[ino] = true;
		count++;
	}
	CHECK(count == model->count, "visited %zu of %zu", count, model->count);
	CHECK(!inode_table_next(table, &cursor, &record), "goes on after the end");
}

static void check_model(const struct inode_table *table, const struct model *model)
{
	struct inode_record record;

	for (uint64_t ino = 0; ino < MODEL_KEYS; ino++)
		check_key(table, ino, model->generation[ino]);
	CHECK(inode_table_count(table) == model->count, "%zu", inode_table_count(table));
	CHECK(inode_table_find(table, OTHER_DEV, 1, &record) == INODE_ABSENT, "never put");
	check_iteration(table, model);
}

// One random act, on the table and on the model.

struct act {
	uint64_t ino;
	uint32_t generation; // 0: remove
};

static struct act random_act(void)
{
	static uint32_t generation;

	return (struct act){random_below(MODEL_KEYS), random_below(4) ? ++generation : 0};
}

static void act_on_table(struct inode_table *table, struct act act)
{
	if (act.generation)
		put(table, act.ino, act.generation);
	else
		inode_table_remove(table, DEV, act.ino);
}

static void act_on_model(struct model *model, struct act act)
{
	model->count += (act.generation != 0) - (size_t)(model->generation[act.ino] != 0);
	model->generation[act.ino] = act.generation;
}

static void test_agrees_with_the_model(void)
{
	struct inode_table table = make_table(1 << 20);
	struct model model = {0};

	for (int i = 0; i < 5000; i++) {
		struct act act = random_act();

		act_on_table(&table, act);
		act_on_model(&model, act);
		check_key(&table, act.ino, act.generation);
		if (i % 100 == 0)
			check_model(&table, &model);
	}
	check_model(&table, &model);
	free(table.base);
}

static void test_a_visited_record_can_be_removed(void)
{
	struct inode_table table = make_table(1 << 20);
	struct inode_record record;
	uint32_t cursor = 0;
	int visits = 0;

	for (uint64_t ino = 0; ino < MODEL_KEYS; ino++)
		put(&table, ino, 1);
	while (inode_table_next(&table, &cursor, &record)) {
		CHECK(inode_table_remove(&table, DEV, record.identity.ino) == 1, "not removed");
		visits++;
	}
	CHECK(visits == MODEL_KEYS, "%d visits", visits);
	CHECK(inode_table_count(&table) == 0, "records are left");
	free(table.base);
}

// Keys that differ but sort alike, found by trying: 31 bits of hash tell
// records apart, and the birthday paradox gives some pairs among TRIES.
static void test_equal_orders_are_different_records(void)
{
	struct inode_table table = make_table(64 << 20);
	uint64_t pair[2] = {0, 0};
	uint32_t last = 0;
	bool found = false;

	for (uint64_t ino = 0; ino < TRIES; ino++)
		put(&table, ino, 1);
	for (uint32_t link = get(bucket_link(&table, 0)); link != LINK_END && !found;) {
		const struct node *node = line_at(&table, link);

		if (link & LINK_SENTINEL) {
			link = get(bucket_link(&table, link & ~LINK_SENTINEL));
			continue;
		}
		CHECK(get(&node->order) >= last, "the list is not sorted");
		found = get(&node->order) == last;
		last = get(&node->order);
		pair[0] = pair[1];
		pair[1] = get64(&node->ino);
		link = get(&node->next);
	}
	CHECK(found, "no pair among %d", TRIES);
	for (int round = 0; round < 4; round++) {
		uint64_t gone = pair[round % 2], stays = pair[1 - round % 2];

		CHECK(inode_table_remove(&table, DEV, gone) == 1, "not removed");
		check_key(&table, gone, 0);
		check_key(&table, stays, 1);
		put(&table, gone, 1);
		check_key(&table, gone, 1);
		check_key(&table, stays, 1);
	}
	free(table.base);
}

static void test_a_full_table_is_left_unchanged(void)
{
	enum { SIZE = 8192 };
	struct inode_table table = make_table(SIZE);
	struct model model = {0};
	unsigned char before[SIZE];
	uint64_t ino = 0;

	while (put(&table, ino, 1) == 0 && ino < MODEL_KEYS) {
		act_on_model(&model, (struct act){ino, 1});
		ino++;
	}
	CHECK(model.count > 50 && ino < MODEL_KEYS, "%zu records", model.count);
	CHECK(inode_table_used(&table) <= SIZE, "%zu", inode_table_used(&table));
	memcpy(before, table.base, SIZE);
	CHECK(put(&table, ino, 1) == -ENOSPC, "a full table took a record");
	CHECK(memcmp(before, table.base, SIZE) == 0, "changed");
	check_model(&table, &model);

	CHECK(put(&table, 0, 2) == 0, "replacing needs room");
	act_on_model(&model, (struct act){0, 2});
	CHECK(inode_table_remove(&table, DEV, 1) == 1, "not removed");
	act_on_model(&model, (struct act){1, 0});
	CHECK(put(&table, ino, 3) == 0, "removing made no room");
	act_on_model(&model, (struct act){ino, 3});
	CHECK(put(&table, 1, 1) == -ENOSPC, "a full table took a record");
	check_model(&table, &model);
	free(table.base);
}

// In memory of exactly that size, so that AddressSanitizer sees a step beyond.
static void test_beyond_the_mapping_is_busy(void)
{
	struct inode_table table = make_table(1 << 20);
	size_t used;

	for (uint64_t ino = 0; ino < MODEL_KEYS; ino++)
		put(&table, ino, 1);
	used = inode_table_used(&table);
	for (size_t size = LINE * (EMPTY_LINES + 1); size <= used; size += LINE * 16) {
		struct inode_table part;
		unsigned char *base = aligned_alloc(LINE, size);
		int busy = 0;

		memcpy(base, table.base, size);
		CHECK(inode_table_attach(&part, base, size) == 0, "%zu bytes", size);
		for (uint64_t ino = 0; ino < MODEL_KEYS; ino++) {
			struct inode_record record;
			enum inode_lookup found = inode_table_find(&part, DEV, ino, &record);

			CHECK(found != INODE_ABSENT, "ino %d of %zu bytes", (int)ino, size);
			CHECK(found != INODE_FOUND || is_consistent(&record, DEV, ino), "torn");
			busy += found == INODE_BUSY;
		}
		CHECK(busy > 0 || size + 16 * LINE > used, "%zu of %zu bytes", size, used);
		free(base);
	}
	free(table.base);
}

static void test_what_is_no_table_is_refused(void)
{
	enum { SIZE = 8192 };
	struct inode_table table = make_table(SIZE), other;
	uint32_t *words = aligned_alloc(LINE, SIZE);
	const size_t smallest = LINE * (EMPTY_LINES + 1);

	CHECK(inode_table_attach(&other, table.base, SIZE) == 0, "a good one refused");
	CHECK(inode_table_attach(&other, table.base, smallest - 1) == -EINVAL, "short");
	CHECK(inode_table_attach(&other, table.base, 0) == -EINVAL, "empty");
	CHECK(inode_table_attach(&other, NULL, SIZE) == -EINVAL, "null");
	CHECK(inode_table_attach(&other, table.base + 4, SIZE - 4) == -EINVAL, "misaligned");
	CHECK(inode_table_format(&other, table.base + 4, SIZE - 4) == -EINVAL, "misaligned");
	CHECK(inode_table_format(&other, table.base, smallest - 1) == -EINVAL, "short");

	memset(words, 0, SIZE);
	CHECK(inode_table_attach(&other, words, SIZE) == -EINVAL, "zeros");
	for (int i = 0; i < SIZE / 4; i++)
		words[i] = random_below(UINT32_MAX);
	CHECK(inode_table_attach(&other, words, SIZE) == -EINVAL, "garbage");
	// Magic, layout, ready, segment 0.
	for (int i = 0; i < 4; i++) {
		memcpy(words, table.base, SIZE);
		words[i] ^= 0x40000000;
		CHECK(inode_table_attach(&other, words, SIZE) == -EINVAL, "word %d", i);
	}
	free(words);
	free(table.base);
}

// No promise what is found, but that the reader comes back, unharmed.
static void test_a_damaged_region_harms_no_reader(void)
{
	enum { SIZE = 1 << 16, WORDS = SIZE / 4 };
	struct inode_table table = make_table(SIZE), damaged;
	uint32_t *words = aligned_alloc(LINE, SIZE);

	for (uint64_t ino = 0; ino < MODEL_KEYS; ino++)
		put(&table, ino, 1);
	for (int round = 0; round < 400; round++) {
		struct inode_record record;
		uint32_t cursor = 0;

		memcpy(words, table.base, SIZE);
		CHECK(inode_table_attach(&damaged, words, SIZE) == 0, "refused");
		for (int i = 0; i < 1 + round * 4; i++) {
			uint32_t value = random_below(UINT32_MAX);

			// Small values lead to other lines, and so into circles.
			words[random_below(WORDS)] = i % 2 ? value : value % 1024;
		}
		if (round % 8 == 0)
			words[2] = random_below(UINT32_MAX); // ready
		for (uint64_t ino = 0; ino < 64; ino++)
			inode_table_find(&damaged, DEV, ino, &record);
		for (int i = 0; i < WORDS && inode_table_next(&damaged, &cursor, &record); i++)
			continue;
	}
	free(words);
	free(table.base);
}

static void test_a_link_to_a_free_node_is_busy(void)
{
	struct inode_table table = make_table(8192);
	struct inode_record record;
	uint32_t link;

	put(&table, 0, 1);
	link = get(bucket_link(&table, 0));
	while (link & LINK_SENTINEL)
		link = get(bucket_link(&table, link & ~LINK_SENTINEL));
	memset(line_at(&table, link), 0, LINE);
	CHECK(inode_table_find(&table, DEV, 0, &record) == INODE_BUSY, "walked over it");
	free(table.base);
}

// Blocks.

static void test_blocks_are_memory_among_the_records(void)
{
	enum { SIZE = 1 << 22, BLOCKS = 400 };
	struct inode_table table = make_table(SIZE);
	struct inode_record record;
	static const size_t sizes[] = {1, 52, 53, 200, 4000, 65536 + 300, 131000};
	uint32_t blocks[BLOCKS] = {0}, cursor = 0;
	size_t most[BLOCKS] = {0}, visited = 0;

	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < BLOCKS; i++) {
			size_t wanted = sizes[random_below(i % 8 ? 4 : 7)], room = 0;

			if (blocks[i] && random_below(2)) {
				unsigned char *bytes = inode_table_block(&table, blocks[i], &room);

				CHECK(room == most[i], "another size");
				CHECK(bytes[0] == i % 251 && bytes[room - 1] == i % 251, "overwritten");
				inode_table_free_block(&table, blocks[i]);
				blocks[i] = 0;
			}
			put(&table, (uint64_t)i, 7);
			if (blocks[i])
				continue;
			blocks[i] = inode_table_take_block(&table, wanted);
			if (!blocks[i])
				continue;
			memset(inode_table_block(&table, blocks[i], &most[i]), i % 251, wanted);
			CHECK(most[i] >= wanted, "too small");
			memset(inode_table_block(&table, blocks[i], &room), i % 251, most[i]);
		}
	}
	while (inode_table_next(&table, &cursor, &record))
		visited++;
	CHECK(visited == BLOCKS, "%zu records visited", visited);
	CHECK(inode_table_repair(&table) == 0, "not whole");
	CHECK(inode_table_take_block(&table, 1 << 18) == 0, "larger than any");
	CHECK(!inode_table_block(&table, 0, most) && !inode_table_block(&table, UINT32_MAX, most),
	      "no block there");
	free(table.base);
}

// A writer killed after any of its stores.

static int stores_left = -1; // before it dies; below 0: it lives on
static jmp_buf death;

static void before_store(void)
{
	if (stores_left >= 0 && stores_left-- == 0)
		longjmp(death, 1);
}

static bool dies_in_act(struct inode_table *table, struct act act, int stores)
{
	stores_left = stores;
	if (setjmp(death))
		return true;
	act_on_table(table, act);
	stores_left = -1;
	return false;
}

// The record concerned may be as before, as after, or busy; no other may change.
static void check_after_death(const struct inode_table *table, const struct model *model,
			      struct act act)
{
	uint32_t old = model->generation[act.ino];
	struct inode_record record;
	enum inode_lookup found = inode_table_find(table, DEV, act.ino, &record);

	for (uint64_t ino = 0; ino < MODEL_KEYS; ino++) {
		if (ino != act.ino)
			check_key(table, ino, model->generation[ino]);
	}
	if (found == INODE_FOUND)
		CHECK((record.xattrs == old || record.xattrs == act.generation) &&
			      is_consistent(&record, DEV, act.ino), "torn");
	else if (found == INODE_BUSY)
		CHECK(old && act.generation, "busy without being replaced");
	else
		CHECK(!old || !act.generation, "lost while being replaced");
}

// Another writer takes over: does the act again, and makes the table grow.
static void check_next_writer(struct inode_table *table, struct model *model, struct act act)
{
	act_on_table(table, act);
	check_key(table, act.ino, act.generation);
	for (uint64_t ino = MODEL_KEYS; ino < MODEL_KEYS + 4; ino++)
		put(table, ino, 1);
	for (uint64_t ino = MODEL_KEYS; ino < MODEL_KEYS + 4; ino++)
		check_key(table, ino, 1);
	for (uint64_t ino = 0; ino < MODEL_KEYS; ino++)
		check_key(table, ino, ino == act.ino ? act.generation : model->generation[ino]);
}

// Who comes alone makes it whole: the visit, the count and the next acts are right.
static void check_repair(struct inode_table *table, const struct model *model, struct act act)
{
	size_t visited = 0, others = 0;
	struct inode_record record;
	uint32_t cursor = 0;

	CHECK(inode_table_repair(table) == 0, "not repaired");
	act_on_table(table, act);
	for (uint64_t ino = 0; ino < MODEL_KEYS; ino++)
		others += ino != act.ino && model->generation[ino];
	while (inode_table_next(table, &cursor, &record)) {
		uint32_t ino = (uint32_t)record.identity.ino;

		CHECK(record.xattrs == (ino == act.ino ? act.generation : model->generation[ino]),
		      "a lost record shows");
		visited++;
	}
	CHECK(visited == others + (act.generation != 0), "%zu visited", visited);
	CHECK(visited == inode_table_count(table), "miscounted");
}

static void test_a_writer_may_die_after_any_store(void)
{
	enum { SIZE = 1 << 16, ACTS = 600 };
	struct inode_table table = make_table(SIZE);
	struct model model = {0};
	static unsigned char before[SIZE], dead[SIZE];
	int deaths = 0;

	for (int i = 0; i < ACTS; i++) {
		struct act act = random_act();
		size_t used = inode_table_used(&table);
		// Every act while all is small, each doubling, and samples of the rest.
		bool doubles = model.count == 128 || model.count == 256;

		memcpy(before, table.base, used);
		for (int stores = 0; i < 40 || doubles || i % 16 == 0; stores++) {
			memcpy(table.base, before, used);
			memset(table.base + used, 0, SIZE - used);
			if (!dies_in_act(&table, act, stores))
				break;
			check_after_death(&table, &model, act);
			memcpy(dead, table.base, SIZE);
			check_repair(&table, &model, act);
			memcpy(table.base, dead, SIZE);
			check_next_writer(&table, &model, act);
			deaths++;
		}
		memcpy(table.base, before, used);
		memset(table.base + used, 0, SIZE - used);
		act_on_table(&table, act);
		act_on_model(&model, act);
		check_key(&table, act.ino, act.generation);
	}
	check_model(&table, &model);
	CHECK(get(&header_of(&table)->buckets) > 512, "too few doublings");
	printf("writer died %d times\n", deaths);
	free(table.base);
}

// A writer that acts between two loads of a reader, and once more between two
// later ones: all that can deceive a walk, without waiting for luck.

enum { CHAIN = 6, OTHERS = 3 };

static struct {
	struct inode_table table;
	struct model model;
	uint64_t inos[CHAIN + OTHERS]; // the first CHAIN are one bucket's, as the list has them
	uint32_t ino_count;
	void (*act)(void);
	uint64_t asked;
	uint32_t right[8]; // every generation of `asked` during the lookup
	int right_count;
	int visits_left;
} scene;

static int loads_left = -1; // before the writer acts; below 0: it stays away

static void before_load(void)
{
	if (loads_left >= 0 && loads_left-- == 0)
		scene.act();
}

static void act_in_scene(uint32_t key, bool present)
{
	static uint32_t generation;
	struct act act = {scene.inos[key], present ? ++generation : 0};

	act_on_table(&scene.table, act);
	act_on_model(&scene.model, act);
	if (act.ino == scene.asked)
		scene.right[scene.right_count++] = act.generation;
}

static void ask_in_scene(uint32_t key)
{
	struct inode_record record;
	enum inode_lookup found;
	bool right = false;

	scene.asked = scene.inos[key];
	scene.right[0] = scene.model.generation[scene.asked];
	scene.right_count = 1;
	found = inode_table_find(&scene.table, DEV, scene.asked, &record);
	loads_left = -1;

	CHECK(found != INODE_BUSY, "two disturbances were too many");
	CHECK(found != INODE_FOUND || is_consistent(&record, DEV, scene.asked), "torn");
	for (int i = 0; i < scene.right_count; i++)
		right |= scene.right[i] == (found == INODE_FOUND ? record.xattrs : 0);
	CHECK(right, "key %u: %d", key, found);
}

static int compare_orders(const void *a, const void *b)
{
	uint32_t order_a = make_key(DEV, *(const uint64_t *)a).order;
	uint32_t order_b = make_key(DEV, *(const uint64_t *)b).order;

	return (order_a > order_b) - (order_a < order_b);
}

// Keys of the fullest bucket, and some others, whose nodes they may get.
static void make_scene(void)
{
	uint32_t fullest = 0, sizes[FIRST_BUCKETS] = {0};

	for (uint64_t ino = 0; ino < MODEL_KEYS; ino++) {
		uint32_t bucket = make_key(DEV, ino).hash % FIRST_BUCKETS;

		if (++sizes[bucket] > sizes[fullest])
			fullest = bucket;
	}
	memset(&scene, 0, sizeof(scene));
	scene.table = make_table(1 << 16);
	for (uint64_t ino = 0; ino < MODEL_KEYS && scene.ino_count < CHAIN; ino++) {
		if (make_key(DEV, ino).hash % FIRST_BUCKETS == fullest)
			scene.inos[scene.ino_count++] = ino;
	}
	qsort(scene.inos, CHAIN, sizeof(scene.inos[0]), compare_orders);
	for (uint64_t ino = 0; ino < OTHERS; ino++)
		scene.inos[scene.ino_count++] = ino;
}

static void act_at_random(void)
{
	for (uint32_t acts = 1 + random_below(3); acts; acts--)
		act_in_scene(random_below(scene.ino_count), random_below(2));
	loads_left = --scene.visits_left ? (int)random_below(16) : -1;
}

static void test_a_writer_may_act_between_any_loads(void)
{
	make_scene();
	scene.act = act_at_random;
	for (int i = 0; i < INTERLEAVINGS; i++) {
		scene.visits_left = 2;
		loads_left = (int)random_below(80);
		ask_in_scene(random_below(scene.ino_count));
	}
	check_model(&scene.table, &scene.model);
	free(scene.table.base);
}

// The two ways in which used-again nodes would fool a careless reader, at every
// pair of loads. Keys 0, 1 and 2 are there, and the reader asks for key 2.

// Both nodes before it come back behind it, again one after the other.
static void act_on_a_pair(void)
{
	act_in_scene(0, false);
	act_in_scene(1, false);
	act_in_scene(4, true); // in the node of 1
	act_in_scene(3, true); // in the node of 0
}

// The node before it goes behind it, and comes back.
static void act_back(void)
{
	act_in_scene(4, false);
	act_in_scene(1, true);
}

static int gap;

static void act_forth(void)
{
	act_in_scene(1, false);
	act_in_scene(4, true);
	scene.act = act_back;
	loads_left = gap;
}

static void test_used_again_nodes_hide_nothing(void)
{
	void (*const acts[])(void) = {act_on_a_pair, act_forth};

	make_scene();
	for (int i = 0; i < 2 * 60 * 30; i++) {
		int start = i / 60;

		for (uint32_t key = 0; key < 5; key++)
			act_in_scene(key, key < 3);
		scene.act = acts[i % 2];
		gap = i / 2 % 30;
		loads_left = start;
		ask_in_scene(2);
	}
	free(scene.table.base);
}

// Readers beside a writer.

enum {
	KEYS = 6000,
	STABLE_KEYS = 2000, // the first ones: replaced, never removed
	ROUNDS = 4,
	READERS = 3,
};

// What the writer has told about a key: generation * 4, plus PRESENT, plus
// UNDER_WAY from before the act until after it. While a reader sees the same
// quiet word before and after a lookup, that lookup has one right answer.
enum { PRESENT = 1, UNDER_WAY = 2 };

static _Atomic uint32_t told[KEYS];
static _Atomic bool writer_done;

struct reader {
	const struct inode_table *table;
	pthread_t thread;
	uint64_t seed;
	uint32_t last_seen[KEYS];
	unsigned long finds, exact, busy;
};

static void write_key(struct inode_table *table, uint32_t ino, bool present)
{
	uint32_t generation = (atomic_load(&told[ino]) >> 2) + 1;

	atomic_store(&told[ino], generation << 2 | UNDER_WAY);
	if (present)
		CHECK(put(table, ino, generation) == 0, "full");
	else
		inode_table_remove(table, DEV, ino);
	atomic_store(&told[ino], generation << 2 | present);
}

static void write_round(struct inode_table *table)
{
	// Grow from empty, with the others removed and put again all along.
	for (uint32_t i = 0; i < WRITES; i++) {
		uint32_t reach = 1 + (uint32_t)((uint64_t)KEYS * (i + 1) / WRITES);
		uint32_t ino = random_below(reach < KEYS ? reach : KEYS);
		bool present = atomic_load(&told[ino]) & PRESENT;

		write_key(table, ino, ino < STABLE_KEYS || !present);
		// Its node is used again at once, often at the same place.
		if (ino >= STABLE_KEYS && present && i % 2)
			write_key(table, ino, true);
	}
}

// Asks again while the answer is BUSY, which must not last.
static enum inode_lookup ask(struct reader *reader, uint64_t dev, uint64_t ino,
			     struct inode_record *record_ret)
{
	enum inode_lookup found = inode_table_find(reader->table, dev, ino, record_ret);

	reader->finds++;
	reader->busy += found == INODE_BUSY;
	for (int i = 0; found == INODE_BUSY && i < 100000; i++) {
		sched_yield();
		found = inode_table_find(reader->table, dev, ino, record_ret);
	}
	CHECK(found != INODE_BUSY, "ino %d stays busy", (int)ino);
	return found;
}

static void read_key(struct reader *reader, uint32_t ino)
{
	struct inode_record record;
	uint32_t before = atomic_load(&told[ino]);
	enum inode_lookup found = ask(reader, DEV, ino, &record);
	uint32_t after = atomic_load(&told[ino]);

	if (found == INODE_FOUND) {
		CHECK(is_consistent(&record, DEV, ino), "ino %d is torn", (int)ino);
		CHECK(record.xattrs >= reader->last_seen[ino], "ino %d went back", (int)ino);
		reader->last_seen[ino] = record.xattrs;
	}
	if (ino < STABLE_KEYS && before >> 2 > 1)
		CHECK(found == INODE_FOUND, "ino %d is missed", (int)ino);
	if (before == after && !(before & UNDER_WAY)) {
		reader->exact++;
		CHECK(found == (before & PRESENT ? INODE_FOUND : INODE_ABSENT),
		      "ino %d: %d, told %#x", (int)ino, found, before);
		if (found == INODE_FOUND)
			CHECK(record.xattrs == before >> 2, "ino %d is stale", (int)ino);
	}
}

static void *run_reader(void *argument)
{
	struct reader *reader = argument;

	while (!atomic_load(&writer_done)) {
		struct inode_record record;
		uint32_t ino = (uint32_t)(mix(++reader->seed) % KEYS);

		// Often one of few keys, where the writer is likely to be met.
		read_key(reader, reader->seed % 2 ? ino : ino % 64);
		if (reader->seed % 16 == 0)
			CHECK(ask(reader, OTHER_DEV, ino, &record) == INODE_ABSENT, "never put");
	}
	return NULL;
}

static void *map_shared(int fd, size_t size, int protection)
{
	void *base = mmap(NULL, size, protection, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		abort();
	return base;
}

static void run_round(int round)
{
	enum { SIZE = 4 << 20 };
	static struct reader readers[READERS];
	int fd = memfd_create("table", MFD_CLOEXEC);
	unsigned long finds = 0, exact = 0, busy = 0;
	struct inode_table writer, reader;

	if (fd < 0 || ftruncate(fd, SIZE) != 0)
		abort();
	if (inode_table_format(&writer, map_shared(fd, SIZE, PROT_READ | PROT_WRITE), SIZE) != 0)
		abort();
	if (inode_table_attach(&reader, map_shared(fd, SIZE, PROT_READ), SIZE) != 0)
		abort();
	memset(told, 0, sizeof(told));
	atomic_store(&writer_done, false);
	for (int i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.seed = (uint64_t)(round * READERS + i) << 32};
		// Both as a thread of the writer and as another process would.
		readers[i].table = i % 2 ? &writer : &reader;
		pthread_create(&readers[i].thread, NULL, run_reader, &readers[i]);
	}
	write_round(&writer);
	atomic_store(&writer_done, true);
	for (int i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		finds += readers[i].finds;
		exact += readers[i].exact;
		busy += readers[i].busy;
	}
	for (uint32_t ino = 0; ino < KEYS; ino++) {
		uint32_t last = atomic_load(&told[ino]);

		check_key(&reader, ino, last & PRESENT ? last >> 2 : 0);
	}
	printf("round %d: %lu lookups beside the writer, %lu with one right answer, %lu busy\n",
	       round, finds, exact, busy);
	CHECK(busy <= finds / 100 + 10, "a storm of %lu busy in %lu", busy, finds);
	munmap(writer.base, SIZE);
	munmap(reader.base, SIZE);
	close(fd);
}

static void test_readers_beside_a_writer(void)
{
	for (int round = 0; round < ROUNDS; round++)
		run_round(round);
}

// Figures.

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void print_find_time(const struct inode_table *table, uint32_t records)
{
	struct inode_record record;
	int found = 0;
	double start = now_ns(), hit, miss;

	for (int i = 0; i < FINDS; i++)
		found += inode_table_find(table, DEV, random_below(records), &record);
	hit = (now_ns() - start) / FINDS;
	CHECK(found == FINDS, "%d found", found);
	start = now_ns();
	for (int i = 0; i < FINDS; i++)
		found -= inode_table_find(table, OTHER_DEV, random_below(records), &record);
	miss = (now_ns() - start) / FINDS;
	CHECK(found == FINDS, "%d absent", found);
	printf("%u records: find takes %.0f ns, %.0f ns when absent\n", records, hit, miss);
}

static void test_a_record_costs_at_most_96_bytes(void)
{
	enum { SIZE = 128 << 20 };
	struct inode_table table = make_table(SIZE);
	double start = now_ns(), bytes;

	for (uint32_t ino = 0; ino < MANY_RECORDS; ino++) {
		if (ino == 1000) {
			print_find_time(&table, ino);
			start = now_ns();
		}
		CHECK(put(&table, ino, 1) == 0, "full");
	}
	printf("put takes %.0f ns\n", (now_ns() - start) / (MANY_RECORDS - 1000));
	print_find_time(&table, MANY_RECORDS);
	bytes = (double)inode_table_used(&table) / MANY_RECORDS;
	printf("%d records: %.1f bytes each\n", MANY_RECORDS, bytes);
	CHECK(bytes <= 96, "%.1f", bytes);
	CHECK(inode_table_count(&table) == MANY_RECORDS, "%zu", inode_table_count(&table));
	free(table.base);
}

int main(void)
{
	test_agrees_with_the_model();
	test_a_visited_record_can_be_removed();
	test_equal_orders_are_different_records();
	test_a_full_table_is_left_unchanged();
	test_beyond_the_mapping_is_busy();
	test_what_is_no_table_is_refused();
	test_a_damaged_region_harms_no_reader();
	test_a_link_to_a_free_node_is_busy();
	test_blocks_are_memory_among_the_records();
	test_a_writer_may_die_after_any_store();
	test_a_writer_may_act_between_any_loads();
	test_used_again_nodes_hide_nothing();
	test_readers_beside_a_writer();
	test_a_record_costs_at_most_96_bytes();
	printf("%d failures\n", atomic_load(&failures));
	return atomic_load(&failures) != 0;
}
