// SPDX-License-Identifier: Apache-2.0
//
// What all workers of one supervisor share.
#ifndef FSC_SESSION_H
#define FSC_SESSION_H

#include "inode_table.h"
#include "lock.h"
#include "preload.h"
#include "session_page.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct event_source;
struct outcome;
struct places;
struct request;

// Runs a Python handler (module.c) for a request whose row has a Python home.
typedef void python_dispatch(struct request *request, struct outcome *outcome);

#define SESSION_RETIRED 16384
enum session_nameless {
	SESSION_NAMELESS_PIPE,
	SESSION_NAMELESS_ANONYMOUS, // epoll and the like
	SESSION_NAMELESS_MEMORY,    // memfd_create(2)
	SESSION_NAMELESS_SOCKET,
	SESSION_NAMELESS,
};

// Of the memory: with a state file they are those of all its supervisors, by way of their
// words in the page.
struct session_locks {
	// Also guards the blocks of extended attributes.
	struct lock table_writer;
	// Settling pending changes is one step, too. Taken before an inode's lock.
	struct lock settling;
	// Writing to the state file. Taken before all others.
	struct lock committing;
	// Reading, deciding and writing one file's record is one step: changes of
	// the same file take turns. Never held across anything that can wait for
	// a target. Taken before table_writer.
	struct lock inodes[SESSION_INODE_LOCKS];
};

_Static_assert(sizeof(struct session_locks) == SESSION_LOCKS * sizeof(struct lock), "one word each");

struct session {
	const struct event_source *source; // of the requests (answer.h)
	int listener;        // of seccomp notifications, or -1
	int command_changes; // under ptrace: what has become of COMMAND (ptrace.h), or -1
	int filters;         // of ours that every target runs under
	atomic_bool every_call; // under ptrace: of a target stops it, whatever the filter says
	atomic_bool on_trial; // COMMAND is not executed yet (trial.h)
	const char *refused; // the system call for whose sake the session cannot be, or ""
	int watch;    // the workers' epoll instance
	int mounts;   // the list of mounts, mounts.h
	// The files of the memory, session_page.h; -1: not there, or nobody's but our own.
	int memory;
	int memory_reader;   // the same for reading only: what targets get
	int writable_memory; // what targets get to write to
	int writable_reader;
	int live_lock; // of the file beside a state file (live.h), or -1
	char *live_path; // of that file
	bool live_pending_refused; // not that file, but the one that targets write
	uint32_t crash_lost; // changes in it that a crash of the machine has cut off
	size_t memory_size;
	struct session_page *page;
	struct session_writable *writable;
	struct inode_table table;
	struct session_locks locks;
	bool durable; // the memory is a file beside a state file
	// That file has been cut off, or cannot be read: the memory is another, and empty.
	atomic_bool lost;

	// The retired records, oldest next to be forgotten: nobody can tell when
	// the last descriptor of a removed file is closed. Under table_writer.
	struct file_identity retired[SESSION_RETIRED];
	unsigned retired_next;

	bool privileged;        // the supervisor has capabilities
	atomic_bool landlocked; // some target has restricted itself, landlock.h
	atomic_bool namespaces; // some target may be in another user namespace, namespace.h
	bool kernel_has_x32;
	bool null_path_is_empty; // Linux 6.11: AT_EMPTY_PATH takes a NULL path

	_Atomic uint32_t changes; // of records since the session began
	atomic_bool local; // all mounts are: looking at a file does not wait for others

	dev_t proc_dev; // the device of /proc
	dev_t own_dev;  // the file behind the supervisor's /proc/self/exe
	ino_t own_ino;
	// Devices of nameless files, as the supervisor's own descriptors are. A path
	// that leads to one goes through /proc/self/fd.
	dev_t nameless_devs[SESSION_NAMELESS];

	struct preload preload;
	struct places *places; // where files are changed, or NULL

	python_dispatch *python;
	// Called when COMMAND has ended, and again once the last target has if anything has
	// changed since. Returns the exit status to give instead of COMMAND's, or -1.
	int (*ended)(struct session *session);
	int control; // messages to the front process, see control.h
	atomic_bool told_unreadable;
	atomic_bool told_no_btime;
	atomic_bool told_no_tracing;
	atomic_bool told_no_map;
};

// A session without anything, in zeroed memory.
void session_init(struct session *session);

// Makes a session that can be run, in a memory of its own unless it has one. Returns 0,
// or a negative errno with session->refused: -ENOENT for a missing /proc, -EXDEV for one of
// another PID namespace, -EPERM or -ENOSYS for a refused call, -ENOMEM, -EMFILE.
int session_create(struct session *session);
void session_destroy(struct session *session);

// Makes a memory of its own for a session. Returns 0 or -errno.
int session_create_memory(struct session *session);
void session_unmap(struct session *session);

// Maps the records of a file, as much of it as this process may; -1: memory without a file.
int session_map(struct session *session, int fd);

// Maps what targets write.
int session_map_writable(struct session *session, int fd);

// Opens the descriptor once more, for reading only. Returns -1 where that cannot be.
int session_reopen(int fd);

// posix_fallocate(3), whatever the user's soft limit of file sizes. Returns 0 or -errno.
int session_allocate(int fd, size_t from, size_t bytes);

// Makes the locks; shared: with the supervisors of other runs.
void session_make_locks(struct session *session, bool shared);

// Waits for a lock. What a killed owner has left half done is finished first.
struct lock *session_lock(struct session *session, struct lock *lock);

// The same, but not for longer than so many seconds: false.
bool session_lock_within(struct session *session, struct lock *lock, double seconds);

// Makes room for all that targets may write, before one of them does. With the table's
// writer held. Returns 0 or -errno.
int session_fill_writable(struct session *session);

// Makes room for what the table may take next: on a disk, before it is written to. With
// the table's writer held. Returns 0, or -ENOSPC where there is none but for what targets
// have been promised.
int session_make_room(struct session *session);

// Puts a record into the table, with the table's writer held, so that no kill can tear it.
int session_put(struct session *session, const struct inode_record *record);

// Tells targets what they may know, before the first of them runs. Until then
// the pass is 0, which no filter has.
void session_publish(struct session *session, uint64_t pass, bool unknown_is_real);

// Lets go of what the supervisor inherited, before the first worker starts: the
// working directory, the umask (handlers create with the target's) and every
// descriptor but the session's, one more to keep, and standard error. A pipe that
// the supervisor held open would not end for its reader when COMMAND closes it.
// Returns 0 or -errno.
int session_detach(struct session *session, int keep);

// How many requests may be handled at a time, at the most, for the descriptors that they hold.
int session_workers_allowed(int most);

// Lets go of standard error too, once nothing can fail any more that the user
// must be told of by way of it.
void session_detach_errors(void);

#endif
