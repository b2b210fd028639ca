// SPDX-License-Identifier: Apache-2.0
//
// The kernel carries a tag for us that leads from a process to its credentials: the
// soft limit RLIMIT_LOCKS. It has not been enforced since Linux 2.4, is inherited by
// fork(2) and kept by execve(2), and can be set for another process of the same user
// (prlimit(2)), dumpable or not. A process that has not left root has the limit
// that the session started with.
//
// A tag is one of three, told by its two highest bits:
//  - plain: the position of credentials in the store;
//  - exec: those of before an execve(2) and those of after it. It succeeds after its
//    answer, unseen by us. Whether it has is read from the process's first 16 random
//    bytes (AT_RANDOM, getauxval(3)), which every execution draws anew: a mark made
//    of those of before is in the tag. A child inherits both, and the answer.
//  - split: of a process with threads that differ. Limits belong to processes,
//    credentials to threads, so those that differ from the tag are listed here. All are
//    marked (thread_mark.c), and hand the mark on to the threads and children they make.
//    Where there are no marks, a new thread has what the tag says, and a child looks up
//    which thread has made it (/proc/PID/task/TID/children).
#include "credentials.h"

#include "answer.h"
#include "credential_rules.h"
#include "credential_store.h"
#include "proc_text.h"
#include "request.h"
#include "scope.h"
#include "target.h"
#include "thread_mark.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum tag_kind { TAG_NONE, TAG_PLAIN, TAG_SPLIT, TAG_EXEC };

#define TAG_KIND_SHIFT 60
#define POSITION_BITS 20
#define POSITION_MASK ((UINT64_C(1) << POSITION_BITS) - 1)
#define PLAIN_MAGIC UINT64_C(0x5343) // where the others have more
#define PROCESS_SHIFT 38             // 22 bits: PID_MAX_LIMIT
#define START_MASK ((UINT64_C(1) << (PROCESS_SHIFT - POSITION_BITS)) - 1)
#define MARKS (UINT32_C(1) << POSITION_BITS)
#define TAGS_MOST (UINT64_C(1) << 62)
#define KEEP_TRIES 100

struct task {
	pid_t process;
	int threads;
	uint64_t start; // clock ticks since the machine's start
};

// A thread with other credentials than its process's tag says.
struct differing {
	pid_t tid, process;
	uint64_t start;
	uint32_t mark;
	uint32_t position;
};

static const uint32_t root_group[] = {0};
static const struct credentials root = {
	.permitted = CREDENTIALS_ALL_CAPABILITIES,
	.effective = CREDENTIALS_ALL_CAPABILITIES,
	.bounding = CREDENTIALS_ALL_CAPABILITIES,
	.group_count = 1,
	.groups = root_group,
};

static struct credential_store store;
static uint64_t root_tag;
static bool can_tag;

// Guards what follows, and every tag from the time it is read until it is written.
static struct lock changing = LOCK_INITIALIZER(PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP);
static struct differing *differing;
static size_t differing_count, differing_room;
static _Atomic size_t differing_any;

void credentials_init(struct session *session)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	getrlimit(RLIMIT_LOCKS, &limit);
	root_tag = limit.rlim_cur;
	can_tag = limit.rlim_max >= TAGS_MOST;
	session->page->root_tag = root_tag;
	credential_store_init(&store);
	credential_store_position(&store, &root);
}

bool credentials_in_group(const struct credentials *credentials, uint32_t gid)
{
	if (credentials->fsgid == gid)
		return true;
	for (uint32_t i = 0; i < credentials->group_count; i++)
		if (credentials->groups[i] == gid)
			return true;
	return false;
}

// ---- tasks ----

static void read_task(pid_t tid, struct task *task_ret)
{
	char name[40], line[512];
	*task_ret = (struct task){.process = tid, .threads = 1};
	snprintf(name, sizeof(name), "/proc/%d/status", tid);
	proc_text_read(AT_FDCWD, name,
		       (struct proc_field[]){{"Tgid: %d", &task_ret->process},
					     {"Threads: %d", &task_ret->threads},
					     {0}});
	snprintf(name, sizeof(name), "/proc/%d/stat", tid);
	SCOPED_FD fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (size <= 0)
		return;
	line[size] = '\0';
	// The name in parentheses may have any character; the start is the 22nd field.
	const char *at = strrchr(line, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at)
		task_ret->start = strtoull(at, NULL, 10);
}

// The entry is of 64-bit words or, in a process of i386, of 32-bit words. The first one
// tells: its key is small.
static uint64_t find_random(const unsigned char *vector, size_t size)
{
	uint64_t first;
	memcpy(&first, vector, sizeof(first));
	size_t word = first < 1024 ? 8 : 4;
	for (size_t at = 0; at + 2 * word <= size; at += 2 * word) {
		uint64_t key = 0, value = 0;
		memcpy(&key, vector + at, word);
		memcpy(&value, vector + at + word, word);
		if (key == AT_RANDOM)
			return value;
		if (key == AT_NULL)
			break;
	}
	return 0;
}

// A number from 1 to MARKS - 1 that another execution will hardly have; 0 where the
// process cannot be looked into.
static uint32_t execution_mark(pid_t tid)
{
	unsigned char vector[1024], random[16];
	char name[40];
	snprintf(name, sizeof(name), "/proc/%d/auxv", tid);
	SCOPED_FD fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, vector, sizeof(vector));
	uint64_t address = size < 16 ? 0 : find_random(vector, (size_t)size);
	if (!address || target_read(tid, address, random, sizeof(random)) != 0)
		return 0;
	uint64_t halves[2];
	memcpy(halves, random, sizeof(halves));
	return (uint32_t)((halves[0] ^ halves[1]) % (MARKS - 1)) + 1;
}

// ---- tags ----

// None: root's limit, or the process's own idea of one.
static enum tag_kind kind_of(uint64_t tag)
{
	uint64_t kind = tag >> TAG_KIND_SHIFT;
	if (tag == root_tag || kind > TAG_EXEC)
		return TAG_NONE;
	if (kind == TAG_PLAIN && (tag >> 40 & 0xfffff) != PLAIN_MAGIC)
		return TAG_NONE;
	return (enum tag_kind)kind;
}

static uint64_t plain_tag(uint32_t position)
{
	if (position == 0)
		return root_tag;
	return (uint64_t)TAG_PLAIN << TAG_KIND_SHIFT | PLAIN_MAGIC << 40 | position;
}

static uint64_t split_tag(pid_t process, uint32_t position)
{
	struct task leader;
	read_task(process, &leader);
	return (uint64_t)TAG_SPLIT << TAG_KIND_SHIFT | (uint64_t)process << PROCESS_SHIFT |
	       (leader.start & START_MASK) << POSITION_BITS | position;
}

static pid_t split_process(uint64_t tag)
{
	return (pid_t)(tag >> PROCESS_SHIFT & ((1 << 22) - 1));
}

static bool is_split(uint64_t tag, pid_t process)
{
	return kind_of(tag) == TAG_SPLIT && split_process(tag) == process;
}

static uint64_t exec_tag(uint32_t mark, uint32_t next, uint32_t position)
{
	return (uint64_t)TAG_EXEC << TAG_KIND_SHIFT | (uint64_t)mark << (2 * POSITION_BITS) |
	       (uint64_t)next << POSITION_BITS | position;
}

static uint64_t read_tag(pid_t tid)
{
	struct rlimit limit;
	return prlimit(tid, RLIMIT_LOCKS, NULL, &limit) < 0 ? root_tag : limit.rlim_cur;
}

static int write_tag(pid_t tid, uint64_t tag)
{
	struct rlimit limit;
	if (prlimit(tid, RLIMIT_LOCKS, NULL, &limit) < 0)
		return -EAGAIN;
	limit.rlim_cur = tag;
	return prlimit(tid, RLIMIT_LOCKS, &limit, NULL) < 0 ? -EAGAIN : 0;
}

// ---- threads that differ ----

static void forget(size_t at)
{
	differing[at] = differing[--differing_count];
	atomic_store(&differing_any, differing_count);
}

static struct differing *find_differing(pid_t tid)
{
	for (size_t i = 0; i < differing_count; i++)
		if (differing[i].tid == tid)
			return &differing[i];
	return NULL;
}

// Those of the process that agree with its tag, and those of any process that have gone.
// Returns how many of the process are left.
static size_t tidy(pid_t process, uint32_t position)
{
	size_t left = 0;
	for (size_t i = differing_count; i-- > 0;) {
		char name[32];
		snprintf(name, sizeof(name), "/proc/%d/task/%d", differing[i].process,
			 differing[i].tid);
		bool agrees = differing[i].process == process && differing[i].position == position;
		if (agrees || access(name, F_OK) < 0)
			forget(i);
		else
			left += differing[i].process == process;
	}
	return left;
}

static int keep_differing(const struct differing *one)
{
	struct differing *known = find_differing(one->tid);
	if (known) {
		*known = *one;
		return 0;
	}
	if (differing_count == differing_room) {
		size_t room = differing_room ? 2 * differing_room : 16;
		struct differing *larger = realloc(differing, room * sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		differing = larger;
		differing_room = room;
	}
	differing[differing_count++] = *one;
	atomic_store(&differing_any, differing_count);
	return 0;
}

// A thread's number may have been given away since, or its process have executed another
// program.
static bool recall_differing(pid_t tid, uint32_t *position_ret)
{
	if (atomic_load(&differing_any) == 0)
		return false;
	SCOPED_LOCK held = lock_hold(&changing);
	struct differing *known = find_differing(tid);
	if (!known)
		return false;
	struct task task;
	read_task(tid, &task);
	if (task.start != known->start || execution_mark(tid) != known->mark) {
		forget((size_t)(known - differing));
		return false;
	}
	*position_ret = known->position;
	return true;
}

// What threads have that are not listed: this, or what their marks say where those are of
// this process. Otherwise they are of who made it.
struct common {
	uint32_t position;
	bool marked;
};

// One thread keeps what it has.
static int keep(const struct task *task, pid_t tid, struct common common, uint32_t mark)
{
	struct task thread;
	read_task(tid, &thread);
	struct differing one = {
		.tid = tid,
		.process = task->process,
		.start = thread.start,
		.mark = mark,
		.position = common.position,
	};
	if (common.marked)
		thread_mark_get(tid, &one.position);
	thread_mark_set(tid, one.position);
	return keep_differing(&one);
}

// All threads of the process but one keep what they have. Returns how many of them were
// not known, or -errno.
static int keep_others(const struct task *task, pid_t but, struct common common, uint32_t mark)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/%d/task", task->process);
	DIR *threads = opendir(name);
	if (!threads)
		return -EAGAIN;
	int error = 0, found = 0;
	struct dirent *entry;
	while (!error && (entry = readdir(threads))) {
		pid_t tid = atoi(entry->d_name);
		const struct differing *known = find_differing(tid);
		if (tid == 0 || tid == but ||
		    (known && known->process == task->process && known->mark == mark))
			continue;
		error = keep(task, tid, common, mark);
		found++;
	}
	closedir(threads);
	return error ? error : found;
}

// ---- whose are which ----

static bool lists_child(pid_t process, pid_t thread, pid_t child)
{
	char name[64];
	snprintf(name, sizeof(name), "/proc/%d/task/%d/children", process, thread);
	FILE *children = fopen(name, "re");
	int number;
	bool found = false;
	while (children && !found && fscanf(children, "%d", &number) == 1)
		found = number == child;
	if (children)
		fclose(children);
	return found;
}

// Which thread of a split process has made this child?
static uint32_t inherited(pid_t child, pid_t parent, uint64_t start, uint32_t position)
{
	struct task task;
	if (thread_mark_get(child, &position))
		return position;
	read_task(parent, &task);
	if ((task.start & START_MASK) != start)
		return position;
	for (size_t i = 0; i < differing_count; i++)
		if (differing[i].process == parent && lists_child(parent, differing[i].tid, child))
			return differing[i].position;
	return position;
}

static uint32_t position_by_split(pid_t tid, uint64_t tag)
{
	uint32_t position = tag & POSITION_MASK;
	pid_t process = split_process(tag);
	struct task task;
	read_task(tid, &task);
	if (task.process == process)
		thread_mark_get(tid, &position);
	else
		position = inherited(task.process, process, tag >> POSITION_BITS & START_MASK,
				     position);
	// The last thread, after an execve(2), say, needs its mark no longer.
	if (task.process != process || task.threads == 1)
		write_tag(tid, plain_tag(position));
	return position;
}

static bool has_executed(pid_t tid, uint64_t tag)
{
	return execution_mark(tid) != (tag >> (2 * POSITION_BITS) & POSITION_MASK);
}

static uint32_t position_by_exec(pid_t tid, uint64_t tag)
{
	if (!has_executed(tid, tag)) {
		uint32_t position = tag & POSITION_MASK;
		thread_mark_get(tid, &position);
		return position;
	}
	uint32_t next = tag >> POSITION_BITS & POSITION_MASK;
	write_tag(tid, plain_tag(next));
	return next;
}

static uint32_t position_by_tag(pid_t tid)
{
	uint64_t tag = read_tag(tid);
	enum tag_kind kind = kind_of(tag);
	if (kind <= TAG_PLAIN)
		return kind == TAG_PLAIN ? tag & POSITION_MASK : 0;
	// Such a tag may be rewritten here, and by others.
	SCOPED_LOCK held = lock_hold(&changing);
	tag = read_tag(tid);
	switch (kind_of(tag)) {
	case TAG_PLAIN:
		return tag & POSITION_MASK;
	case TAG_SPLIT:
		return position_by_split(tid, tag);
	case TAG_EXEC:
		return position_by_exec(tid, tag);
	default:
		return 0;
	}
}

static uint32_t position_of(struct session *session, pid_t tid)
{
	uint32_t position;
	if (atomic_load(&session->page->left_root) == 0 && !atomic_load(&session->landlocked))
		return 0;
	return recall_differing(tid, &position) ? position : position_by_tag(tid);
}

const struct credentials *credentials_of_task(struct session *session, pid_t tid)
{
	uint32_t position = position_of(session, tid);
	const struct credentials *found =
		position == 0 ? NULL : credential_store_at(&store, position);
	return found ? found : &root;
}

const struct credentials *credentials_of(const struct request *request)
{
	return credentials_of_task(request->session, request->tid);
}

static struct common common_of(pid_t tid, pid_t process)
{
	uint64_t tag = read_tag(tid);
	bool executing = kind_of(tag) == TAG_EXEC && !has_executed(tid, tag);
	if (is_split(tag, process) || executing)
		return (struct common){tag & POSITION_MASK, true};
	return (struct common){position_by_tag(tid), false};
}

// Until none is left that was made meanwhile, by one that was not marked yet.
static int keep_all_others(const struct task *task, pid_t but)
{
	struct common common = common_of(but, task->process);
	uint32_t mark = execution_mark(but);
	int found = 1;
	for (int tries = 0; found > 0 && tries < KEEP_TRIES; tries++)
		found = keep_others(task, but, common, mark);
	return found < 0 ? found : 0;
}

// ---- changes ----

static int64_t position_for(struct session *session, const struct credentials *next)
{
	int64_t position = can_tag ? credential_store_position(&store, next) : -EAGAIN;
	struct credentials unrestricted = *next;
	unrestricted.landlock = 0;
	// The shim must know before the first process has left. Who is restricted is root to it.
	if (position > 0 && !credential_rules_same(&unrestricted, &root))
		atomic_fetch_add(&session->page->left_root, 1);
	return position;
}

int credentials_set(const struct request *request, const struct credentials *next)
{
	pid_t tid = request->tid;
	struct task task;
	int64_t position = position_for(request->session, next);
	if (position < 0)
		return (int)position;
	read_task(tid, &task);
	if (!notification_valid(request))
		return -ESRCH;
	SCOPED_LOCK held = lock_hold(&changing);
	int error = task.threads > 1 ? keep_all_others(&task, tid) : 0;
	if (error)
		return error;
	if (task.threads > 1)
		thread_mark_set(tid, (uint32_t)position);
	struct differing *own = find_differing(tid);
	if (own)
		forget((size_t)(own - differing));
	bool split = differing_count > 0 && tidy(task.process, (uint32_t)position) > 0;
	return write_tag(tid, split ? split_tag(task.process, (uint32_t)position)
				    : plain_tag((uint32_t)position));
}

int credentials_set_at_exec(const struct request *request, const struct credentials *next)
{
	pid_t tid = request->tid;
	int64_t position = position_for(request->session, next);
	if (position < 0)
		return (int)position;
	struct task task;
	read_task(tid, &task);
	uint32_t mark = execution_mark(tid), marked;
	if (!notification_valid(request))
		return -ESRCH;
	SCOPED_LOCK held = lock_hold(&changing);
	uint32_t before = position_of(request->session, tid);
	int error = task.threads > 1 ? keep_all_others(&task, tid) : 0;
	if (error)
		return error;
	// Should it fail, the others go on, and what they make tells by its marks.
	if (task.threads > 1 || thread_mark_get(tid, &marked))
		thread_mark_set(tid, before);
	return write_tag(tid, mark ? exec_tag(mark, (uint32_t)position, before)
				   : plain_tag((uint32_t)position));
}
