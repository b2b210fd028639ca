// SPDX-License-Identifier: Apache-2.0
//
// The file is read, not mapped: one that is cut off meanwhile would end a reader of
// its mapping by SIGBUS. Whatever it says, nothing is read beyond the bounds below.
#include "executable.h"

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define SEGMENTS_MOST 64
#define DYNAMIC_MOST 256 // entries
#define NAME_MOST 32     // bytes of a library's name that are looked at

// An ELF file of either word size, in the terms of the larger.
struct elf {
	int fd;
	bool wide;
	int segments;
	Elf64_Phdr segment[SEGMENTS_MOST];
	int entries;
	Elf64_Dyn entry[DYNAMIC_MOST]; // of the dynamic section, up to DT_NULL
};

static bool read_at(int fd, uint64_t offset, void *bytes, size_t size)
{
	return offset <= INT64_MAX && pread(fd, bytes, size, (off_t)offset) == (ssize_t)size;
}

static bool read_segments(struct elf *elf, uint64_t offset, unsigned count, unsigned size)
{
	Elf32_Phdr narrow[SEGMENTS_MOST];
	elf->segments = (int)count;
	if (count > SEGMENTS_MOST || size != (elf->wide ? sizeof(Elf64_Phdr) : sizeof(*narrow)))
		return false;
	if (elf->wide)
		return read_at(elf->fd, offset, elf->segment, count * sizeof(*elf->segment));
	if (!read_at(elf->fd, offset, narrow, count * sizeof(*narrow)))
		return false;
	for (unsigned i = 0; i < count; i++)
		elf->segment[i] = (Elf64_Phdr){
			.p_type = narrow[i].p_type,
			.p_offset = narrow[i].p_offset,
			.p_vaddr = narrow[i].p_vaddr,
			.p_filesz = narrow[i].p_filesz,
		};
	return true;
}

static const Elf64_Phdr *segment_of_type(const struct elf *elf, uint32_t type)
{
	for (int i = 0; i < elf->segments; i++)
		if (elf->segment[i].p_type == type)
			return &elf->segment[i];
	return NULL;
}

static void read_dynamic(struct elf *elf)
{
	const Elf64_Phdr *dynamic = segment_of_type(elf, PT_DYNAMIC);
	Elf32_Dyn narrow[DYNAMIC_MOST];
	size_t size = elf->wide ? sizeof(Elf64_Dyn) : sizeof(*narrow);
	size_t count = dynamic ? dynamic->p_filesz / size : 0;
	if (count > DYNAMIC_MOST)
		count = DYNAMIC_MOST;
	if (count == 0 || !read_at(elf->fd, dynamic->p_offset,
				   elf->wide ? (void *)elf->entry : (void *)narrow, count * size))
		return;
	for (size_t i = 0; i < count; i++) {
		if (!elf->wide)
			elf->entry[i] = (Elf64_Dyn){.d_tag = narrow[i].d_tag,
						    .d_un.d_val = narrow[i].d_un.d_val};
		if (elf->entry[i].d_tag == DT_NULL)
			break;
		elf->entries++;
	}
}

// Where in the file an address is loaded from; 0 for nowhere.
static uint64_t file_offset(const struct elf *elf, uint64_t address)
{
	for (int i = 0; i < elf->segments; i++) {
		const Elf64_Phdr *segment = &elf->segment[i];
		if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
		    address - segment->p_vaddr < segment->p_filesz)
			return segment->p_offset + (address - segment->p_vaddr);
	}
	return 0;
}

// The shared runtimes of sanitizers; AddressSanitizer's ends the program unless it
// comes first.
static bool is_sanitizer(const char *name)
{
	static const char *const runtimes[] = {
		"libasan.", "libhwasan.", "liblsan.", "libtsan.", "libubsan.", "libclang_rt.",
	};
	for (size_t i = 0; i < sizeof(runtimes) / sizeof(*runtimes); i++)
		if (strncmp(name, runtimes[i], strlen(runtimes[i])) == 0)
			return true;
	return false;
}

static bool needs_sanitizer(const struct elf *elf)
{
	uint64_t strings = 0;
	for (int i = 0; i < elf->entries; i++)
		if (elf->entry[i].d_tag == DT_STRTAB)
			strings = file_offset(elf, elf->entry[i].d_un.d_ptr);
	for (int i = 0; strings && i < elf->entries; i++) {
		char name[NAME_MOST] = "";
		uint64_t offset = strings + elf->entry[i].d_un.d_val;
		if (elf->entry[i].d_tag == DT_NEEDED && offset <= INT64_MAX &&
		    pread(elf->fd, name, sizeof(name) - 1, (off_t)offset) > 0 &&
		    is_sanitizer(name))
			return true;
	}
	return false;
}

static bool is_position_independent(const struct elf *elf)
{
	for (int i = 0; i < elf->entries; i++)
		if (elf->entry[i].d_tag == DT_FLAGS_1)
			return elf->entry[i].d_un.d_val & DF_1_PIE;
	return false;
}

static enum executable_kind kind_of_elf(int fd, const unsigned char *head)
{
	struct elf elf = {.fd = fd, .wide = head[EI_CLASS] == ELFCLASS64};
	Elf64_Ehdr wide;
	Elf32_Ehdr narrow;
	memcpy(&wide, head, sizeof(wide));
	memcpy(&narrow, head, sizeof(narrow));
	bool ours = elf.wide ? wide.e_machine == EM_X86_64 : narrow.e_machine == EM_386;
	bool read = elf.wide ? read_segments(&elf, wide.e_phoff, wide.e_phnum, wide.e_phentsize)
			     : read_segments(&elf, narrow.e_phoff, narrow.e_phnum,
					     narrow.e_phentsize);
	if (!ours)
		return EXECUTABLE_FOREIGN;
	if (!read)
		return EXECUTABLE_UNKNOWN;
	// A loader that is executed itself has no loader, but a dynamic section; so have
	// static programs at any address, which say that they are programs.
	if (!segment_of_type(&elf, PT_INTERP) && !segment_of_type(&elf, PT_DYNAMIC))
		return EXECUTABLE_STATIC;
	read_dynamic(&elf);
	if (!segment_of_type(&elf, PT_INTERP) && is_position_independent(&elf))
		return EXECUTABLE_STATIC;
	if (needs_sanitizer(&elf))
		return EXECUTABLE_FOREIGN;
	return elf.wide ? EXECUTABLE_X86_64 : EXECUTABLE_I386;
}

// fs/binfmt_script.c: blanks, then the path up to a blank or the end of the line.
static void read_interpreter(const char *head, char path_ret[static EXECUTABLE_HEAD])
{
	head += strspn(head, " \t");
	size_t length = strcspn(head, " \t\n");
	memcpy(path_ret, head, length);
	path_ret[length] = '\0';
}

void executable_read(int fd, struct executable *executable_ret)
{
	union {
		unsigned char bytes[EXECUTABLE_HEAD];
		char text[EXECUTABLE_HEAD];
	} head = {0};
	executable_ret->kind = EXECUTABLE_UNKNOWN;
	*executable_ret->interpreter = '\0';
	if (pread(fd, head.bytes, sizeof(head.bytes) - 1, 0) < 2)
		return;
	if (memcmp(head.bytes, ELFMAG, SELFMAG) == 0) {
		executable_ret->kind = kind_of_elf(fd, head.bytes);
	} else if (memcmp(head.text, "#!", 2) == 0) {
		executable_ret->kind = EXECUTABLE_SCRIPT;
		read_interpreter(head.text + 2, executable_ret->interpreter);
	}
}
