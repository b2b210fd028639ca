// SPDX-License-Identifier: Apache-2.0
#include "namespace.h"

#include "kernel.h"
#include "proc_text.h"
#include "request.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/nsfs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define PROC_ROOT_INO 1
#define NESTED_MOST 33 // user namespaces are nested 32 deep at the most

typedef struct __user_cap_data_struct capability_sets[_LINUX_CAPABILITY_U32S_3];

static const struct __user_cap_header_struct own_thread = {.version = _LINUX_CAPABILITY_VERSION_3};

void namespace_left(struct session *session)
{
	atomic_store(&session->namespaces, true);
}

// One that cannot be told counts as another.
bool namespace_is_foreign(const struct request *request)
{
	return atomic_load_explicit(&request->session->namespaces, memory_order_relaxed) &&
	       !proc_text_same_link(request->tid, "ns/user");
}

// ---- magic links ----

struct process {
	int namespace;
	uint64_t permitted, effective;
};

static void process_close(struct process *process)
{
	scope_close(&process->namespace);
}

// By its directory, or one directly below it.
static int read_process(int directory, struct process *process_ret)
{
	struct stat parent;
	SCOPED_FD own = openat(directory, "status", O_PATH | O_CLOEXEC);
	if (own < 0) {
		SCOPED_FD up = openat(directory, "..", O_PATH | O_CLOEXEC | O_DIRECTORY);
		if (up < 0 || fstat(up, &parent) < 0 || parent.st_ino == PROC_ROOT_INO ||
		    faccessat(up, "status", F_OK, 0) < 0)
			return -EACCES;
		return read_process(up, process_ret);
	}
	unsigned long permitted = 0, effective = 0;
	int error = proc_text_read(directory, "status",
				   (struct proc_field[]){{"CapPrm: %lx", &permitted},
							 {"CapEff: %lx", &effective},
							 {0}});
	process_ret->permitted = permitted;
	process_ret->effective = effective;
	process_ret->namespace = openat(directory, "ns/user", O_RDONLY | O_CLOEXEC);
	return process_ret->namespace < 0 ? -EACCES : error;
}

static bool same_namespace(int a, int b)
{
	struct stat left, right;
	return fstat(a, &left) == 0 && fstat(b, &right) == 0 && left.st_ino == right.st_ino &&
	       left.st_dev == right.st_dev;
}

// cap_capable(): who has a capability in a namespace has it in those below, and so has the user
// who made one, from the namespace above it.
static bool rules_below(const struct process *who, int namespace)
{
	SCOPED_FD child = fcntl(namespace, F_DUPFD_CLOEXEC, 0);
	for (int depth = 0; child >= 0 && depth < NESTED_MOST; depth++) {
		uid_t owner;
		int parent = ioctl(child, NS_GET_PARENT);
		if (parent < 0)
			return false;
		bool found = same_namespace(parent, who->namespace) &&
			     ioctl(child, NS_GET_OWNER_UID, &owner) == 0 && owner == geteuid();
		close(child);
		child = parent;
		if (found)
			return true;
		if (same_namespace(child, who->namespace))
			return who->effective >> CAP_SYS_PTRACE & 1;
	}
	return false;
}

// cap_ptrace_access_check(). That the user is the same the kernel has asked of the supervisor.
bool namespace_may_follow(pid_t tid, int directory)
{
	char name[32];
	SCOPED(process_close) struct process who = {.namespace = -1};
	SCOPED(process_close) struct process whose = {.namespace = -1};
	snprintf(name, sizeof(name), "/proc/%d", tid);
	SCOPED_FD its = open(name, O_PATH | O_CLOEXEC | O_DIRECTORY);
	if (its < 0 || read_process(its, &who) != 0 || read_process(directory, &whose) != 0)
		return false;
	if (!same_namespace(who.namespace, whose.namespace))
		return rules_below(&who, whose.namespace);
	return (whose.permitted & ~who.effective) == 0 || who.effective >> CAP_SYS_PTRACE & 1;
}

// ---- capabilities ----

// capset(2) itself is of the calling thread alone; the C library has no more of it.
static bool read_rights(capability_sets sets_ret)
{
	return syscall(SYS_capget, &own_thread, sets_ret) == 0;
}

bool namespace_has_rights(void)
{
	capability_sets sets;
	return read_rights(sets) && (sets[0].effective | sets[1].effective) != 0;
}

struct namespace_rights namespace_rights_take(const struct request *request)
{
	capability_sets sets;
	struct namespace_rights rights = {.taken = false};
	if (!request->session->privileged || !namespace_is_foreign(request) || !read_rights(sets))
		return rights;
	sets[0].effective = sets[1].effective = 0;
	rights.taken = syscall(SYS_capset, &own_thread, sets) == 0;
	return rights;
}

void namespace_rights_restore(struct namespace_rights *rights)
{
	capability_sets sets;
	if (!rights->taken || !read_rights(sets))
		return;
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		sets[i].effective = sets[i].permitted;
	syscall(SYS_capset, &own_thread, sets);
}

// ---- clone3(2) ----

void *namespace_filter(const void *filter, size_t *size)
{
	const struct sock_filter first[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3 | FSC_X32_SYSCALL_BIT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	unsigned char *wider = malloc(sizeof(first) + *size);
	if (!wider)
		return NULL;
	memcpy(wider, first, sizeof(first));
	memcpy(wider + sizeof(first), filter, *size);
	*size += sizeof(first);
	return wider;
}
