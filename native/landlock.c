// SPDX-License-Identifier: Apache-2.0
//
// Facts about landlock(7) that shape this file:
//  - A thread restricts itself, by a descriptor of rules, for ever. Restrictions add up, and are
//    inherited by clone(2) and execve(2). So they are credentials of the target (credentials.h).
//  - The rules cannot be read from the descriptor, but whoever has it can be restricted by it: a
//    thread of the supervisor, for one act, and then it ends. That costs some 50 us.
//  - A restricted thread may look into no process outside of its own restriction: all that an
//    act needs to know is found out before.
//  - Looking, chmod(2), chown(2), times and extended attributes are not restricted.
#include "landlock.h"

#include "credentials.h"
#include "kernel.h"
#include "request.h"
#include "scope.h"
#include "target.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#define LAYERS_MOST 16    // LANDLOCK_MAX_NUM_LAYERS
#define LOGGING 7u        // flags that say what is logged
#define ALL_THREADS 8u    // LANDLOCK_RESTRICT_SELF_TSYNC, Linux 7.0

// The last ones are kept, or as many as descriptors allow. What has restricted itself before
// that, and still lives, has no more acts made for it.
#define RULES_KEPT 256

struct rules {
	uint64_t number;
	uint64_t before; // by which it was restricted already, or 0
	int fd;          // or -1: it could not be had
};

// Guards what follows; held while the rules are applied, not during an act.
static struct lock applying = LOCK_INITIALIZER(PTHREAD_MUTEX_INITIALIZER);
static struct rules kept[RULES_KEPT];
static unsigned kept_most; // of them, once there are any
static uint64_t newest;

static struct rules *place_of(uint64_t number)
{
	return &kept[number % kept_most];
}

// Returns how many restrictions there are, the oldest last, or -EACCES where some is not known.
static int find_rules(uint64_t number, int fds_ret[static LAYERS_MOST])
{
	int count = 0;
	while (number != 0) {
		const struct rules *rules = place_of(number);
		if (rules->number != number || rules->fd < 0 || count == LAYERS_MOST)
			return -EACCES;
		fds_ret[count++] = rules->fd;
		number = rules->before;
	}
	return count;
}

static int apply(uint64_t number)
{
	int fds[LAYERS_MOST];
	SCOPED_LOCK held = lock_hold(&applying);
	int count = find_rules(number, fds);
	if (count < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -EACCES;
	for (int i = count; i-- > 0;)
		if (syscall(SYS_landlock_restrict_self, fds[i], 0) < 0)
			return -EACCES;
	return 0;
}

// ---- acts ----

struct acting {
	uint64_t rules;
	act_function *function;
	void *context;
	long result;
};

static void *act_restricted(void *argument)
{
	struct acting *acting = argument;
	int error = apply(acting->rules);
	acting->result = error ? error : acting->function(acting->context);
	return NULL;
}

static long run_restricted(struct acting *acting)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, act_restricted, acting);
	if (error)
		return -EACCES;
	pthread_join(thread, NULL);
	return acting->result;
}

long act_run(const struct request *request, act_function *function, void *context)
{
	struct acting acting = {.function = function, .context = context};
	if (atomic_load_explicit(&request->session->landlocked, memory_order_relaxed))
		acting.rules = credentials_of(request)->landlock;
	return acting.rules ? run_restricted(&acting) : function(context);
}

struct call {
	long number;
	long args[5];
};

static long make_call(void *context)
{
	const struct call *call = context;
	long result = syscall(call->number, call->args[0], call->args[1], call->args[2],
			      call->args[3], call->args[4]);
	return result < 0 ? -errno : result;
}

long act(const struct request *request, long number, long a, long b, long c, long d, long e)
{
	struct call call = {.number = number, .args = {a, b, c, d, e}};
	return act_run(request, make_call, &call);
}

// ---- landlock_restrict_self(2) ----

static bool names_rules(const struct request *request)
{
	char name[48], link[64];
	snprintf(name, sizeof(name), "/proc/%d/fd/%d", request->tid,
		 (int)request->args[request->row->fd]);
	ssize_t size = readlink(name, link, sizeof(link) - 1);
	link[size < 0 ? 0 : size] = '\0';
	return strstr(link, "landlock-ruleset");
}

struct trial {
	uint64_t before;
	int fd;
	unsigned flags;
};

static long try_restriction(void *context)
{
	const struct trial *trial = context;
	return syscall(SYS_landlock_restrict_self, trial->fd, trial->flags) < 0 ? -errno : 0;
}

// Whether the call will succeed. Where that cannot be tried it counts as a success: then the
// target has no acts made for it that it might be refused.
static bool will_succeed(const struct request *request, uint64_t before, int fd)
{
	struct trial trial = {
		.fd = fd,
		.flags = (uint32_t)request->args[request->row->landlock_flags] & LOGGING,
	};
	struct acting acting = {.rules = before, .function = try_restriction, .context = &trial};
	long result = fd < 0 ? 0 : run_restricted(&acting);
	return result == 0 || result == -EACCES;
}

static uint64_t keep(uint64_t before, int fd)
{
	SCOPED_LOCK held = lock_hold(&applying);
	if (kept_most == 0)
		kept_most = (unsigned)session_workers_allowed(RULES_KEPT);
	uint64_t number = ++newest;
	struct rules *rules = place_of(number);
	if (rules->number != 0)
		scope_close(&rules->fd);
	*rules = (struct rules){.number = number, .before = before, .fd = fd};
	return number;
}

static int restrict_thread(const struct request *request, pid_t tid, uint64_t rules)
{
	struct request of = *request;
	of.tid = tid;
	struct credentials next = *credentials_of(&of);
	next.landlock = rules;
	return credentials_set(&of, &next);
}

static int restrict_all_threads(const struct request *request, uint64_t rules)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/%d/task", request->tid);
	DIR *threads = opendir(name);
	struct dirent *entry;
	int error = threads ? 0 : -EAGAIN;
	while (!error && (entry = readdir(threads))) {
		pid_t tid = atoi(entry->d_name);
		if (tid > 0 && tid != request->tid)
			error = restrict_thread(request, tid, rules);
	}
	if (threads)
		closedir(threads);
	return error;
}

// The kernel executes it. What it will have done is noted before, so that no act comes between.
void op_landlock(struct request *request, struct outcome *outcome)
{
	outcome_continue(outcome);
	if (!names_rules(request))
		return;
	atomic_store(&request->session->landlocked, true);
	uint64_t before = credentials_of(request)->landlock;
	SCOPED_FD fd = target_take_descriptor(request->tid, (int)request->args[request->row->fd]);
	if (!will_succeed(request, before, fd))
		return;
	uint64_t rules = keep(before, fd_release(&fd));
	int error = restrict_thread(request, request->tid, rules);
	if (!error && request->args[request->row->landlock_flags] & ALL_THREADS)
		error = restrict_all_threads(request, rules);
	if (error)
		outcome_result(outcome, error);
}
