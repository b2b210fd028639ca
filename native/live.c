// SPDX-License-Identifier: Apache-2.0
#include "live.h"

#include "memory_guard.h"
#include "metadata.h"
#include "scope.h"
#include "xattr_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define LIVE_MAKING 0x4653434du // "FSCM", in the place of the magic number
#define LIVE_KEPT 4096u // records, which take 10 ms to be read anew
#define FIRST_BYTES ((size_t)256 << 10)
#define STANDING_TRIES 1000
#define WAIT_STEPS 3000 // of 10 ms
#define REOPENINGS 1000

_Static_assert(offsetof(struct session_page, shared.clean) == 668, "in every layout since 2");
_Static_assert(offsetof(struct session_page, shared.changed) == 672, "in every layout since 2");

static void read_boot(uint64_t boot_ret[2])
{
	unsigned parts[5] = {0};
	unsigned long long last = 0;
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (!file)
		return;
	if (fscanf(file, "%8x-%4x-%4x-%4x-%12llx", &parts[0], &parts[1], &parts[2], &parts[3],
		   &last) == 5) {
		boot_ret[0] = (uint64_t)parts[0] << 32 | parts[1] << 16 | parts[2];
		boot_ret[1] = (uint64_t)parts[3] << 48 | last;
	}
	fclose(file);
}

static uint64_t pid_namespace(void)
{
	struct stat st;
	return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

static void rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
}

// Locks the file, alone if nobody else does. Waits for who is alone with it.
static enum live_stage lock_file(int fd, bool *alone_ret, int *error_ret)
{
	for (int i = 0; i < WAIT_STEPS; i++) {
		*alone_ret = flock(fd, LOCK_EX | LOCK_NB) == 0;
		if (*alone_ret || flock(fd, LOCK_SH | LOCK_NB) == 0)
			return LIVE_NONE;
		*error_ret = errno;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return LIVE_LOCK;
		rest();
	}
	return LIVE_WAIT;
}

static bool is_file(int fd, const char *path)
{
	struct stat opened, named;
	return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 &&
	       opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Who may write to it could break a run with more rights than his own.
static enum live_stage check_file(int fd, int *error_ret)
{
	struct stat st;
	*error_ret = 0;
	if (fstat(fd, &st) < 0) {
		*error_ret = errno;
		return LIVE_OPEN;
	}
	if (!S_ISREG(st.st_mode))
		return LIVE_DAMAGED;
	if (geteuid() == 0 && (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH)))
		return LIVE_FOREIGN;
	return LIVE_NONE;
}

static enum live_stage open_file(const char *path, int flags, mode_t mode, int *fd_ret,
				 int *error_ret)
{
	const int safely = O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY;
	*fd_ret = open(path, safely | flags, mode);
	if (*fd_ret >= 0)
		return check_file(*fd_ret, error_ret);
	*error_ret = errno;
	return errno == ELOOP ? LIVE_DAMAGED : LIVE_OPEN;
}

// The file may be removed, or replaced, while its lock is waited for.
static enum live_stage open_locked(struct session *session, const char *path, mode_t mode,
				   bool *alone_ret, int *error_ret)
{
	for (int i = 0; i < REOPENINGS; i++) {
		SCOPED_FD fd = -1;
		enum live_stage stage = open_file(path, O_CREAT, mode, &fd, error_ret);
		if (stage == LIVE_NONE)
			stage = lock_file(fd, alone_ret, error_ret);
		if (stage != LIVE_NONE)
			return stage;
		if (is_file(fd, path)) {
			session->live_lock = fd_release(&fd);
			return LIVE_NONE;
		}
	}
	*error_ret = EAGAIN;
	return LIVE_WAIT;
}

static void *guarded(struct session *session, void *base, size_t size)
{
	return memory_guard_watch(base, size, &session->lost) ? base : NULL;
}

// An open file description of its own: the lock must not live on in the mappings of
// targets.
static enum live_stage map_file(struct session *session, int *error_ret)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", session->live_lock);
	session->memory = open(name, O_RDWR | O_CLOEXEC);
	if (session->memory < 0) {
		*error_ret = errno;
		return LIVE_OPEN;
	}
	session->memory_reader = session_reopen(session->memory);
	session->durable = true;
	*error_ret = -session_map(session, session->memory);
	if (!*error_ret && !guarded(session, session->page, session->memory_size))
		*error_ret = EMFILE;
	return *error_ret ? LIVE_MAP : LIVE_NONE;
}

static size_t bytes_of(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 ? (size_t)st.st_size : 0;
}

static void name_writable(const struct session *session, char name_ret[static PATH_MAX])
{
	snprintf(name_ret, PATH_MAX, "%s-pending", session->live_path);
}

// The file that targets write, beside a FILE-live that is one's own or as it is.
static enum live_stage open_writable(struct session *session, bool alone, mode_t mode,
				     int *error_ret)
{
	struct session_shared *shared = &session->page->shared;
	const size_t size = sizeof(*session->writable);
	char name[PATH_MAX];
	struct stat st = {0};
	name_writable(session, name);
	session->live_pending_refused = true;
	enum live_stage stage = open_file(name, alone ? O_CREAT : 0, mode,
					  &session->writable_memory, error_ret);
	if (stage != LIVE_NONE)
		return stage == LIVE_OPEN && *error_ret == ENOENT ? LIVE_DAMAGED : stage;
	fstat(session->writable_memory, &st);
	bool known = st.st_dev == shared->writable[0] && st.st_ino == shared->writable[1];
	if (!known && (!alone || (st.st_size != 0 && (size_t)st.st_size != size)))
		return LIVE_DAMAGED;
	if ((size_t)st.st_size != size && ftruncate(session->writable_memory, (off_t)size) < 0) {
		*error_ret = errno;
		return LIVE_SPACE;
	}
	session->writable_reader = session_reopen(session->writable_memory);
	*error_ret = -session_map_writable(session, session->writable_memory);
	if (!*error_ret && !guarded(session, session->writable, size))
		*error_ret = EMFILE;
	session->live_pending_refused = *error_ret != 0;
	return *error_ret ? LIVE_MAP : LIVE_NONE;
}

// Holes again: it takes no room until a target joins it (session_fill_writable()).
static void clear_writable(struct session *session)
{
	const off_t size = sizeof(*session->writable);
	if (ftruncate(session->writable_memory, 0) < 0 ||
	    ftruncate(session->writable_memory, size) < 0)
		memset(session->writable, 0, sizeof(*session->writable));
}

static unsigned char *table_base(const struct session *session)
{
	return (unsigned char *)session->page + SESSION_TABLE_OFFSET;
}

// What an earlier one held is given back, and reads as 0. From the first byte on it is
// told from a file of somebody else's.
static enum live_stage make_new(struct session *session, int *error_ret)
{
	const uint32_t magic = LIVE_MAKING;
	*error_ret = 0;
	if (ftruncate(session->memory, 0) < 0 ||
	    pwrite(session->memory, &magic, sizeof(magic), 0) != sizeof(magic))
		*error_ret = errno;
	if (!*error_ret)
		*error_ret = -session_allocate(session->memory, 0, FIRST_BYTES);
	if (*error_ret)
		return LIVE_SPACE;
	session->page->shared.allocated = FIRST_BYTES;
	session->page->shared.layout = LIVE_LAYOUT;
	inode_table_format(&session->table, table_base(session),
			   FIRST_BYTES - SESSION_TABLE_OFFSET);
	return LIVE_NONE;
}

// What only lives as long as runs do.
static void reset_runs(struct session *session)
{
	struct session_page *page = session->page;
	atomic_store(&page->retirements, 0);
	atomic_store(&page->sandboxes, 0);
	atomic_store(&page->left_root, 0);
	atomic_store(&page->locking_umasks, 0);
	atomic_store(&page->pending_used, 0);
	atomic_store(&page->pending_closed, 0);
	atomic_store(&page->views, 0);
	for (int i = 0; i < SESSION_MOUNT_FACTS; i++)
		atomic_store(&page->mount_facts[i], 0);
	page->root_tag = 0;
	page->shared.published = 0;
	page->shared.writable_filled = 0;
	clear_writable(session);
	page->shared.settled = 0;
}

// Descriptors of removed files have gone with the runs.
static void drop_retired(struct session *session)
{
	struct inode_record record;
	uint32_t cursor = 0;
	if (atomic_load(&session->page->retirements) == 0)
		return;
	while (inode_table_next(&session->table, &cursor, &record))
		if (record.fields & INODE_RETIRED)
			metadata_remove(session, &record);
}

static enum live_stage recover(struct session *session)
{
	struct session_shared *shared = &session->page->shared;
	int error = inode_table_repair(&session->table);
	if (!error && atomic_load(&shared->redo_valid)) {
		struct inode_record redo = shared->redo;
		error = session_put(session, &redo);
	}
	if (error == -ENOSPC)
		return LIVE_RECOVER;
	if (error)
		return LIVE_DAMAGED;
	metadata_settle_all(session);
	atomic_store(&session->page->retirements, 1);
	atomic_store(&shared->changed, 1);
	atomic_store(&shared->writing, 0);
	return LIVE_NONE;
}

static enum live_stage attach(struct session *session, int *error_ret)
{
	struct session_shared *shared = &session->page->shared;
	size_t allocated = atomic_load(&shared->allocated);
	size_t size = bytes_of(session->memory);
	if (allocated <= size && allocated > session->memory_size) {
		*error_ret = ENOMEM; // RLIMIT_AS
		return LIVE_MAP;
	}
	if (allocated > size || allocated <= SESSION_TABLE_OFFSET ||
	    inode_table_attach(&session->table, table_base(session),
			       allocated - SESSION_TABLE_OFFSET) != 0)
		return LIVE_DAMAGED;
	return LIVE_NONE;
}

// Of the boot before a crash of the machine: some pages have reached the disk, others have
// not, in no order.
static bool is_of_this_boot(const struct session_shared *shared)
{
	uint64_t boot[2] = {0};
	read_boot(boot);
	return shared->boot[0] == boot[0] && shared->boot[1] == boot[1];
}

static uint32_t count_changed(struct session *session)
{
	struct inode_record record;
	uint32_t cursor = 0, count = 0;
	int error;
	if (attach(session, &error) != LIVE_NONE)
		return 0;
	while (inode_table_next(&session->table, &cursor, &record))
		count += (record.fields & (INODE_CHANGED_0 | INODE_CHANGED_1)) != 0;
	return count;
}

// Whether there is none yet that counts: nothing, or half of one. DAMAGED: somebody else's.
static enum live_stage look_at_file(struct session *session, bool *is_new_ret)
{
	size_t size = bytes_of(session->memory);
	uint32_t magic = 0;
	if (pread(session->memory, &magic, sizeof(magic), 0) < 0)
		return LIVE_DAMAGED;
	*is_new_ret = size == 0 || magic == LIVE_MAKING;
	if (!*is_new_ret && (magic != SESSION_PAGE_MAGIC || size < SESSION_TABLE_OFFSET))
		return LIVE_DAMAGED;
	const struct session_shared *shared = &session->page->shared;
	if (!*is_new_ret && shared->layout != LIVE_LAYOUT) {
		if (!shared->clean || atomic_load(&shared->changed))
			return LIVE_VERSION;
		*is_new_ret = true;
	}
	if (!*is_new_ret && !is_of_this_boot(shared)) {
		bool changed = atomic_load(&shared->changed) || atomic_load(&shared->writing);
		session->crash_lost = changed ? count_changed(session) : 0;
		session->crash_lost += changed && session->crash_lost == 0;
		*is_new_ret = true;
	}
	return LIVE_NONE;
}

static void note_owner(struct session *session, uint64_t pass)
{
	struct session_page *page = session->page;
	struct session_shared *shared = &page->shared;
	struct stat st = {0};
	fstat(session->writable_memory, &st);
	shared->writable[0] = st.st_dev;
	shared->writable[1] = st.st_ino;
	shared->boot[0] = shared->boot[1] = 0;
	read_boot(shared->boot);
	shared->pid_namespace = pid_namespace();
	shared->mapped_least = session->memory_size;
	page->pass = pass;
	atomic_store(&page->magic, SESSION_PAGE_MAGIC);
}

static enum live_stage take_over(struct session *session, mode_t mode, uint64_t pass,
				 int *error_ret)
{
	struct session_shared *shared = &session->page->shared;
	bool is_new;
	enum live_stage stage = look_at_file(session, &is_new);
	if (stage == LIVE_NONE)
		stage = is_new ? make_new(session, error_ret) : attach(session, error_ret);
	if (stage == LIVE_NONE)
		stage = open_writable(session, true, mode, error_ret);
	if (stage != LIVE_NONE)
		return stage;
	// Whoever had them is gone.
	memset((void *)shared->locks, 0, sizeof(shared->locks));
	session_make_locks(session, true);
	if (!is_new && !shared->clean)
		stage = recover(session);
	if (stage != LIVE_NONE)
		return stage;
	drop_retired(session);
	reset_runs(session);
	atomic_store(&shared->redo_valid, 0);
	shared->clean = 0;
	note_owner(session, pass);
	return LIVE_NONE;
}

// Locks work between processes that can name each other, of one kernel.
static enum live_stage join(struct session *session, mode_t mode, int *error_ret)
{
	const struct session_page *page = session->page;
	const struct session_shared *shared = &page->shared;
	if (bytes_of(session->memory) < SESSION_TABLE_OFFSET)
		return LIVE_DAMAGED;
	if (shared->layout != LIVE_LAYOUT)
		return LIVE_VERSION;
	if (!is_of_this_boot(shared) || shared->pid_namespace != pid_namespace())
		return LIVE_ELSEWHERE;
	if (atomic_load(&page->magic) != SESSION_PAGE_MAGIC)
		return LIVE_DAMAGED;
	enum live_stage stage = open_writable(session, false, mode, error_ret);
	if (stage != LIVE_NONE)
		return stage;
	session_make_locks(session, true);
	// From here on nobody makes it larger than what is mapped here.
	SCOPED_LOCK held = session_lock(session, &session->locks.table_writer);
	stage = attach(session, error_ret);
	if (stage == LIVE_NONE && session->memory_size < shared->mapped_least)
		session->page->shared.mapped_least = session->memory_size;
	return stage;
}

enum live_stage live_open(struct session *session, const char *path, mode_t mode, uint64_t pass,
			  bool *alone_ret, int *error_ret)
{
	*error_ret = 0;
	session->live_path = strdup(path);
	if (!session->live_path || strlen(path) + sizeof("-pending") > PATH_MAX) {
		*error_ret = session->live_path ? ENAMETOOLONG : ENOMEM;
		return LIVE_OPEN;
	}
	enum live_stage stage = open_locked(session, path, mode, alone_ret, error_ret);
	if (stage == LIVE_NONE)
		stage = map_file(session, error_ret);
	if (stage == LIVE_NONE)
		stage = *alone_ret ? take_over(session, mode, pass, error_ret)
				   : join(session, mode, error_ret);
	return stage;
}

void live_stand(struct session *session, const struct session_standing *standing)
{
	struct session_shared *shared = &session->page->shared;
	uint32_t next = atomic_load(&shared->standings) + 1;
	shared->standing[next % 2] = *standing;
	atomic_store(&shared->standings, next);
}

// Others may set it meanwhile.
struct session_standing live_standing(const struct session *session)
{
	const struct session_shared *shared = &session->page->shared;
	struct session_standing standing;
	uint32_t count;
	int tries = 0;
	do {
		count = atomic_load(&shared->standings);
		standing = shared->standing[count % 2];
	} while (atomic_load(&shared->standings) != count && ++tries < STANDING_TRIES);
	return standing;
}

void live_note_run(struct session *session, const char *program)
{
	struct session_shared *shared = &session->page->shared;
	SCOPED_LOCK held = session_lock(session, &session->locks.table_writer);
	memset(shared->program, 0, sizeof(shared->program));
	if (shared->runs++ == 0)
		snprintf(shared->program, sizeof(shared->program), "%s", program);
}

void live_end_run(struct session *session)
{
	struct session_shared *shared = &session->page->shared;
	SCOPED_LOCK held = session_lock(session, &session->locks.table_writer);
	if (shared->runs > 0)
		shared->runs--;
}

void live_program(const struct session *session, char program_ret[static SESSION_PROGRAM_BYTES])
{
	const struct session_shared *shared = &session->page->shared;
	memset(program_ret, 0, SESSION_PROGRAM_BYTES);
	if (shared->runs == 1)
		memcpy(program_ret, shared->program, SESSION_PROGRAM_BYTES - 1);
}

int live_share(struct session *session)
{
	session->page->shared.runs = 0;
	return flock(session->live_lock, LOCK_SH) < 0 ? -errno : 0;
}

int live_clear(struct session *session)
{
	int error = 0;
	uint64_t pass = session->page->pass;
	// A crash in the midst leaves one that is being made: it counts for nothing.
	atomic_store(&session->page->magic, LIVE_MAKING);
	if (make_new(session, &error) != LIVE_NONE)
		return -error;
	clear_writable(session);
	note_owner(session, pass);
	return 0;
}

// Removed, unless it holds what the state file has not, or many records.
static void tidy(struct session *session)
{
	struct session_shared *shared = &session->page->shared;
	char name[PATH_MAX];
	bool holds = atomic_load(&shared->changed) || atomic_load(&shared->writing) ||
		     inode_table_count(&session->table) > LIVE_KEPT;
	name_writable(session, name);
	if (!is_file(session->live_lock, session->live_path))
		return;
	if (is_file(session->writable_memory, name))
		unlink(name);
	if (!holds)
		unlink(session->live_path);
}

void live_leave(struct session *session)
{
	if (!session->durable || flock(session->live_lock, LOCK_EX | LOCK_NB) < 0)
		return;
	metadata_settle_all(session);
	drop_retired(session);
	atomic_store(&session->page->retirements, 0);
	if (atomic_load(&session->lost))
		return;
	session->page->shared.clean = 1;
	tidy(session);
	// Who waits for it need not wait for the end of this process.
	flock(session->live_lock, LOCK_UN);
}
