// SPDX-License-Identifier: Apache-2.0
//
// A lock among the threads of one supervisor, and, where it has a word in memory that
// several supervisors share, among those, too.
//
// Programs may write to that memory. So the word is a number and nothing else: the process
// that has the lock, and whether others wait. No pointer is followed (as pthread's robust
// mutexes need), and no wait is without end: what names no living process is free, and who
// has a lock for longer than LOCK_PATIENCE loses it. The threads of this process exclude
// each other whatever the word says.
#ifndef FSC_LOCK_H
#define FSC_LOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOCK_PATIENCE 30.0 // seconds

typedef _Atomic uint32_t lock_word;

struct lock {
	pthread_mutex_t mutex;
	lock_word *word; // NULL: this process is alone
	bool others;     // other users may have it, too
};

#define LOCK_INITIALIZER(mutex) {mutex, NULL, false}

void lock_init(struct lock *lock, lock_word *word, bool others);

// Waits for the lock. Returns whether its owner has died (or was too slow): then what that
// was at is to be finished.
bool lock_acquire(struct lock *lock);

// The same, but not for longer than so many seconds, and from nobody who lives: false.
bool lock_acquire_within(struct lock *lock, double seconds, bool *died_ret);

// Waits for a lock of this process: SCOPED_LOCK held = lock_hold(&lock);
static inline struct lock *lock_hold(struct lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
	return lock;
}

void lock_release_word(lock_word *word);

static inline void lock_release(struct lock *lock)
{
	if (lock->word)
		lock_release_word(lock->word);
	pthread_mutex_unlock(&lock->mutex);
}

#endif
