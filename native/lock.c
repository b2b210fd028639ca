// SPDX-License-Identifier: Apache-2.0
#include "lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAITERS (1u << 31)
#define OWNER (WAITERS - 1) // pid_max is 2^22 at most
#define FILE_ROOM 48
#define LOOK_AGAIN 0.1      // seconds, whether the owner still lives

static uint32_t own_pid;

static void note_pid(void)
{
	own_pid = (uint32_t)getpid();
}

static void follow_forks(void)
{
	note_pid();
	pthread_atfork(NULL, NULL, note_pid);
}

void lock_init(struct lock *lock, lock_word *word, bool others)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, follow_forks); // getpid() is a system call
	pthread_mutex_init(&lock->mutex, NULL);
	lock->word = word;
	lock->others = others;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static struct timespec span(double seconds)
{
	time_t whole = (time_t)seconds;
	return (struct timespec){whole, (long)((seconds - (double)whole) * 1e9)};
}

// Killed, and nobody has asked what has become of it.
static bool is_zombie(uint32_t pid)
{
	char name[32], state = ' ';
	snprintf(name, sizeof(name), "/proc/%u/stat", pid);
	FILE *file = fopen(name, "re");
	if (!file)
		return false;
	// The name of a program may have parentheses, too: ours has none.
	bool read = fscanf(file, "%*d (%*[^)]) %c", &state) == 1;
	fclose(file);
	return read && (state == 'Z' || state == 'X');
}

// "MAJOR:MINOR INODE", as maps says of each mapping, of the file that an address is in.
static bool file_of(const void *address, char file_ret[static FILE_ROOM])
{
	char line[512];
	bool found = false;
	FILE *maps = fopen("/proc/self/maps", "re");
	while (maps && !found && fgets(line, sizeof(line), maps)) {
		uintptr_t start, end;
		char device[16], inode[24];
		found = sscanf(line, "%lx-%lx %*s %*s %15s %23s", &start, &end, device, inode) == 4 &&
			(uintptr_t)address >= start && (uintptr_t)address < end;
		if (found)
			snprintf(file_ret, FILE_ROOM, " %s %s", device, inode);
	}
	if (maps)
		fclose(maps);
	return found;
}

// A word that was overwritten names anybody. Who has the lock has mapped it, which can be
// read of processes of one's own, and of them alone.
static bool has_mapped(uint32_t owner, const struct lock *lock)
{
	char file[FILE_ROOM], name[32], line[512];
	snprintf(name, sizeof(name), "/proc/%u/maps", owner);
	FILE *maps = file_of((const void *)lock->word, file) ? fopen(name, "re") : NULL;
	bool any = false, found = false;
	while (maps && !found && fgets(line, sizeof(line), maps)) {
		any = true;
		found = strstr(line, file) != NULL;
	}
	if (maps)
		fclose(maps);
	return found || (!any && lock->others);
}

// waited: worth a closer look.
static bool lives(uint32_t owner, const struct lock *lock, bool waited)
{
	if (kill((pid_t)owner, 0) < 0 && (errno == ESRCH || !lock->others))
		return false;
	return !waited || (!is_zombie(owner) && has_mapped(owner, lock));
}

// Sleeps until the word has changed, for a while at the most. Memory that has gone is
// no error here (EFAULT).
static void sleep_on(lock_word *word, uint32_t value, double seconds)
{
	struct timespec timeout = span(seconds < LOOK_AGAIN ? seconds : LOOK_AGAIN);
	if (syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0) < 0 && errno != EAGAIN &&
	    errno != ETIMEDOUT && errno != EINTR)
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
}

// Waits while the owner lives, for so many seconds at the most. Returns what the word has
// become: another owner, or none, or this one, who is to lose it.
static uint32_t wait_for(struct lock *lock, uint32_t seen, double seconds)
{
	lock_word *word = lock->word;
	const uint32_t owner = seen & OWNER;
	const double end = now() + seconds;
	bool waited = false;
	for (double left = seconds; left > 0 && lives(owner, lock, waited); left = end - now()) {
		if (seen & WAITERS ||
		    atomic_compare_exchange_strong(word, &seen, seen | WAITERS))
			sleep_on(word, seen | WAITERS, left);
		waited = true;
		seen = atomic_load(word);
		if ((seen & OWNER) != owner)
			break;
	}
	return seen;
}

// rob: takes it from an owner who lives, too, once the time is over.
static bool take_word(struct lock *lock, double seconds, bool rob, bool *died_ret)
{
	lock_word *word = lock->word;
	uint32_t seen = 0;
	*died_ret = false;
	if (atomic_compare_exchange_strong(word, &seen, own_pid))
		return true;
	// Who waits his turn among many waits longer than for one, but not for ever.
	const double end = now() + (rob ? 4 * seconds : seconds);
	for (double left = seconds; left > 0; left = end - now()) {
		uint32_t owner = seen & OWNER;
		if (owner != 0)
			seen = wait_for(lock, seen, left < seconds ? left : seconds);
		if ((seen & OWNER) != 0 && (seen & OWNER) != owner)
			continue;
		if ((seen & OWNER) != 0 && !rob && lives(owner, lock, true))
			return false;
		*died_ret = (seen & OWNER) != 0;
		if (atomic_compare_exchange_strong(word, &seen, own_pid | WAITERS))
			return true;
	}
	*died_ret = rob;
	if (rob)
		atomic_store(word, own_pid | WAITERS);
	return rob;
}

bool lock_acquire(struct lock *lock)
{
	bool died = false;
	pthread_mutex_lock(&lock->mutex);
	if (lock->word)
		take_word(lock, LOCK_PATIENCE, true, &died);
	return died;
}

bool lock_acquire_within(struct lock *lock, double seconds, bool *died_ret)
{
	struct timespec until;
	double end = now() + seconds;
	*died_ret = false;
	clock_gettime(CLOCK_REALTIME, &until);
	struct timespec wait = span(seconds);
	until.tv_sec += wait.tv_sec + (until.tv_nsec + wait.tv_nsec) / 1000000000;
	until.tv_nsec = (until.tv_nsec + wait.tv_nsec) % 1000000000;
	if (pthread_mutex_timedlock(&lock->mutex, &until) != 0)
		return false;
	if (!lock->word || take_word(lock, end - now(), false, died_ret))
		return true;
	pthread_mutex_unlock(&lock->mutex);
	return false;
}

// What is not ours any more is left alone: it was taken, or overwritten.
void lock_release_word(lock_word *word)
{
	uint32_t seen = atomic_load(word);
	while ((seen & OWNER) == own_pid && !atomic_compare_exchange_strong(word, &seen, 0))
		continue;
	if ((seen & OWNER) == own_pid && seen & WAITERS)
		syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}
