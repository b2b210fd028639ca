// SPDX-License-Identifier: Apache-2.0
//
// Some facts about the table:
//
// * It is a split-ordered list (Shalev and Shavit, "Split-Ordered Lists:
//   Lock-Free Extensible Hash Tables", JACM 53(3), 2006): all records form one
//   linked list, sorted by the bit-reversed hash. A bucket of any power of two
//   is then a contiguous piece of it, and doubling the buckets cuts each piece
//   in two without moving a record. So records keep their place for life,
//   growing is adding short cuts, and no reader ever waits for it.
// * The region, in lines of 64 bytes; references are line numbers, since every
//   process maps it elsewhere:
//
//       header | segment 0: 256 buckets | nodes ... | segment 1 | nodes ...
//
//   Each later segment holds as many buckets as all before it, and what belongs to
//   records is kept in blocks among the nodes. A node is one
//   line. Freed nodes are chained by their link for the next insertions.
// * A bucket is one link, at once the short cut and the sentinel: the list
//   runs through it. A link is 0 (the end), the line of a node, or
//   LINK_SENTINEL plus a bucket number. Buckets enter the list in the order of
//   their numbers, so one number in the header, `ready`, tells which can be
//   used, and a bucket needs no state of its own: 4 bytes, not 8. The records
//   of one that is not ready are found from its parent, the bucket without the
//   highest bit. Each insertion readies up to SPLITS_PER_INSERT of them: all
//   are ready half-way to the next doubling.
// * A node's sequence number is a count above two flags. SEQ_LIVE is clear
//   while the node is free or being filled. SEQ_WRITING is set while the value
//   of a linked node is replaced; what walking needs (link, order, dev, ino)
//   stays as it is, so others walk past, and still do if the writer dies there.
// * Readers go hand over hand. Between two equal readings of a node's number
//   they read the node, and see that the predecessor is still what it was and
//   still leads here. At that moment both were in the list, side by side: a
//   node freed and used again, even at the same place, can make neither a hit,
//   nor a miss, nor a step into another part of the list. (A reader that sleeps
//   through exactly 2^30 changes of one node is deceived.)
// * The writer stores in an order that leaves a whole list after every single
//   store: a node is complete before it is linked, and unlinked before it is
//   freed; a bucket is linked before `ready` covers it. A writer killed between
//   two stores may lose a node or a segment, leave the count one off, and leave
//   the one record it was replacing INODE_BUSY until that is put again.
//   tests/native/table_stress.c kills it after each of them.
// * Every shared word is a 32-bit atomic: i386 needs no libatomic. Loads acquire
//   and stores release, plain moves on x86, so no fence is needed, which
//   ThreadSanitizer would not understand.
#include "inode_table.h"

#include <errno.h>
#include <stdatomic.h>

enum {
	LINE = 64,
	LAYOUT = 1,
	MAGIC = 0x46534349, // "FSCI"
	FIRST_BITS = 8,     // segment 0 holds 2^8 buckets
	SEGMENTS = 24,      // up to 2^31 buckets: what a link can name
	SPLITS_PER_INSERT = 4,
	BLOCK_CLASSES = 12,
	// A walk meets 1.5 nodes on average; these bound what a reader does
	// in a damaged region or beside a busy writer.
	MAX_STEPS = 1 << 16,
	MAX_RESTARTS = 64,
};

#define LINK_END 0u
#define LINK_SENTINEL (1u << 31)

#define SEQ_WRITING 1u
#define SEQ_LIVE 2u
#define SEQ_STEP 4u

typedef _Atomic uint32_t shared_u32;

struct shared_u64 {
	shared_u32 low;
	shared_u32 high;
};

struct header {
	// What readers read, and the writer changes when the table grows.
	shared_u32 magic;
	shared_u32 layout;
	shared_u32 ready;              // buckets linked into the list
	shared_u32 segments[SEGMENTS]; // line of each, 0: not there yet
	uint32_t unused_1[5];
	// What every insertion changes, on a line of its own.
	shared_u32 count;   // records; all counts fit, there are 2^31 lines at most
	shared_u32 used;    // lines
	shared_u32 buckets; // in all segments, a power of two
	shared_u32 free;    // first freed node, linked by next
	shared_u32 blocks[BLOCK_CLASSES]; // first freed block of 1, 2, 4... lines
};

struct node {
	shared_u32 next;
	shared_u32 seq;
	shared_u32 order;
	struct shared_u64 dev;
	struct shared_u64 ino;
	struct shared_u64 btime_sec;
	shared_u32 btime_nsec;
	shared_u32 fields;
	shared_u32 uid;
	shared_u32 gid;
	shared_u32 mode;
	shared_u32 rdev;
	shared_u32 xattrs;
};

// Its first line is told from a node by its third word: a node's order is odd.
struct block {
	shared_u32 next; // of the freed ones
	uint32_t unused;
	shared_u32 lines_twice;
};

enum {
	HEADER_LINES = sizeof(struct header) / LINE,
	BUCKETS_PER_LINE = LINE / sizeof(shared_u32),
	FIRST_BUCKETS = 1 << FIRST_BITS,
	EMPTY_LINES = HEADER_LINES + FIRST_BUCKETS / BUCKETS_PER_LINE,
};

_Static_assert(sizeof(struct node) == LINE, "a node is one cache line");
_Static_assert(sizeof(struct header) % LINE == 0, "what follows is aligned");
_Static_assert(offsetof(struct header, count) % LINE == 0, "readers' lines apart");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "no lock hides in the atomics");

static uint32_t get(const shared_u32 *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static void set(shared_u32 *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static uint64_t get64(const struct shared_u64 *words)
{
	return get(&words->low) | (uint64_t)get(&words->high) << 32;
}

static void set64(struct shared_u64 *words, uint64_t value)
{
	set(&words->low, (uint32_t)value);
	set(&words->high, (uint32_t)(value >> 32));
}

// Order: the list's sorting key.

struct key {
	uint64_t dev;
	uint64_t ino;
	uint32_t hash;
	uint32_t order;
};

static uint32_t reverse_bits(uint32_t value)
{
	value = (value >> 1 & 0x55555555) | (value & 0x55555555) << 1;
	value = (value >> 2 & 0x33333333) | (value & 0x33333333) << 2;
	value = (value >> 4 & 0x0f0f0f0f) | (value & 0x0f0f0f0f) << 4;
	return __builtin_bswap32(value);
}

// The finalizer of MurmurHash3: every bit of the input moves half of the output.
static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 33) * 0xff51afd7ed558ccd;
	value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53;
	return value ^ value >> 33;
}

// A record's order is odd, a sentinel's even: it comes before all its records.
static struct key make_key(uint64_t dev, uint64_t ino)
{
	uint32_t hash = (uint32_t)mix(mix(dev) + ino);

	return (struct key){dev, ino, hash, reverse_bits(hash) | 1};
}

// Floor of the binary logarithm; value is not 0.
static uint32_t log2_floor(uint32_t value)
{
	return 31 - (uint32_t)__builtin_clz(value);
}

// The bucket without its highest bit, whose piece of the list it cuts.
static uint32_t parent_bucket(uint32_t bucket)
{
	return bucket ^ 1u << log2_floor(bucket);
}

// The last ready bucket before the records of this hash; ready is not 0.
static uint32_t ready_bucket(uint32_t hash, uint32_t ready)
{
	uint32_t mask = ready == 1 ? 0 : UINT32_MAX >> (31 - log2_floor(ready - 1));
	uint32_t bucket = hash & mask;

	return bucket < ready ? bucket : bucket & mask >> 1;
}

// Places in the region. Who reads may be led anywhere by what he reads, hence the bounds;
// so may the writer where others can write to the region (session_page.h).

static struct header *header_of(const struct inode_table *table)
{
	return (struct header *)(void *)table->base;
}

static void *line_at(const struct inode_table *table, uint64_t line)
{
	// The writer may have given the table more meanwhile.
	if (line >= __atomic_load_n(&table->size, __ATOMIC_RELAXED) / LINE)
		return NULL;
	return table->base + (size_t)line * LINE;
}

static uint32_t segment_of(uint32_t bucket)
{
	return bucket < FIRST_BUCKETS ? 0 : log2_floor(bucket) - FIRST_BITS + 1;
}

static uint32_t segment_lines(uint32_t segment)
{
	uint32_t bits = segment ? FIRST_BITS + segment - 1 : FIRST_BITS;

	return (1u << bits) / BUCKETS_PER_LINE;
}

// The link of a bucket's sentinel, NULL when it is beyond this mapping.
static shared_u32 *bucket_link(const struct inode_table *table, uint32_t bucket)
{
	uint32_t segment = segment_of(bucket);
	uint32_t start, index;
	shared_u32 *links;

	if (segment >= SEGMENTS)
		return NULL;
	start = get(&header_of(table)->segments[segment]);
	index = segment ? parent_bucket(bucket) : bucket;
	links = line_at(table, (uint64_t)start + index / BUCKETS_PER_LINE);
	return start && links ? links + index % BUCKETS_PER_LINE : NULL;
}

// Values.

static void store_value(struct node *node, const struct inode_record *record)
{
	set64(&node->btime_sec, (uint64_t)record->identity.btime_sec);
	set(&node->btime_nsec, record->identity.btime_nsec);
	set(&node->fields, record->fields);
	set(&node->uid, record->uid);
	set(&node->gid, record->gid);
	set(&node->mode, record->mode);
	set(&node->rdev, record->rdev);
	set(&node->xattrs, record->xattrs);
}

static struct inode_record load_record(const struct node *node)
{
	return (struct inode_record){
		.identity = {
			.dev = get64(&node->dev),
			.ino = get64(&node->ino),
			.btime_sec = (int64_t)get64(&node->btime_sec),
			.btime_nsec = get(&node->btime_nsec),
		},
		.fields = get(&node->fields),
		.uid = get(&node->uid),
		.gid = get(&node->gid),
		.mode = get(&node->mode),
		.rdev = get(&node->rdev),
		.xattrs = get(&node->xattrs),
	};
}

static int has_key(const struct node *node, const struct key *key)
{
	return get64(&node->ino) == key->ino && get64(&node->dev) == key->dev;
}

// Reading.

enum step {
	STEP_ON,
	STEP_FOUND,
	STEP_ABSENT,
	STEP_CONFLICT, // the writer was here: start again
	STEP_BEYOND,   // leads out of this mapping
};

// Where a reader stands: a sentinel or a node, as it was when it was entered.
struct place {
	const shared_u32 *next;
	const shared_u32 *seq; // NULL for a sentinel, which never goes away
	uint32_t next_seen;
	uint32_t seq_seen;
};

static int enter_bucket(const struct inode_table *table, uint32_t bucket, struct place *place_ret)
{
	const shared_u32 *next = bucket_link(table, bucket);

	if (!next)
		return 0;
	*place_ret = (struct place){.next = next, .next_seen = get(next)};
	return 1;
}

static int still_there(const struct place *place)
{
	return get(place->next) == place->next_seen &&
	       (!place->seq || get(place->seq) == place->seq_seen);
}

static enum step step_to_sentinel(const struct inode_table *table, const struct key *key,
				  struct place *place)
{
	uint32_t bucket = place->next_seen & ~LINK_SENTINEL;

	// The link was read while the place was in the list: nothing else to check.
	if (reverse_bits(bucket) > key->order)
		return STEP_ABSENT;
	return enter_bucket(table, bucket, place) ? STEP_ON : STEP_BEYOND;
}

static enum step step_to_node(const struct inode_table *table, const struct key *key,
			      struct place *place, struct inode_record *record_ret)
{
	const struct node *node = line_at(table, place->next_seen);
	struct inode_record record;
	uint32_t seq, order, next;
	int found;

	if (!node)
		return STEP_BEYOND;
	seq = get(&node->seq);
	if (!(seq & SEQ_LIVE)) // no list leads here: it was left, or is damaged
		return STEP_CONFLICT;
	order = get(&node->order);
	found = order == key->order && has_key(node, key);
	if (found)
		record = load_record(node);
	next = get(&node->next);
	if (!still_there(place) || get(&node->seq) != seq)
		return STEP_CONFLICT;

	if (found && seq & SEQ_WRITING)
		return STEP_CONFLICT;
	if (found) {
		*record_ret = record;
		return STEP_FOUND;
	}
	if (order > key->order)
		return STEP_ABSENT;
	*place = (struct place){&node->next, &node->seq, next, seq};
	return STEP_ON;
}

static enum step step(const struct inode_table *table, const struct key *key, struct place *place,
		      struct inode_record *record_ret)
{
	if (place->next_seen == LINK_END)
		return STEP_ABSENT;
	if (place->next_seen & LINK_SENTINEL)
		return step_to_sentinel(table, key, place);
	return step_to_node(table, key, place, record_ret);
}

// One walk, from the bucket to an outcome. Takes its steps from *steps.
static enum step walk(const struct inode_table *table, const struct key *key, unsigned *steps,
		      struct inode_record *record_ret)
{
	uint32_t ready = get(&header_of(table)->ready);
	struct place place;
	enum step outcome = STEP_ON;

	if (!ready || !enter_bucket(table, ready_bucket(key->hash, ready), &place))
		return STEP_BEYOND;
	while (outcome == STEP_ON && (*steps)--)
		outcome = step(table, key, &place, record_ret);
	return outcome == STEP_ON ? STEP_BEYOND : outcome;
}

enum inode_lookup inode_table_find(const struct inode_table *table, uint64_t dev, uint64_t ino,
				   struct inode_record *record_ret)
{
	struct key key = make_key(dev, ino);
	unsigned steps = MAX_STEPS;

	for (int restarts = 0; restarts < MAX_RESTARTS; restarts++) {
		enum step outcome = walk(table, &key, &steps, record_ret);

		if (outcome == STEP_FOUND)
			return INODE_FOUND;
		if (outcome == STEP_ABSENT)
			return INODE_ABSENT;
		if (outcome == STEP_BEYOND)
			break;
	}
	return INODE_BUSY;
}

// Writing.

// The link over which the list goes from below `order` to at or above it. NULL in a damaged
// region, where it leads out of it or round in circles.
static shared_u32 *seek(const struct inode_table *table, uint32_t bucket, uint32_t order)
{
	shared_u32 *at = bucket_link(table, bucket);

	for (unsigned steps = 0; at && steps < MAX_STEPS; steps++) {
		uint32_t link = get(at);

		if (link == LINK_END) {
			return at;
		} else if (link & LINK_SENTINEL) {
			if (reverse_bits(link & ~LINK_SENTINEL) >= order)
				return at;
			at = bucket_link(table, link & ~LINK_SENTINEL);
		} else {
			struct node *node = line_at(table, link);

			if (!node || get(&node->order) >= order)
				return node ? at : NULL;
			at = &node->next;
		}
	}
	return NULL;
}

// The link to the key's node, or to where it belongs with *node_ret NULL. NULL in a damaged
// region.
static shared_u32 *seek_key(const struct inode_table *table, const struct key *key,
			    struct node **node_ret)
{
	uint32_t ready = get(&header_of(table)->ready);
	shared_u32 *at = seek(table, ready_bucket(key->hash, ready), key->order);

	*node_ret = NULL;
	// Different keys may share an order, next to each other.
	for (unsigned steps = 0; at && steps < MAX_STEPS; steps++) {
		uint32_t link = get(at);
		struct node *node = link & LINK_SENTINEL ? NULL : line_at(table, link);

		if (link == LINK_END || !node || get(&node->order) != key->order)
			return link == LINK_END || link & LINK_SENTINEL || node ? at : NULL;
		if (has_key(node, key)) {
			*node_ret = node;
			return at;
		}
		at = &node->next;
	}
	return NULL;
}

// Takes lines from the unused end. Returns the first, or 0 when there are too few.
static uint32_t take_lines(struct inode_table *table, uint32_t lines)
{
	struct header *header = header_of(table);
	uint64_t start = get(&header->used);

	if (start + lines > table->size / LINE || start + lines > LINK_SENTINEL)
		return 0;
	set(&header->used, (uint32_t)start + lines);
	return (uint32_t)start;
}

static uint32_t take_node(struct inode_table *table)
{
	struct header *header = header_of(table);
	uint32_t link = get(&header->free);
	struct node *node = line_at(table, link);

	if (link == LINK_END || !node)
		return take_lines(table, 1);
	set(&header->free, get(&node->next));
	return link;
}

static void fill_node(struct node *node, const struct key *key, const struct inode_record *record,
		      uint32_t next)
{
	set(&node->order, key->order);
	set64(&node->dev, key->dev);
	set64(&node->ino, key->ino);
	store_value(node, record);
	set(&node->next, next);
	set(&node->seq, get(&node->seq) | SEQ_LIVE);
}

static void replace_value(struct node *node, const struct inode_record *record)
{
	uint32_t seq = get(&node->seq);

	set(&node->seq, seq | SEQ_WRITING);
	store_value(node, record);
	set(&node->seq, (seq & ~SEQ_WRITING) + SEQ_STEP);
}

static void add_segment(struct inode_table *table)
{
	struct header *header = header_of(table);
	uint32_t buckets = get(&header->buckets);
	uint32_t segment = segment_of(buckets);
	uint32_t start;

	if (segment == SEGMENTS)
		return;
	// Without room the walks get longer, by little: then there is no room
	// for many nodes either.
	start = take_lines(table, segment_lines(segment));
	if (!start)
		return;
	set(&header->segments[segment], start);
	set(&header->buckets, 2 * buckets);
}

static void ready_next_bucket(struct inode_table *table)
{
	struct header *header = header_of(table);
	uint32_t bucket = get(&header->ready);
	shared_u32 *at = bucket ? seek(table, parent_bucket(bucket), reverse_bits(bucket)) : NULL;
	shared_u32 *link = bucket_link(table, bucket);

	if (!at || !link)
		return;
	// A writer killed before the last store has left it linked.
	if (get(at) != (LINK_SENTINEL | bucket)) {
		set(link, get(at));
		set(at, LINK_SENTINEL | bucket);
	}
	set(&header->ready, bucket + 1);
}

static void grow(struct inode_table *table)
{
	struct header *header = header_of(table);

	if (get(&header->count) > get(&header->buckets) / 2)
		add_segment(table);
	for (int i = 0; i < SPLITS_PER_INSERT; i++) {
		if (get(&header->ready) == get(&header->buckets))
			break;
		ready_next_bucket(table);
	}
}

int inode_table_put(struct inode_table *table, const struct inode_record *record)
{
	struct header *header = header_of(table);
	struct key key = make_key(record->identity.dev, record->identity.ino);
	struct node *node;
	shared_u32 *at = seek_key(table, &key, &node);
	uint32_t link;

	if (!at)
		return -EIO;
	if (node) {
		replace_value(node, record);
		return 0;
	}
	link = take_node(table);
	node = link ? line_at(table, link) : NULL;
	if (!node)
		return -ENOSPC;
	fill_node(node, &key, record, get(at));
	set(at, link);
	set(&header->count, get(&header->count) + 1);
	grow(table);
	return 0;
}

int inode_table_remove(struct inode_table *table, uint64_t dev, uint64_t ino)
{
	struct header *header = header_of(table);
	struct key key = make_key(dev, ino);
	struct node *node;
	shared_u32 *at = seek_key(table, &key, &node);
	uint32_t link;

	if (!at || !node)
		return 0;
	link = get(at);
	set(at, get(&node->next));
	set(&node->seq, (get(&node->seq) & ~(SEQ_LIVE | SEQ_WRITING)) + SEQ_STEP);
	set(&node->next, get(&header->free));
	set(&header->free, link);
	set(&header->count, get(&header->count) - 1);
	return 1;
}

// Blocks.

// The power of two of lines that a block of so many bytes takes.
static uint32_t block_class(size_t bytes)
{
	uint32_t lines = (uint32_t)((bytes + LINE - 1) / LINE);

	return lines <= 1 ? 0 : log2_floor(lines - 1) + 1;
}

uint32_t inode_table_take_block(struct inode_table *table, size_t bytes)
{
	struct header *header = header_of(table);
	struct block *block;
	uint32_t class, line;

	bytes += INODE_TABLE_BLOCK_HEAD;
	if (bytes > (size_t)LINE << (BLOCK_CLASSES - 1))
		return 0;
	class = block_class(bytes);
	line = get(&header->blocks[class]);
	block = line ? line_at(table, line) : NULL;
	if (block) {
		set(&header->blocks[class], get(&block->next));
		return line;
	}
	line = take_lines(table, 1u << class);
	block = line ? line_at(table, line) : NULL;
	if (!block)
		return 0;
	set(&block->lines_twice, 2u << class);
	return line;
}

static int find_block(const struct inode_table *table, uint32_t line, struct block **block_ret,
		      uint32_t *class_ret)
{
	struct block *block = line ? line_at(table, line) : NULL;
	uint32_t lines_twice = block ? get(&block->lines_twice) : 0;
	uint32_t class = lines_twice ? log2_floor(lines_twice) : 0;
	uint64_t end = line + (uint64_t)(lines_twice / 2);

	if (class < 1 || class > BLOCK_CLASSES || lines_twice != 1u << class ||
	    end > get(&header_of(table)->used) || !line_at(table, end - 1))
		return 0;
	*block_ret = block;
	*class_ret = class - 1;
	return 1;
}

void inode_table_free_block(struct inode_table *table, uint32_t line)
{
	struct header *header = header_of(table);
	struct block *block;
	uint32_t class;

	if (!find_block(table, line, &block, &class))
		return;
	set(&block->next, get(&header->blocks[class]));
	set(&header->blocks[class], line);
}

void *inode_table_block(const struct inode_table *table, uint32_t line, size_t *size_ret)
{
	struct block *block;
	uint32_t class;

	if (!find_block(table, line, &block, &class))
		return NULL;
	*size_ret = ((size_t)LINE << class) - INODE_TABLE_BLOCK_HEAD;
	return (unsigned char *)block + INODE_TABLE_BLOCK_HEAD;
}

// The table as a whole.

static int is_region(const void *base, size_t size)
{
	return base && (uintptr_t)base % LINE == 0 && size / LINE > EMPTY_LINES;
}

int inode_table_format(struct inode_table *table, void *base, size_t size)
{
	struct header *header = base;

	if (!is_region(base, size))
		return -EINVAL;
	*table = (struct inode_table){base, size};
	set(&header->layout, LAYOUT);
	set(&header->segments[0], HEADER_LINES);
	set(&header->used, EMPTY_LINES);
	set(&header->buckets, FIRST_BUCKETS);
	set(bucket_link(table, 0), LINK_END);
	set(&header->ready, 1);
	// Last: whoever attaches meanwhile sees a whole table or none.
	set(&header->magic, MAGIC);
	return 0;
}

static int is_sound(const struct header *header)
{
	uint32_t buckets = get(&header->buckets);
	uint32_t ready = get(&header->ready);

	return get(&header->segments[0]) == HEADER_LINES && get(&header->used) >= EMPTY_LINES &&
	       buckets >= FIRST_BUCKETS && (buckets & (buckets - 1)) == 0 && ready &&
	       ready <= buckets;
}

int inode_table_attach(struct inode_table *table, void *base, size_t size)
{
	const struct header *header = base;

	if (!is_region(base, size) || get(&header->magic) != MAGIC ||
	    get(&header->layout) != LAYOUT || !is_sound(header))
		return -EINVAL;
	*table = (struct inode_table){base, size};
	return 0;
}

size_t inode_table_count(const struct inode_table *table)
{
	return get(&header_of(table)->count);
}

size_t inode_table_used(const struct inode_table *table)
{
	uint32_t lines = get(&header_of(table)->used);
	size_t bytes = (size_t)lines * LINE;

	// A 32-bit process cannot map it all: it should map what it can.
	return bytes / LINE == lines ? bytes : SIZE_MAX;
}

// The lines of the segment that starts here, 0 when none does.
static uint32_t segment_at(const struct header *header, uint32_t line)
{
	for (uint32_t segment = 0; segment < SEGMENTS; segment++) {
		if (get(&header->segments[segment]) == line)
			return segment_lines(segment);
	}
	return 0;
}

// Of the block that starts here, 0 when it is a node's line.
static uint32_t block_lines(const struct node *node)
{
	uint32_t order = get(&node->order);

	return order % 2 ? 0u : order / 2;
}

// In the order of the lines, not of the list: memory is read forwards, and
// the record just visited may be removed. (After a writer was killed, the record
// it was inserting or removing may show here, the one it was replacing may not.)
int inode_table_next(const struct inode_table *table, uint32_t *cursor,
		     struct inode_record *record_ret)
{
	const struct header *header = header_of(table);
	uint32_t used = get(&header->used);
	uint32_t line = *cursor ? *cursor : HEADER_LINES;
	int found = 0;

	while (line < used && !found) {
		const struct node *node = line_at(table, line);
		uint32_t buckets = segment_at(header, line);

		if (!node)
			break;
		if (buckets) {
			line += buckets;
			continue;
		}
		if (block_lines(node)) {
			line += block_lines(node);
			continue;
		}
		found = (get(&node->seq) & (SEQ_LIVE | SEQ_WRITING)) == SEQ_LIVE;
		if (found)
			*record_ret = load_record(node);
		line++;
	}
	*cursor = line;
	return found;
}

// Follows the list once. Returns the number of nodes, or -1 where it is not whole.
static int64_t count_nodes(const struct inode_table *table, uint32_t *sentinels_ret)
{
	const struct header *header = header_of(table);
	uint32_t used = get(&header->used), buckets = get(&header->buckets);
	uint32_t link = get(bucket_link(table, 0)), order = 0, nodes = 0;

	*sentinels_ret = 1;
	while (link != LINK_END && nodes + *sentinels_ret <= used + buckets) {
		uint32_t bucket = link & ~LINK_SENTINEL, next_order;
		const shared_u32 *next;

		if (link & LINK_SENTINEL) {
			next = bucket < buckets ? bucket_link(table, bucket) : NULL;
			next_order = reverse_bits(bucket);
			++*sentinels_ret;
		} else {
			const struct node *node = link < used ? line_at(table, link) : NULL;

			if (!node || !(get(&node->seq) & SEQ_LIVE))
				return -1;
			next = &node->next;
			next_order = get(&node->order);
			nodes++;
		}
		if (!next || next_order < order)
			return -1;
		order = next_order;
		link = get(next);
	}
	return link == LINK_END ? (int64_t)nodes : -1;
}

// Nodes that were filled and never linked, or unlinked and not freed, are lost; they
// must not show.
static void hide_lost_nodes(struct inode_table *table)
{
	struct header *header = header_of(table);
	uint32_t used = get(&header->used);

	for (uint32_t line = HEADER_LINES; line < used;) {
		struct node *node = line_at(table, line);
		uint32_t lines = segment_at(header, line);
		struct node *found;
		struct key key;

		if (!node)
			return;
		if (!lines)
			lines = block_lines(node);
		line += lines ? lines : 1;
		if (lines || !(get(&node->seq) & SEQ_LIVE))
			continue;
		key = make_key(get64(&node->dev), get64(&node->ino));
		seek_key(table, &key, &found);
		if (found != node)
			set(&node->seq, (get(&node->seq) & ~(SEQ_LIVE | SEQ_WRITING)) + SEQ_STEP);
	}
}

int inode_table_repair(struct inode_table *table)
{
	struct header *header = header_of(table);
	uint32_t buckets = get(&header->buckets), sentinels;
	int64_t nodes;

	if (get(&header->used) > table->size / LINE || !is_sound(header) ||
	    buckets != get(&header->buckets) || segment_of(buckets - 1) >= SEGMENTS)
		return -EINVAL;
	for (uint32_t segment = 0; segment <= segment_of(buckets - 1); segment++) {
		uint64_t start = get(&header->segments[segment]);

		if (start < HEADER_LINES || start + segment_lines(segment) > get(&header->used))
			return -EINVAL;
	}
	nodes = count_nodes(table, &sentinels);
	// A bucket is linked before it is ready.
	if (nodes < 0 || sentinels < get(&header->ready) || sentinels > get(&header->ready) + 1)
		return -EINVAL;
	set(&header->count, (uint32_t)nodes);
	hide_lost_nodes(table);
	return 0;
}
