// SPDX-License-Identifier: Apache-2.0
#include "live.h"

#include "metadata.h"
#include "scope.h"
#include "xattr_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define FIRST_BYTES ((size_t)4 << 20)
#define WAIT_STEPS 3000 // of 10 ms
#define REOPENINGS 100

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
	return fstat(fd, &opened) == 0 && stat(path, &named) == 0 &&
	       opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// The file may be removed, or replaced, while its lock is waited for.
static enum live_stage open_locked(struct session *session, const char *path, mode_t mode,
				   bool *alone_ret, int *error_ret)
{
	for (int i = 0; i < REOPENINGS; i++) {
		SCOPED_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, mode);
		struct stat st;
		if (fd < 0 || fstat(fd, &st) < 0) {
			*error_ret = errno;
			return LIVE_OPEN;
		}
		*error_ret = 0;
		if (!S_ISREG(st.st_mode))
			return LIVE_DAMAGED;
		enum live_stage stage = lock_file(fd, alone_ret, error_ret);
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
	session_open_reader(session);
	session->durable = true;
	*error_ret = -session_map(session, session->memory);
	return *error_ret ? LIVE_MAP : LIVE_NONE;
}

static size_t bytes_of(const struct session *session)
{
	struct stat st;
	return fstat(session->memory, &st) == 0 ? (size_t)st.st_size : 0;
}

static unsigned char *table_base(const struct session *session)
{
	return (unsigned char *)session->page + SESSION_TABLE_OFFSET;
}

static enum live_stage make_new(struct session *session, int *error_ret)
{
	// What an earlier one held is given back, and reads as 0.
	*error_ret = ftruncate(session->memory, 0) < 0 ? errno : 0;
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
	memset(session->writable, 0, sizeof(*session->writable));
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
	if (!error && atomic_load(&shared->redo_valid))
		error = session_put(session, &shared->redo);
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
	if (allocated <= bytes_of(session) && allocated > session->memory_size) {
		*error_ret = ENOMEM; // RLIMIT_AS
		return LIVE_MAP;
	}
	if (allocated > bytes_of(session) || allocated <= SESSION_TABLE_OFFSET ||
	    inode_table_attach(&session->table, table_base(session),
			       allocated - SESSION_TABLE_OFFSET) != 0)
		return LIVE_DAMAGED;
	return LIVE_NONE;
}

static enum live_stage take_over(struct session *session, uint64_t pass, int *error_ret)
{
	struct session_page *page = session->page;
	struct session_shared *shared = &page->shared;
	size_t size = bytes_of(session);
	enum live_stage stage = LIVE_NONE;
	uint32_t magic = 0;
	// What was being made when it was killed begins with nothing.
	if (pread(session->memory, &magic, sizeof(magic), 0) < 0 ||
	    (magic != 0 && (magic != SESSION_PAGE_MAGIC || size < SESSION_TABLE_OFFSET)))
		return LIVE_DAMAGED;
	bool is_new = magic == 0;
	if (!is_new && shared->layout != LIVE_LAYOUT) {
		if (!shared->clean || shared->changed)
			return LIVE_VERSION;
		is_new = true;
	}
	if (is_new)
		stage = make_new(session, error_ret);
	else
		stage = attach(session, error_ret);
	if (stage != LIVE_NONE)
		return stage;
	*error_ret = -session_make_locks(session);
	if (*error_ret)
		return LIVE_MAP;
	if (!is_new && !shared->clean)
		stage = recover(session);
	if (stage != LIVE_NONE)
		return stage;
	drop_retired(session);
	reset_runs(session);
	atomic_store(&shared->redo_valid, 0);
	shared->clean = 0;
	shared->boot[0] = shared->boot[1] = 0;
	read_boot(shared->boot);
	shared->pid_namespace = pid_namespace();
	shared->mapped_least = session->memory_size;
	page->pass = pass;
	atomic_store(&page->magic, SESSION_PAGE_MAGIC);
	return LIVE_NONE;
}

// Locks work between processes that can name each other, of one kernel.
static enum live_stage join(struct session *session, int *error_ret)
{
	const struct session_page *page = session->page;
	const struct session_shared *shared = &page->shared;
	uint64_t boot[2] = {0};
	read_boot(boot);
	if (bytes_of(session) < SESSION_TABLE_OFFSET)
		return LIVE_DAMAGED;
	if (shared->layout != LIVE_LAYOUT)
		return LIVE_VERSION;
	if (shared->boot[0] != boot[0] || shared->boot[1] != boot[1] ||
	    shared->pid_namespace != pid_namespace())
		return LIVE_ELSEWHERE;
	if (atomic_load(&page->magic) != SESSION_PAGE_MAGIC)
		return LIVE_DAMAGED;
	// From here on nobody makes it larger than what is mapped here.
	SCOPED_LOCK held = session_lock(session, &session->locks->table_writer);
	enum live_stage stage = attach(session, error_ret);
	if (stage == LIVE_NONE && session->memory_size < shared->mapped_least)
		session->page->shared.mapped_least = session->memory_size;
	return stage;
}

enum live_stage live_open(struct session *session, const char *path, mode_t mode, uint64_t pass,
			  bool *alone_ret, int *error_ret)
{
	*error_ret = 0;
	enum live_stage stage = open_locked(session, path, mode, alone_ret, error_ret);
	if (stage == LIVE_NONE)
		stage = map_file(session, error_ret);
	if (stage == LIVE_NONE)
		stage = *alone_ret ? take_over(session, pass, error_ret) : join(session, error_ret);
	return stage;
}

void live_note_run(struct session *session, const char *program)
{
	struct session_shared *shared = &session->page->shared;
	SCOPED_LOCK held = session_lock(session, &session->locks->table_writer);
	memset(shared->program, 0, sizeof(shared->program));
	if (shared->runs++ == 0)
		snprintf(shared->program, sizeof(shared->program), "%s", program);
}

void live_end_run(struct session *session)
{
	struct session_shared *shared = &session->page->shared;
	SCOPED_LOCK held = session_lock(session, &session->locks->table_writer);
	if (shared->runs > 0)
		shared->runs--;
}

const char *live_program(const struct session *session)
{
	const struct session_shared *shared = &session->page->shared;
	return shared->runs == 1 ? shared->program : "";
}

int live_share(struct session *session)
{
	session->page->shared.runs = 0;
	return flock(session->live_lock, LOCK_SH) < 0 ? -errno : 0;
}

int live_clear(struct session *session)
{
	struct session_page *page = session->page;
	struct session_shared *shared = &page->shared;
	int error = 0;
	uint64_t pass = page->pass;
	// A crash in the midst leaves no magic: then the file counts for nothing.
	atomic_store(&page->magic, 0);
	if (make_new(session, &error) != LIVE_NONE)
		return -error;
	error = session_make_locks(session);
	if (error)
		return error;
	read_boot(shared->boot);
	shared->pid_namespace = pid_namespace();
	shared->mapped_least = session->memory_size;
	page->pass = pass;
	atomic_store(&page->magic, SESSION_PAGE_MAGIC);
	return 0;
}

void live_leave(struct session *session)
{
	if (!session->durable || flock(session->live_lock, LOCK_EX | LOCK_NB) < 0)
		return;
	metadata_settle_all(session);
	drop_retired(session);
	atomic_store(&session->page->retirements, 0);
	session->page->shared.clean = 1;
}
