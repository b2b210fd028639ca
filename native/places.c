// SPDX-License-Identifier: Apache-2.0
#include "places.h"

#include "durable.h"
#include "request.h"
#include "scope.h"
#include "target.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGES_SEEN 16 // of each process
#define DESCRIPTORS_SEEN 32

struct places *places_new(struct session *session)
{
	struct places *places = calloc(1, sizeof(*places));
	if (!places)
		return NULL;
	places->session = session;
	pthread_mutex_init(&places->lock, NULL);
	return places;
}

void places_free(struct places *places)
{
	for (size_t i = 0; places && i < places->count; i++)
		free(places->names[i]);
	free(places);
}

static void add(struct places *places, const char *name)
{
	if (*name != '/')
		return; // of no file: "pipe:[1]"
	pthread_mutex_lock(&places->lock);
	size_t i = 0;
	while (i < places->count && strcmp(places->names[i], name) != 0)
		i++;
	if (i == places->count && i < PLACES_MOST) {
		char *copy = strdup(name);
		if (copy) {
			places->names[places->count++] = copy;
			durable_add_place(places->session, name);
		}
	}
	pthread_mutex_unlock(&places->lock);
}

static void add_link(struct places *places, int directory, const char *link)
{
	char name[PATH_MAX];
	ssize_t length = readlinkat(directory, link, name, sizeof(name) - 1);
	if (length <= 0 || length >= (ssize_t)sizeof(name) - 1)
		return;
	name[length] = '\0';
	add(places, name);
}

static void add_process(struct places *places, pid_t tid)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/%d/cwd", tid);
	add_link(places, AT_FDCWD, name);
	snprintf(name, sizeof(name), "/proc/%d/fd", tid);
	DIR *open_ones = opendir(name);
	if (!open_ones)
		return;
	struct dirent *one;
	for (int i = 0; i < DESCRIPTORS_SEEN && (one = readdir(open_ones)); i++)
		if (*one->d_name != '.')
			add_link(places, dirfd(open_ones), one->d_name);
	closedir(open_ones);
}

static bool read_link(char *name, size_t size, const char *link)
{
	ssize_t length = readlink(link, name, size - 1);
	if (length < 0)
		return false;
	name[length] = '\0';
	return true;
}

// What the call names, from where it starts.
static void add_subject(struct places *places, const struct request *request)
{
	const struct syscall_row *row = request->row;
	char path[PATH_MAX] = "", name[2 * PATH_MAX], link[48];
	int position = row->dirfd >= 0 ? row->dirfd : row->fd;
	int fd = position >= 0 ? (int)request->args[position] : AT_FDCWD;
	if (row->path >= 0 &&
	    target_read_path(request->tid, request->args[row->path], path) < 0)
		return;
	if (*path == '/') {
		add(places, path);
		return;
	}
	if (fd == AT_FDCWD)
		snprintf(link, sizeof(link), "/proc/%d/cwd", request->tid);
	else
		snprintf(link, sizeof(link), "/proc/%d/fd/%d", request->tid, fd);
	if (!read_link(name, PATH_MAX, link))
		return;
	size_t length = strlen(name);
	if (*path)
		snprintf(name + length, sizeof(name) - length, "/%s", path);
	add(places, name);
}

void places_note(struct places *places, struct request *request)
{
	uint64_t tid = (uint64_t)request->tid << 32;
	_Atomic uint64_t *seen = &places->seen[(unsigned)request->tid % PLACES_PROCESSES];
	uint64_t before = atomic_load(seen);
	if (before >> 32 != (uint64_t)request->tid) {
		atomic_store(seen, tid);
		add_process(places, request->tid);
		before = tid;
	}
	if ((uint32_t)before >= CHANGES_SEEN)
		return;
	atomic_store(seen, before + 1);
	add_subject(places, request);
}
