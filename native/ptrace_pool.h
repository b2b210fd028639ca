// SPDX-License-Identifier: Apache-2.0
//
// Requests under ptrace that may have to wait are handled by threads of their own; whatever
// they want of the target, the tracing thread does for them.
#ifndef FSC_PTRACE_POOL_H
#define FSC_PTRACE_POOL_H

#include "ptrace_call.h"
#include "ptrace_give.h"
#include "request.h"

#include <pthread.h>

struct job {
	struct request request;
	struct stopped_call call;
	struct outcome outcome;
	bool done; // the outcome stands; else a descriptor is to be given:
	struct gift gift;
	bool given;
	int result;
	struct job *next;        // to be handled, or to be told
	struct job *outstanding; // the list of all
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t come;  // jobs to be handled
	pthread_cond_t given; // descriptors
	struct job *first, **last;
	struct job *told; // to the tracing thread
	int workers, workers_most;
	int outstanding; // jobs that are not done
	pid_t tracer; // the tracing thread
	// For the tracing thread alone.
	struct job *jobs;
};

// The signal that tells the tracing thread, which blocks it, of something to be taken.
#define POOL_SIGNAL SIGUSR1

void pool_init(struct pool *pool);

// Whether any job is outstanding.
static inline bool pool_busy(const struct pool *pool)
{
	return pool->jobs != NULL;
}

enum pool_taken {
	POOL_TAKEN,
	POOL_FULL, // every thread that there may be has its job
	POOL_NONE, // no thread, or no memory
};

// Hands a request over: to a thread that is free for it or, if it may wait, to any.
enum pool_taken pool_submit(struct pool *pool, const struct request *request,
			    const struct stopped_call *call, bool may_wait);

// A job that has been handled or wants a descriptor for its target, or NULL.
struct job *pool_take(struct pool *pool);

// The descriptor that a job wanted has been given.
void pool_given(struct pool *pool, struct job *job, int result);

// A job that is done, and answered.
void pool_finish(struct pool *pool, struct job *job);

// The task has moved on, or ended, by somebody else's will: nobody waits for an answer.
void pool_forget(struct pool *pool, pid_t tid);

// Gives the target of a request a descriptor, from the thread that handles it.
int pool_give(struct pool *pool, const struct request *request, const struct gift *gift);

#endif
