// SPDX-License-Identifier: Apache-2.0
//
// An object to preload: it counts the calls of each name in NAMES and MORE, X(name) by
// X(name), and passes them on to the next definition.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __x86_64__
#define WORD "8"
#define STUB(name)                                                                                \
	"	lock incl counts_" name "(%rip)\n"                                                \
	"	jmp *next_" name "(%rip)\n"
#else
#define WORD "4"
#define STUB(name)                                                                                \
	"	call 1f\n"                                                                        \
	"1:	popl %ecx\n"                                                                      \
	"	lock incl counts_" name "-1b(%ecx)\n"                                             \
	"	jmp *next_" name "-1b(%ecx)\n"
#endif

#define X(name)                                                                                   \
	__asm__(".text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n" STUB(#name)   \
		".local next_" #name ", counts_" #name "\n"                                       \
		".comm next_" #name ", " WORD ", 8\n.comm counts_" #name ", 4, 8\n");
NAMES MORE
#undef X

#define X(name)                                                                                   \
	extern void *my_next_##name __asm__("next_" #name);                                       \
	extern int my_counts_##name __asm__("counts_" #name);
NAMES MORE
#undef X

__attribute__((constructor)) static void find_next(void)
{
#define X(name) my_next_##name = dlsym(RTLD_NEXT, #name);
	NAMES MORE
#undef X
}

int counted(const char *name)
{
	int count = 0;
#define X(known)                                                                                  \
	if (strcmp(name, "all") == 0 || strcmp(name, #known) == 0) {                              \
		count += my_counts_##known;                                                       \
		my_counts_##known = 0;                                                            \
	}
	NAMES MORE
#undef X
	return count;
}
