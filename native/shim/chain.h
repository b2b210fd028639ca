// SPDX-License-Identifier: Apache-2.0
//
// The shim's place among the objects that define a name of libc's.
//
// A program gets the first definition in the order of loading: its own, then those of what it
// is preloaded with, then those of its libraries. One that stands before the shim calls it as
// the next (dlsym(3), RTLD_NEXT). One that stands between the shim and libc must be called by
// it: the call is passed on, whole, and what libc does in the end is the supervisor's to answer.
//
// Which names that concerns is found out once, when the shim is loaded. Each exported function
// begins with a stub that looks into its slot, which is empty but for those.
#ifndef FSC_SHIM_CHAIN_H
#define FSC_SHIM_CHAIN_H

#ifdef __x86_64__

// r11 has no argument, not even the number of those in vector registers. The code is as long as
// it is in every stub, so that stubs can be counted.
#define CHAIN_STUB_CODE(function)                                                                 \
	"	endbr64\n"                                                                        \
	"	movq 2f(%rip), %r11\n"                                                            \
	"	testq %r11, %r11\n"                                                               \
	"	jz 1f\n"                                                                          \
	"	jmp *%r11\n"                                                                      \
	"1:	jmp " function "\n"
#define CHAIN_SLOT "8"

#else

#define CHAIN_STUB_CODE(function)                                                                 \
	"	call 3f\n"                                                                        \
	"3:	popl %ecx\n"                                                                      \
	"	movl 2f-3b(%ecx), %ecx\n"                                                         \
	"	testl %ecx, %ecx\n"                                                               \
	"	jz 1f\n"                                                                          \
	"	jmp *%ecx\n"                                                                      \
	"1:	jmp " function "\n"
#define CHAIN_SLOT "4"

#endif

// Stubs and slots are in sections of their own, in the same order.
#define CHAIN_STUB(name, function)                                                                \
	__asm__(".pushsection chain_stubs, \"ax\", @progbits\n"                                   \
		".balign 8\n"                                                                     \
		".globl " name "\n"                                                               \
		".type " name ", @function\n"                                                     \
		name ":\n" CHAIN_STUB_CODE(function)                                              \
		".size " name ", .-" name "\n"                                                    \
		".balign 8\n"                                                                     \
		".popsection\n"                                                                   \
		".pushsection chain_slots, \"aw\", @nobits\n"                                     \
		"2:	.skip " CHAIN_SLOT "\n"                                                   \
		".popsection\n")

// Defines a function that programs call in libc's place. The shim's own calls of it do not
// enter by the stub.
#define EXPORTED(type, name, ...)                                                                 \
	CHAIN_STUB(#name, "shim_" #name);                                                         \
	type name(__VA_ARGS__) __asm__("shim_" #name);                                            \
	type name(__VA_ARGS__)

// A further name of an exported function.
#define ALSO(name, of) CHAIN_STUB(#name, "shim_" #of)

// Functions of libc that the shim uses. They are libc's own: what a program calls by these
// names may be another's, which libc would not have called here. NULL: there is none.
struct chain_libc {
	void *(*fdopen)(int fd, const char *mode);
	void *(*fdopendir)(int fd);
	void *(*_IO_fopen)(const char *path, const char *mode); // glibc's
	// glibc's, a point where a thread can be cancelled while it waits (a FIFO).
	int (*__open64)(const char *path, int flags, ...);
};

const struct chain_libc *chain_libc(void);

#endif
