// SPDX-License-Identifier: Apache-2.0
//
// The strings belong to the program that executes another, and stay as they are
// changed if that fails, or if it is a child after vfork(2), whose memory is its
// parent's: each further execution starts from whichever form it finds.
#include "preload.h"

#include "answer.h"
#include "request.h"
#include "rules.h"
#include "target.h"

#include <string.h>
#include <sys/stat.h>

#define VARIABLE "LD_PRELOAD="
#define VARIABLE_LENGTH (sizeof(VARIABLE) - 1)
#define TRACES "LD_TRACE_LO" // the beginning of LD_TRACE_LOADED_OBJECTS, as long as the other
#define VALUES_MOST 8        // of one name
#define POINTERS 64        // read at a time
#define VARIABLES_MOST 8192 // of an environment that are looked at
#define VALUE_MOST 4096

#define SUFFIX_X86_64 "64.so"
#define SUFFIX_I386 "32.so"

void preload_init(struct preload *preload, const char *path)
{
	struct stat st;
	size_t suffix = strlen(SUFFIX_X86_64);
	size_t length = path ? strlen(path) : 0;
	pthread_mutex_init(&preload->lock, NULL);
	if (length < suffix || length >= PATH_MAX || stat(path, &st) < 0)
		return;
	preload->dev = st.st_dev;
	preload->ino = st.st_ino;
	memcpy(preload->form[PRELOAD_X86_64], path, length + 1);
	memcpy(preload->form[PRELOAD_I386], path, length - suffix);
	memcpy(preload->form[PRELOAD_I386] + length - suffix, SUFFIX_I386, suffix + 1);
	memset(preload->form[PRELOAD_NOTHING], ':', length);
	preload->has_i386 = stat(preload->form[PRELOAD_I386], &st) == 0;
	preload->length = length;
}

static struct preload_program *slot(struct preload *preload, const struct statx *real)
{
	return &preload->programs[(real->stx_ino ^ real->stx_dev_minor) % PRELOAD_PROGRAMS];
}

static bool is_same(const struct preload_program *program, const struct statx *real)
{
	return program->ino == real->stx_ino &&
	       program->dev == rules_dev(real->stx_dev_major, real->stx_dev_minor) &&
	       program->ctime_sec == real->stx_ctime.tv_sec &&
	       program->ctime_nsec == real->stx_ctime.tv_nsec;
}

bool preload_recall(struct preload *preload, const struct statx *real,
		    enum executable_kind *kind_ret)
{
	pthread_mutex_lock(&preload->lock);
	const struct preload_program *program = slot(preload, real);
	bool known = is_same(program, real);
	*kind_ret = program->kind;
	pthread_mutex_unlock(&preload->lock);
	return known;
}

void preload_remember(struct preload *preload, const struct statx *real,
		      enum executable_kind kind)
{
	pthread_mutex_lock(&preload->lock);
	*slot(preload, real) = (struct preload_program){
		.dev = rules_dev(real->stx_dev_major, real->stx_dev_minor),
		.ino = real->stx_ino,
		.ctime_sec = real->stx_ctime.tv_sec,
		.ctime_nsec = real->stx_ctime.tv_nsec,
		.kind = kind,
	};
	pthread_mutex_unlock(&preload->lock);
}

static bool is_separator(char character)
{
	return character == ':' || character == ' ' || character == '\0';
}

// Where in the value, from a place on, the form stands as an element, or -1.
static ptrdiff_t find_form(const char *value, ptrdiff_t from, const char *form, size_t length)
{
	for (const char *at = value + from; (at = strstr(at, form)); at++)
		if ((at == value || is_separator(at[-1])) && is_separator(at[length]))
			return at - value;
	return -1;
}

// Up to POINTERS of the environment, which ends with a NULL. Returns how many.
static int read_pointers(const struct request *request, uint64_t address,
			 uint64_t pointers_ret[static POINTERS])
{
	unsigned width = request->narrow ? sizeof(uint32_t) : sizeof(uint64_t);
	size_t room = 4096 - (address & 4095);
	unsigned count = POINTERS;
	if (room >= width && room / width < count)
		count = (unsigned)(room / width);
	if (!request->narrow)
		return target_read(request->tid, address, pointers_ret, count * width) ? 0
										: (int)count;
	uint32_t narrow[POINTERS];
	if (target_read(request->tid, address, narrow, count * width) != 0)
		return 0;
	for (unsigned i = 0; i < count; i++)
		pointers_ret[i] = narrow[i];
	return (int)count;
}

// Gives every shim in a value the form. Returns false once the target has gone.
static bool change_value(const struct request *request, uint64_t address, enum preload_form form)
{
	struct preload *preload = &request->session->preload;
	char value[VALUE_MOST];
	if (target_read_path(request->tid, address, value) < 0)
		return true;
	for (int found = 0; found < PRELOAD_FORMS; found++) {
		ptrdiff_t from = 0, at;
		while (found != (int)form &&
		       (at = find_form(value, from, preload->form[found], preload->length)) >= 0) {
			if (!notification_valid(request))
				return false;
			atomic_store(&preload->changed, true);
			target_write(request->tid, address + (uint64_t)at, preload->form[form],
				     preload->length);
			from = at + (ptrdiff_t)preload->length;
		}
	}
	return true;
}

// Of several variables of one name, loaders go by the last, others by the first.
struct variables {
	uint64_t values[VALUES_MOST]; // where they are in the target
	int count;
	bool traced; // the loader shall list what it would load (ld.so(8))
};

static void find_variables(const struct request *request, uint64_t environment,
			   struct variables *found)
{
	unsigned width = request->narrow ? sizeof(uint32_t) : sizeof(uint64_t);
	char heads[POINTERS][VARIABLE_LENGTH];
	uint64_t pointers[POINTERS];
	for (int seen = 0; environment != 0 && seen < VARIABLES_MOST;) {
		int count = read_pointers(request, environment + (uint64_t)seen * width, pointers);
		int known = 0;
		while (known < count && pointers[known] != 0)
			known++;
		target_read_heads(request->tid, pointers, (unsigned)known, VARIABLE_LENGTH, heads);
		for (int i = 0; i < known; i++) {
			if (memcmp(heads[i], TRACES, VARIABLE_LENGTH) == 0)
				found->traced = true;
			if (memcmp(heads[i], VARIABLE, VARIABLE_LENGTH) == 0 &&
			    found->count < VALUES_MOST)
				found->values[found->count++] = pointers[i] + VARIABLE_LENGTH;
		}
		if (count == 0 || known < count)
			return;
		seen += count;
	}
}

void preload_change(const struct request *request, uint64_t environment, enum preload_form form)
{
	struct variables found = {.count = 0};
	find_variables(request, environment, &found);
	if (found.traced)
		form = PRELOAD_NOTHING;
	if (form == PRELOAD_X86_64 && !atomic_load(&request->session->preload.changed))
		return;
	for (int i = 0; i < found.count; i++)
		if (!change_value(request, found.values[i], form))
			return;
}
