// SPDX-License-Identifier: Apache-2.0
//
// Directories in which files have been changed, more or less: where targets were, what
// they had open, what they named. A state file's records get their paths from there: whoever
// commits them knows the places of all runs, killed ones included, from the memory.
#ifndef FSC_PLACES_H
#define FSC_PLACES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct request;
struct session;

#define PLACES_MOST 2048
#define PLACES_PROCESSES 64

struct places {
	struct session *session;
	pthread_mutex_t lock; // guards the names
	char *names[PLACES_MOST];
	size_t count;
	// Of processes seen, by number: how many of their changes have been looked at.
	_Atomic uint64_t seen[PLACES_PROCESSES];
};

// NULL without memory.
struct places *places_new(struct session *session);
void places_free(struct places *places);

// Notes where the request's process is and what it has open, the first time; and what
// the request names, the first few times.
void places_note(struct places *places, struct request *request);

#endif
