// SPDX-License-Identifier: Apache-2.0
//
// The loader's list of objects (_r_debug of glibc, _dl_debug_addr of musl) is in the order in
// which they were loaded, and so in that of a program's own scope. It is read while the loader
// starts the program, when nobody else loads anything. What a program loads later by dlopen(3)
// comes behind libc, and defines nothing that the program has not got.
#include "chain.h"

#include <linux/elf.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __x86_64__
typedef Elf64_Sym elf_symbol;
typedef Elf64_Dyn elf_dynamic;
#else
typedef Elf32_Sym elf_symbol;
typedef Elf32_Dyn elf_dynamic;
#endif

#ifndef DT_GNU_HASH
#define DT_GNU_HASH 0x6ffffef5
#endif
#ifndef STT_GNU_IFUNC
#define STT_GNU_IFUNC 10
#endif
#define STB_GNU_UNIQUE 10

#define VERSION_MASK 0x7fff
#define VERSION_HIDDEN 0x8000 // not the default one
#define VERSION_GLOBAL 1      // none

#define NAMES_MOST 160

struct link_map { // <link.h>
	uintptr_t base;
	const char *name;
	const elf_dynamic *dynamic;
	const struct link_map *next;
};

struct debug { // struct r_debug
	int version;
	const struct link_map *map;
};

extern const struct debug _r_debug __attribute__((weak));
extern const struct debug *const _dl_debug_addr __attribute__((weak));
extern const elf_dynamic _DYNAMIC[] __attribute__((visibility("hidden")));
extern const char *gnu_get_libc_version(void) __attribute__((weak));

// The stubs and their slots, all of one size each (the linker's names).
extern const char __start_chain_stubs[] __attribute__((visibility("hidden")));
extern const char __stop_chain_stubs[] __attribute__((visibility("hidden")));
extern _Atomic(uintptr_t) __start_chain_slots[] __attribute__((visibility("hidden")));
extern _Atomic(uintptr_t) __stop_chain_slots[] __attribute__((visibility("hidden")));

struct object {
	uintptr_t base;
	const elf_symbol *symbols;
	const char *strings;
	const uint32_t *gnu_hash, *hash;
	const uint16_t *versions;
};

// glibc adds the base to the addresses of a dynamic section that can be written, musl to none.
static const void *place_of(uintptr_t base, uintptr_t address)
{
	return (const void *)(address < base ? base + address : address);
}

static bool read_object(const struct link_map *map, struct object *object_ret)
{
	*object_ret = (struct object){.base = map->base};
	for (const elf_dynamic *entry = map->dynamic; entry && entry->d_tag != DT_NULL; entry++) {
		const void *place = place_of(map->base, entry->d_un.d_ptr);
		switch ((uint32_t)entry->d_tag) {
		case DT_SYMTAB:
			object_ret->symbols = place;
			break;
		case DT_STRTAB:
			object_ret->strings = place;
			break;
		case DT_GNU_HASH:
			object_ret->gnu_hash = place;
			break;
		case DT_HASH:
			object_ret->hash = place;
			break;
		case DT_VERSYM:
			object_ret->versions = place;
			break;
		}
	}
	return object_ret->symbols && object_ret->strings;
}

static bool is_equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static uint32_t gnu_hash_of(const char *name)
{
	uint32_t hash = 5381;
	while (*name)
		hash = hash * 33 + (unsigned char)*name++;
	return hash;
}

static uint32_t hash_of(const char *name)
{
	uint32_t hash = 0;
	while (*name) {
		hash = (hash << 4) + (unsigned char)*name++;
		hash ^= hash >> 24 & 0xf0;
		hash &= 0x0fffffff;
	}
	return hash;
}

static bool defines(const struct object *object, uint32_t index, const char *name)
{
	const elf_symbol *symbol = &object->symbols[index];
	unsigned type = symbol->st_info & 0xf, bind = symbol->st_info >> 4;
	return symbol->st_shndx != SHN_UNDEF && symbol->st_value != 0 &&
	       (type == STT_FUNC || type == STT_NOTYPE || type == STT_GNU_IFUNC) &&
	       (bind == STB_GLOBAL || bind == STB_WEAK || bind == STB_GNU_UNIQUE) &&
	       !(object->versions && object->versions[index] & VERSION_HIDDEN) &&
	       is_equal(object->strings + symbol->st_name, name);
}

// The index of the symbol of an object that defines the name, 0 for none.
static uint32_t find_by_gnu_hash(const struct object *object, const char *name, uint32_t hash)
{
	const uint32_t *table = object->gnu_hash;
	uint32_t buckets = table[0], first = table[1], words = table[2], shift = table[3];
	const unsigned bits = sizeof(uintptr_t) * 8;
	const uintptr_t *bloom = (const uintptr_t *)(table + 4);
	const uint32_t *bucket = (const uint32_t *)(bloom + words), *chain = bucket + buckets;
	uintptr_t word = bloom[hash / bits & (words - 1)];
	if (!(word >> hash % bits & word >> (hash >> shift) % bits & 1) || buckets == 0)
		return 0;
	uint32_t index = bucket[hash % buckets];
	if (index < first)
		return 0;
	for (;; index++) {
		uint32_t its = chain[index - first];
		if ((its | 1) == (hash | 1) && defines(object, index, name))
			return index;
		if (its & 1)
			return 0;
	}
}

static uint32_t find(const struct object *object, const char *name, uint32_t gnu_hash)
{
	if (object->gnu_hash)
		return find_by_gnu_hash(object, name, gnu_hash);
	if (!object->hash || object->hash[0] == 0)
		return 0;
	const uint32_t *bucket = object->hash + 2, *chain = bucket + object->hash[0];
	uint32_t index = bucket[hash_of(name) % object->hash[0]];
	while (index != 0 && !defines(object, index, name))
		index = chain[index];
	return index;
}

static uintptr_t address_of(const struct object *object, uint32_t index)
{
	const elf_symbol *symbol = &object->symbols[index];
	uintptr_t address = object->base + symbol->st_value;
	return (symbol->st_info & 0xf) == STT_GNU_IFUNC ? ((uintptr_t(*)(void))address)() : address;
}

static void *find_function(const struct object *object, const char *name)
{
	uint32_t index = find(object, name, gnu_hash_of(name));
	return index ? (void *)address_of(object, index) : NULL;
}

// An object that calls itself something else than libc does, by a version, is meant by nobody
// who calls libc's: nor is libpthread's, before glibc 2.34, which does the same as libc's.
static bool has_version(const struct object *object, uint32_t index)
{
	return object->versions && (object->versions[index] & VERSION_MASK) > VERSION_GLOBAL;
}

// The names that the shim exports are the last of its symbols.
struct names {
	struct object shim;
	uint32_t first, count;
	uint32_t hashes[NAMES_MOST]; // known once there is a use for them
	bool hashed;
};

static const char *name_at(const struct names *names, uint32_t i)
{
	return names->shim.strings + names->shim.symbols[names->first + i].st_name;
}

static void hash_names(struct names *names)
{
	for (uint32_t i = 0; !names->hashed && i < names->count; i++)
		names->hashes[i] = gnu_hash_of(name_at(names, i));
	names->hashed = true;
}

static _Atomic(uintptr_t) *slot_of(const struct names *names, uint32_t i)
{
	size_t stub = (size_t)(__stop_chain_stubs - __start_chain_stubs) / names->count;
	uintptr_t at = names->shim.base + names->shim.symbols[names->first + i].st_value -
		       (uintptr_t)__start_chain_stubs;
	return &__start_chain_slots[at / stub];
}

// The first definition behind the shim is the one that counts.
static void pass_on_to(const struct object *object, struct names *names)
{
	hash_names(names);
	for (uint32_t i = 0; i < names->count; i++) {
		uint32_t index = find(object, name_at(names, i), names->hashes[i]);
		if (index == 0 || has_version(object, index))
			continue;
		uintptr_t none = 0;
		atomic_compare_exchange_strong(slot_of(names, i), &none, address_of(object, index));
	}
}

static bool is_libc(const struct object *object)
{
	return find_function(object, &gnu_get_libc_version ? "gnu_get_libc_version"
							   : "__errno_location");
}

static struct chain_libc libc_functions;
static _Atomic bool known;

static void take_libc(const struct object *object)
{
	*(void **)&libc_functions.fdopen = find_function(object, "fdopen");
	*(void **)&libc_functions.fdopendir = find_function(object, "fdopendir");
	*(void **)&libc_functions._IO_fopen = find_function(object, "_IO_fopen");
	*(void **)&libc_functions.__open64 = find_function(object, "__open64");
}

static void look_behind(const struct link_map *shim)
{
	struct names names = {.count = (uint32_t)(__stop_chain_slots - __start_chain_slots)};
	struct object object;
	if (!read_object(shim, &names.shim) || !names.shim.gnu_hash || names.count > NAMES_MOST)
		return;
	names.first = names.shim.gnu_hash[1];
	for (const struct link_map *map = shim->next; map; map = map->next) {
		if (!read_object(map, &object))
			continue;
		if (is_libc(&object)) {
			take_libc(&object);
			return;
		}
		pass_on_to(&object, &names);
	}
}

static const struct link_map *objects(void)
{
	if (&_r_debug)
		return _r_debug.map;
	return &_dl_debug_addr ? _dl_debug_addr->map : NULL;
}

__attribute__((constructor)) static void look_around(void)
{
	const struct link_map *map = objects();
	if (atomic_load_explicit(&known, memory_order_acquire))
		return;
	while (map && map->dynamic != _DYNAMIC)
		map = map->next;
	if (map)
		look_behind(map);
	atomic_store_explicit(&known, true, memory_order_release);
}

const struct chain_libc *chain_libc(void)
{
	// Constructors of other libraries may run before ours.
	if (!atomic_load_explicit(&known, memory_order_acquire))
		look_around();
	return &libc_functions;
}
