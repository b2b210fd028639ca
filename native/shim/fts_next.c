// SPDX-License-Identifier: Apache-2.0
//
// Other implementations of fts(3): a library that stands in front of glibc's, or the
// one that programs of musl, which has none, bring along. Their structures are not
// ours.
#include "fts.h"

#include <linux/errno.h>

// <dlfcn.h>
#define RTLD_NEXT ((void *)-1l)
#define RTLD_LAZY 1
#define RTLD_NOLOAD 4

struct dl_info {
	const char *file;
	void *base;
	const char *symbol;
	void *address;
};

// Weak: before glibc 2.34, programs have them if they load libraries themselves.
extern void *dlsym(void *handle, const char *name) __attribute__((weak));
extern int dladdr(const void *address, struct dl_info *info) __attribute__((weak));
extern void *dlopen(const char *file, int flags) __attribute__((weak));
extern const char *gnu_get_libc_version(void) __attribute__((weak));

static void *base_of(const void *address)
{
	struct dl_info info;
	return address && dladdr(address, &info) ? info.base : NULL;
}

// Whether the next implementation behind the shim is glibc's.
static bool next_is_libcs(void)
{
	if (libc_style() == LIBC_OTHER)
		return false;
	if (!dlsym || !dladdr)
		return true;
	void *next = dlsym(RTLD_NEXT, "fts_open");
	return !next || base_of(next) == base_of((const void *)gnu_get_libc_version);
}

// What comes behind the shim; or what the caller has by itself: of a library that
// dlopen(3) has loaded, the libraries are not everyone's. musl, where that may be,
// never unloads any.
static void *find_next(const char *name, const void *caller)
{
	struct dl_info info;
	void *found = dlsym ? dlsym(RTLD_NEXT, name) : NULL;
	if (found || !dlsym || !dlopen || !dladdr || !dladdr(caller, &info))
		return found;
	void *library = dlopen(info.file, RTLD_LAZY | RTLD_NOLOAD);
	return library ? dlsym(library, name) : NULL;
}

bool fts_is_libcs(enum fts_function which, const void *caller, void **function_ret)
{
	static const char names[][16] = {
		[FTS_FUNCTION_OPEN] = "fts_open",
		[FTS_FUNCTION_READ] = "fts_read",
		[FTS_FUNCTION_CHILDREN] = "fts_children",
		[FTS_FUNCTION_SET] = "fts_set",
		[FTS_FUNCTION_CLOSE] = "fts_close",
	};
	static _Atomic(void *) functions[sizeof(names) / sizeof(names[0])];
	static _Atomic int known = -1;
	int libcs = atomic_load_explicit(&known, memory_order_relaxed);
	if (libcs < 0) {
		libcs = next_is_libcs();
		atomic_store_explicit(&known, libcs, memory_order_relaxed);
	}
	if (libcs)
		return true;
	void *function = atomic_load_explicit(&functions[which], memory_order_relaxed);
	if (!function) {
		function = find_next(names[which], caller);
		atomic_store_explicit(&functions[which], function, memory_order_relaxed);
	}
	if (!function)
		libc_set_errno(ENOSYS);
	*function_ret = function;
	return false;
}
