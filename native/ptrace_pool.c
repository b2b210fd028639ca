// SPDX-License-Identifier: Apache-2.0
#include "ptrace_pool.h"

#include "answer.h"
#include "thread.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORKERS_MOST 256

void pool_init(struct pool *pool)
{
	*pool = (struct pool){.tracer = (pid_t)syscall(SYS_gettid)};
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->come, NULL);
	pthread_cond_init(&pool->given, NULL);
	pool->last = &pool->first;
	pool->workers_most = session_workers_allowed(WORKERS_MOST);
}

// With the lock held.
static void tell(struct pool *pool, struct job *job)
{
	job->next = pool->told;
	pool->told = job;
	syscall(SYS_tgkill, getpid(), pool->tracer, POOL_SIGNAL);
}

static struct job *next_job(struct pool *pool)
{
	while (!pool->first)
		pthread_cond_wait(&pool->come, &pool->lock);
	struct job *job = pool->first;
	pool->first = job->next;
	if (!pool->first)
		pool->last = &pool->first;
	return job;
}

static void *work(void *argument)
{
	struct pool *pool = argument;
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct job *job = next_job(pool);
		pthread_mutex_unlock(&pool->lock);
		dispatch(&job->request, &job->outcome);
		answer_copy_out(&job->request, &job->outcome);
		pthread_mutex_lock(&pool->lock);
		job->done = true;
		pool->outstanding--;
		tell(pool, job);
	}
	return NULL;
}

// With the lock held. Each job that waits has a thread of its own as long as there may be
// more: one may wait for what another's target serves.
static enum pool_taken find_worker(struct pool *pool)
{
	if (pool->outstanding >= pool->workers && pool->workers < pool->workers_most)
		pool->workers += thread_start(work, pool) == 0;
	if (pool->workers == 0)
		return POOL_NONE;
	// Those that have just been started are on their way to be idle.
	return pool->outstanding < pool->workers ? POOL_TAKEN : POOL_FULL;
}

enum pool_taken pool_submit(struct pool *pool, const struct request *request,
			    const struct stopped_call *call, bool may_wait)
{
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		return POOL_NONE;
	job->request = *request;
	job->call = *call;
	job->request.stopped = &job->call;
	pthread_mutex_lock(&pool->lock);
	enum pool_taken taken = find_worker(pool);
	if (taken == POOL_FULL && may_wait)
		taken = POOL_TAKEN;
	if (taken == POOL_TAKEN) {
		pool->outstanding++;
		*pool->last = job;
		pool->last = &job->next;
		pthread_cond_signal(&pool->come);
	}
	pthread_mutex_unlock(&pool->lock);
	if (taken != POOL_TAKEN) {
		free(job);
		return taken;
	}
	job->outstanding = pool->jobs;
	pool->jobs = job;
	return taken;
}

struct job *pool_take(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	struct job *job = pool->told;
	if (job)
		pool->told = job->next;
	pthread_mutex_unlock(&pool->lock);
	return job;
}

void pool_given(struct pool *pool, struct job *job, int result)
{
	pthread_mutex_lock(&pool->lock);
	job->result = result;
	job->given = true;
	pthread_cond_broadcast(&pool->given);
	pthread_mutex_unlock(&pool->lock);
}

void pool_finish(struct pool *pool, struct job *job)
{
	struct job **link = &pool->jobs;
	while (*link != job)
		link = &(*link)->outstanding;
	*link = job->outstanding;
	free(job);
}

void pool_forget(struct pool *pool, pid_t tid)
{
	for (struct job *job = pool->jobs; job; job = job->outstanding)
		if (job->request.tid == tid)
			atomic_store(&job->call.gone, true);
}

int pool_give(struct pool *pool, const struct request *request, const struct gift *gift)
{
	struct job *job =
		(struct job *)((char *)request->stopped - offsetof(struct job, call));
	pthread_mutex_lock(&pool->lock);
	job->gift = *gift;
	job->given = false;
	tell(pool, job);
	while (!job->given)
		pthread_cond_wait(&pool->given, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	return job->result;
}
