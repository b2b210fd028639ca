// SPDX-License-Identifier: Apache-2.0
//
// pthread_create(3) makes threads by clone3(2), and by clone(2) where that is unknown (ENOSYS).
// Container profiles from before Linux 5.3 refuse clone3 with EPERM, and pthread_create fails
// then, while fork(2), which is clone, works. Of two filters that answer by an errno the one
// installed last counts (seccomp(2)): so a filter of our own makes it unknown again.
#include "thread.h"

#include "kernel.h"

#include <errno.h>
#include <linux/filter.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

// Of the process: filters are, and are never removed.
static bool clone3_hidden;

static bool hide_clone3(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};
	if (clone3_hidden || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return false;
	clone3_hidden = true;
	return true;
}

static int create(void *(*function)(void *), void *argument)
{
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int error = pthread_create(&thread, &attributes, function, argument);
	pthread_attr_destroy(&attributes);
	return -error;
}

int thread_start(void *(*function)(void *), void *argument)
{
	int error = create(function, argument);
	return error == -EPERM && hide_clone3() ? create(function, argument) : error;
}

int thread_filters(void)
{
	return clone3_hidden;
}
