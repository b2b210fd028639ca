// SPDX-License-Identifier: Apache-2.0
//
// Issues the system calls of a script, one a line from standard input, and prints
// a line for each: what it returned, errno, and what it wrote. It knows nothing of
// the calls: harness.py encodes arguments and decodes results.
//
//   call NR ARGUMENT...   -> RETURN ERRNO [SLOT:ok|broken:HEX]...
//   thread                -> 0 0; the rest of the script runs in a new thread
//   fork                  -> 0 0; the rest of the script runs in a child
//   exit                  -> 0 0; ends that thread or child: what made it goes on
//   exec HEX              -> executes a file of that name, the probe: it says 0 0;
//                            -1 ERRNO where that fails
//
// Arguments:
//   n:NUMBER      the register's value (hexadecimal, up to 64 bits)
//   s:HEX         a string whose NUL is the last byte before an unmapped page
//   x:HEX         a string across a page boundary, both pages mapped
//   u:HEX         bytes that run into an unmapped page, without NUL
//   b:SIZE        a buffer to be filled, its end before an unmapped page
//   c:SIZE        the same, with canaries around
//   t:SIZE:ROOM   the same, of which only ROOM bytes are mapped
//   r:SIZE        the same, read-only
//
// The script moves to a high descriptor, so that the calls have 0 to themselves.
#include "issue.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS ARGUMENTS
#define PAGE 4096u
#define DATA (4 * PAGE)
#define CANARY 64u
#define UNTOUCHED 0xa5
#define GUARD 0x5a
#define SCRIPT_FD 200
#define SECONDS_MOST 60

struct slot {
	unsigned char *data; // DATA bytes, an unmapped page behind them
	unsigned char *buffer;
	size_t size; // of what is shown
	int canaries;
	int read_only;
};

static struct slot slots[SLOTS];
static char *text; // the script as far as it is read
static size_t used, capacity;

static void die(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void prepare_slots(void)
{
	for (int i = 0; i < SLOTS; i++) {
		unsigned char *base = mmap(NULL, DATA + 2 * PAGE, PROT_NONE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (base == MAP_FAILED || mprotect(base + PAGE, DATA, PROT_READ | PROT_WRITE) < 0)
			die("mmap");
		slots[i].data = base + PAGE;
	}
}

static const char digits[] = "0123456789abcdef";

static unsigned digit(char hex)
{
	return (unsigned)(hex <= '9' ? hex - '0' : hex - 'a' + 10);
}

static size_t decode_hex(const char *hex, unsigned char *bytes)
{
	size_t size = 0;
	for (; *hex; hex += 2) {
		if (size == DATA) {
			errno = E2BIG;
			die("argument");
		}
		bytes[size++] = (unsigned char)(digit(hex[0]) << 4 | digit(hex[1]));
	}
	return size;
}

// Most of what the probe does is to show bytes.
static void show_hex(const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		putchar_unlocked(digits[bytes[i] >> 4]);
		putchar_unlocked(digits[bytes[i] & 15]);
	}
}

static unsigned long place_string(struct slot *slot, char kind, const char *hex)
{
	static unsigned char bytes[DATA + 1];
	size_t size = decode_hex(hex, bytes);
	bytes[size] = '\0';
	if (kind != 'u')
		size++;
	unsigned char *start = slot->data + DATA - size;
	if (kind == 'x')
		start = slot->data + DATA / 2 - (size > 1 ? size / 2 : 0);
	memcpy(start, bytes, size);
	return (unsigned long)start;
}

static unsigned long place_buffer(struct slot *slot, char kind, const char *numbers)
{
	char *rest;
	size_t size = strtoul(numbers, &rest, 16);
	size_t room = kind == 't' ? strtoul(rest + 1, NULL, 16) : size;
	slot->canaries = kind == 'c';
	slot->read_only = kind == 'r';
	slot->size = kind == 't' ? room : size;
	slot->buffer = slot->data + DATA - room - (slot->canaries ? CANARY : 0);
	memset(slot->buffer, UNTOUCHED, slot->size);
	if (slot->canaries) {
		memset(slot->buffer - CANARY, GUARD, CANARY);
		memset(slot->buffer + size, GUARD, CANARY);
	}
	if (slot->read_only && mprotect(slot->data, DATA, PROT_READ) < 0)
		die("mprotect");
	return (unsigned long)slot->buffer;
}

static unsigned long place(struct slot *slot, const char *token)
{
	slot->buffer = NULL;
	if (strchr("sxu", *token))
		return place_string(slot, *token, token + 2);
	if (strchr("bctr", *token))
		return place_buffer(slot, *token, token + 2);
	return (unsigned long)strtoull(token + 2, NULL, 16);
}

static int intact(const struct slot *slot)
{
	if (!slot->canaries)
		return 1;
	for (size_t i = 0; i < CANARY; i++)
		if (slot->buffer[-1 - (ptrdiff_t)i] != GUARD || slot->buffer[slot->size + i] != GUARD)
			return 0;
	return 1;
}

static void show(int number, struct slot *slot)
{
	if (!slot->buffer)
		return;
	printf(" %d:%s:", number, intact(slot) ? "ok" : "broken");
	show_hex(slot->buffer, slot->size);
	if (slot->read_only && mprotect(slot->data, DATA, PROT_READ | PROT_WRITE) < 0)
		die("mprotect");
}

static void call(char *line)
{
	unsigned long arguments[SLOTS] = {0};
	int count = 0;
	char *state;
	char *token = strtok_r(line, " ", &state);
	long number = (long)strtoull(token, NULL, 16);
	while ((token = strtok_r(NULL, " ", &state)) && count < SLOTS) {
		arguments[count] = place(&slots[count], token);
		count++;
	}
	errno = 0;
	long result = issue(number, arguments);
	printf("%ld %d", result, result == -1 ? errno : 0);
	for (int i = 0; i < count; i++)
		show(i, &slots[i]);
	putchar('\n');
}

// Returns the next line of the script in memory of its own, or NULL at its end.
static char *next_line(void)
{
	for (;;) {
		char *end = used ? memchr(text, '\n', used) : NULL;
		if (end) {
			*end = '\0';
			size_t taken = (size_t)(end - text) + 1;
			char *line = strdup(text);
			memmove(text, text + taken, used - taken);
			used -= taken;
			return line;
		}
		fflush(stdout);
		if (used == capacity) {
			capacity = capacity ? 2 * capacity : 65536;
			text = realloc(text, capacity);
			if (!text)
				die("realloc");
		}
		ssize_t got = read(SCRIPT_FD, text + used, capacity - used);
		if (got <= 0)
			return NULL;
		used += (size_t)got;
	}
}

static void execute(const char *hex)
{
	static unsigned char name[DATA + 1];
	name[decode_hex(hex, name)] = '\0';
	char *const arguments[] = {(char *)name, "executed", NULL};
	fflush(stdout);
	dup2(SCRIPT_FD, STDIN_FILENO);
	execv((char *)name, arguments);
	printf("-1 %d\n", errno);
}

static void *run(void *unused)
{
	(void)unused;
	char *line;
	while ((line = next_line())) {
		if (strncmp(line, "call ", 5) == 0) {
			call(line + 5);
		} else if (strcmp(line, "thread") == 0) {
			puts("0 0");
			pthread_t thread;
			errno = pthread_create(&thread, NULL, run, NULL);
			if (errno)
				die("pthread_create");
			pthread_join(thread, NULL);
		} else if (strcmp(line, "fork") == 0) {
			puts("0 0");
			fflush(stdout);
			pid_t child = fork();
			if (child < 0)
				die("fork");
			if (child > 0)
				waitpid(child, NULL, 0);
			else
				alarm(SECONDS_MOST);
		} else if (strncmp(line, "exec ", 5) == 0) {
			execute(line + 5);
		} else if (strcmp(line, "exit") == 0) {
			puts("0 0");
			free(line);
			return NULL;
		} else {
			errno = EINVAL;
			die(line);
		}
		free(line);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	(void)argv;
	// A call that hangs ends the probe, whatever becomes of the test.
	alarm(SECONDS_MOST);
	if (dup2(STDIN_FILENO, SCRIPT_FD) < 0)
		die("dup2");
	prepare_slots();
	if (argc > 1)
		puts("0 0");
	run(NULL);
	fflush(stdout);
	return 0;
}
