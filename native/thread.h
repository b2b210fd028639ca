// SPDX-License-Identifier: Apache-2.0
//
// Threads that nobody waits for: they run until they return, or the process ends.
#ifndef FSC_THREAD_H
#define FSC_THREAD_H

#include <pthread.h>
#include <stddef.h>

#define THREAD_STACK ((size_t)1 << 20) // a Python handler's frames included

// Returns 0 or -errno.
static inline int thread_start(void *(*function)(void *), void *argument)
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

#endif
