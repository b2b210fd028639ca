// SPDX-License-Identifier: Apache-2.0
//
// The memory beside a state file, as a kill leaves it after each single store: whoever opens
// it next goes on, finds it of one state file or another, never of a mixture, and each record
// as before or as after. A process goes through the life of such a memory, one instruction at
// a time; whenever the files have become others, a copy of them is opened by somebody else.
//
// A few thousand instructions, of one commit; with FAKEROOT_SC_TEST_EXAMPLES in the
// environment all 1,400,000 of them, which takes minutes.
#include "durable.h"
#include "live.h"
#include "metadata.h"
#include "scope.h"
#include "xattr_store.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORDS 12u
#define WATCHED ((size_t)12 << 10) // of the file: what this life uses
#define STEPS_MOST 40000000

static char directory[] = "/tmp/fakeroot-sc-live.XXXXXX";

static void name_file(char name_ret[static 100], const char *file, const char *suffix)
{
	snprintf(name_ret, 100, "%s/%s-live%s", directory, file, suffix);
}

static struct session *open_live(const char *file, bool *alone_ret)
{
	char name[100];
	int error;
	struct session *session = calloc(1, sizeof(*session));
	if (!session)
		abort();
	session_init(session);
	name_file(name, file, "");
	enum live_stage stage = live_open(session, name, 0600, 99, alone_ret, &error);
	if (stage == LIVE_NONE)
		return session;
	fprintf(stderr, "refused: stage %d, errno %d\n", (int)stage, error);
	return NULL;
}

// Whose words all follow from its stamp.
static struct session_standing standing_of(uint64_t stamp)
{
	struct session_standing standing = {.stamp = stamp, .next_stamp = stamp * 3};
	for (int i = 0; i < 5; i++)
		standing.file[i] = stamp * 7 + (uint64_t)i;
	return standing;
}

static struct inode_record record_of(uint64_t ino, uint32_t uid)
{
	return (struct inode_record){
		.identity = {.dev = 5, .ino = ino, .btime_sec = uid, .btime_nsec = uid},
		.fields = INODE_UID | INODE_GID | INODE_MODE,
		.uid = uid,
		.gid = ~uid,
		.mode = 0100000 | (uid & 0777),
	};
}

static void put(struct session *session, uint64_t ino, uint32_t uid)
{
	struct inode_record record = record_of(ino, uid);
	char value[8] = {(char)ino};
	if (ino % 3 == 0)
		xattr_store_put(session, &record.xattrs, "trusted.a", value, sizeof(value));
	metadata_store(session, &record);
}

static void commit(struct session *session, uint64_t stamp)
{
	struct durable_rows rows;
	struct session_standing standing = standing_of(stamp);
	SCOPED_LOCK held = session_lock(session, &session->locks.committing);
	if (durable_collect(session, false, &rows) == 0) {
		live_stand(session, &standing);
		durable_finish(session, &rows);
	} else {
		durable_give_up(session);
	}
	durable_free(&rows);
}

static void live(bool whole)
{
	bool alone;
	if (whole)
		raise(SIGSTOP);
	struct session *session = open_live("s", &alone);
	if (!session)
		_exit(1);
	commit(session, 1);
	live_share(session);
	live_note_run(session, "a program");
	for (uint32_t ino = 1; ino <= RECORDS; ino++)
		put(session, ino, ino);
	if (!whole)
		raise(SIGSTOP);
	commit(session, 2);
	if (!whole)
		raise(SIGUSR1);
	for (uint32_t ino = 1; ino <= RECORDS; ino += 2)
		put(session, ino, 100 + ino);
	struct inode_record last = record_of(RECORDS, RECORDS);
	{
		SCOPED_LOCK held = session_lock(session, &session->locks.table_writer);
		metadata_remove(session, &last);
	}
	commit(session, 3);
	live_end_run(session);
	live_clear(session);
	commit(session, 4);
	live_leave(session);
	_exit(0);
}

static int check_copy(void)
{
	bool alone;
	struct session *session = open_live("copy", &alone);
	if (!session || !alone)
		return 1;
	struct session_standing found = live_standing(session), whole = standing_of(found.stamp);
	if (found.stamp > 4 || (found.stamp != 0 && memcmp(&found, &whole, sizeof(found)) != 0)) {
		fprintf(stderr, "a mixture of standings: %u\n", (unsigned)found.stamp);
		return 1;
	}
	for (uint32_t ino = 1; ino <= RECORDS; ino++) {
		struct inode_record record;
		enum inode_lookup got = inode_table_find(&session->table, 5, ino, &record);
		if (got == INODE_ABSENT)
			continue;
		struct inode_record right = record_of(ino, record.uid);
		if (got != INODE_FOUND || (record.uid != ino && record.uid != 100 + ino) ||
		    record.gid != right.gid || record.mode != right.mode ||
		    record.identity.btime_sec != right.identity.btime_sec) {
			fprintf(stderr, "record %u is torn\n", ino);
			return 1;
		}
	}
	put(session, 77, 77);
	commit(session, found.stamp + 1);
	live_leave(session);
	return 0;
}

static bool copy(const char *suffix)
{
	static char bytes[(size_t)1 << 20];
	char from[100], to[100];
	name_file(from, "s", suffix);
	name_file(to, "copy", suffix);
	unlink(to);
	SCOPED_FD in = open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return true;
	SCOPED_FD out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t size = read(in, bytes, sizeof(bytes));
	return out >= 0 && size >= 0 && write(out, bytes, (size_t)size) == size;
}

static bool next_one_goes_on(void)
{
	int status = 1;
	if (!copy("") || !copy("-pending"))
		return false;
	pid_t next = fork();
	if (next == 0)
		_exit(check_copy());
	return waitpid(next, &status, 0) == next && status == 0;
}

// The file as it is now; false if it is as it was. A file may have become shorter than its
// mapping: read, it cannot fault.
static bool has_changed(void)
{
	static char before[WATCHED], now[WATCHED];
	static ssize_t size_before = -1;
	static int fd = -1;
	if (fd < 0) {
		char name[100];
		name_file(name, "s", "");
		fd = open(name, O_RDONLY | O_CLOEXEC);
	}
	ssize_t size = fd < 0 ? -1 : pread(fd, now, sizeof(now), 0);
	if (size == size_before && (size < 0 || memcmp(before, now, (size_t)size) == 0))
		return false;
	size_before = size;
	memcpy(before, now, sizeof(now));
	return true;
}

int main(void)
{
	const bool whole = getenv("FAKEROOT_SC_TEST_EXAMPLES") != NULL;
	int status, stores = 0, failed = 0;
	long steps = 0;
	if (!mkdtemp(directory))
		return 2;
	pid_t child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		live(whole);
	}
	waitpid(child, &status, 0);
	for (; steps < STEPS_MOST && WIFSTOPPED(status) && failed < 5; steps++) {
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0 ||
		    waitpid(child, &status, 0) != child)
			break;
		if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1) {
			ptrace(PTRACE_DETACH, child, NULL, NULL);
			waitpid(child, &status, 0);
			break;
		}
		if (has_changed()) {
			stores++;
			failed += !next_one_goes_on();
		}
	}
	printf("%ld steps, %d stores, %d refused\n", steps, stores, failed);
	for (const char *const *suffix = (const char *const[]){"", "-pending", NULL}; *suffix; suffix++) {
		char name[100];
		name_file(name, "copy", *suffix);
		unlink(name);
		name_file(name, "s", *suffix);
		unlink(name);
	}
	rmdir(directory);
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0 || failed > 0 || stores < (whole ? 500 : 30);
}
