// SPDX-License-Identifier: Apache-2.0
//
// kernel/sys.c and security/commoncap.c have the functions that are named here.
#include "credential_rules.h"

#include <errno.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/stat.h>

#define LEFT CREDENTIALS_LEAVE
#define CAPABILITY(number) (UINT64_C(1) << (number))

// Linux 6.14: how interpreters are to treat scripts; anybody may set these.
#define SECUREBITS_UNPRIVILEGED 0xf00u
#define SECUREBITS_ALL (SECURE_ALL_BITS | SECURE_ALL_LOCKS | SECUREBITS_UNPRIVILEGED)
#define SECUREBITS_LOCKS (SECUREBITS_ALL & 0xaaaaaaaau)

static const uint64_t file_system_capabilities =
	CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_MKNOD) | CAPABILITY(CAP_DAC_OVERRIDE) |
	CAPABILITY(CAP_DAC_READ_SEARCH) | CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_FSETID) |
	CAPABILITY(CAP_MAC_OVERRIDE) | CAPABILITY(CAP_LINUX_IMMUTABLE);

static bool secure(const struct credentials *credentials, int bit)
{
	return credentials->securebits & issecure_mask(bit);
}

// cap_emulate_setxuid()
static void follow_uids(struct credentials *now, const struct credentials *before)
{
	if (secure(before, SECURE_NO_SETUID_FIXUP))
		return;
	if ((before->uid == 0 || before->euid == 0 || before->suid == 0) && now->uid != 0 &&
	    now->euid != 0 && now->suid != 0) {
		if (!secure(before, SECURE_KEEP_CAPS))
			now->permitted = now->effective = 0;
		now->ambient = 0;
	}
	if (before->euid == 0 && now->euid != 0)
		now->effective = 0;
	if (before->euid != 0 && now->euid == 0)
		now->effective = now->permitted;
}

int credential_rules_setuid(struct credentials *credentials, uint32_t uid)
{
	struct credentials before = *credentials;
	if (uid == LEFT)
		return -EINVAL;
	if (credentials_capable(&before, CAP_SETUID))
		credentials->uid = credentials->suid = uid;
	else if (uid != before.uid && uid != before.suid)
		return -EPERM;
	credentials->euid = credentials->fsuid = uid;
	follow_uids(credentials, &before);
	return 0;
}

int credential_rules_setgid(struct credentials *credentials, uint32_t gid)
{
	if (gid == LEFT)
		return -EINVAL;
	if (credentials_capable(credentials, CAP_SETGID))
		credentials->gid = credentials->sgid = gid;
	else if (gid != credentials->gid && gid != credentials->sgid)
		return -EPERM;
	credentials->egid = credentials->fsgid = gid;
	return 0;
}

int credential_rules_setreuid(struct credentials *credentials, uint32_t real, uint32_t effective)
{
	struct credentials before = *credentials;
	bool any = credentials_capable(&before, CAP_SETUID);
	if (real != LEFT && real != before.uid && real != before.euid && !any)
		return -EPERM;
	if (effective != LEFT && effective != before.uid && effective != before.euid &&
	    effective != before.suid && !any)
		return -EPERM;
	if (real != LEFT)
		credentials->uid = real;
	if (effective != LEFT)
		credentials->euid = effective;
	if (real != LEFT || (effective != LEFT && effective != before.uid))
		credentials->suid = credentials->euid;
	credentials->fsuid = credentials->euid;
	follow_uids(credentials, &before);
	return 0;
}

int credential_rules_setregid(struct credentials *credentials, uint32_t real, uint32_t effective)
{
	struct credentials before = *credentials;
	bool any = credentials_capable(&before, CAP_SETGID);
	if (real != LEFT && real != before.gid && real != before.egid && !any)
		return -EPERM;
	if (effective != LEFT && effective != before.gid && effective != before.egid &&
	    effective != before.sgid && !any)
		return -EPERM;
	if (real != LEFT)
		credentials->gid = real;
	if (effective != LEFT)
		credentials->egid = effective;
	if (real != LEFT || (effective != LEFT && effective != before.gid))
		credentials->sgid = credentials->egid;
	credentials->fsgid = credentials->egid;
	return 0;
}

static bool is_new(uint32_t id, uint32_t real, uint32_t effective, uint32_t saved)
{
	return id != LEFT && id != real && id != effective && id != saved;
}

int credential_rules_setresuid(struct credentials *credentials, uint32_t real, uint32_t effective,
			       uint32_t saved)
{
	struct credentials before = *credentials;
	if ((real == LEFT || real == before.uid) &&
	    (effective == LEFT || (effective == before.euid && effective == before.fsuid)) &&
	    (saved == LEFT || saved == before.suid))
		return 0;
	if ((is_new(real, before.uid, before.euid, before.suid) ||
	     is_new(effective, before.uid, before.euid, before.suid) ||
	     is_new(saved, before.uid, before.euid, before.suid)) &&
	    !credentials_capable(&before, CAP_SETUID))
		return -EPERM;
	if (real != LEFT)
		credentials->uid = real;
	if (effective != LEFT)
		credentials->euid = effective;
	if (saved != LEFT)
		credentials->suid = saved;
	credentials->fsuid = credentials->euid;
	follow_uids(credentials, &before);
	return 0;
}

int credential_rules_setresgid(struct credentials *credentials, uint32_t real, uint32_t effective,
			       uint32_t saved)
{
	struct credentials before = *credentials;
	if ((real == LEFT || real == before.gid) &&
	    (effective == LEFT || (effective == before.egid && effective == before.fsgid)) &&
	    (saved == LEFT || saved == before.sgid))
		return 0;
	if ((is_new(real, before.gid, before.egid, before.sgid) ||
	     is_new(effective, before.gid, before.egid, before.sgid) ||
	     is_new(saved, before.gid, before.egid, before.sgid)) &&
	    !credentials_capable(&before, CAP_SETGID))
		return -EPERM;
	if (real != LEFT)
		credentials->gid = real;
	if (effective != LEFT)
		credentials->egid = effective;
	if (saved != LEFT)
		credentials->sgid = saved;
	credentials->fsgid = credentials->egid;
	return 0;
}

void credential_rules_setfsuid(struct credentials *credentials, uint32_t uid)
{
	uint32_t before = credentials->fsuid;
	if (uid == LEFT || uid == before ||
	    (is_new(uid, credentials->uid, credentials->euid, credentials->suid) &&
	     !credentials_capable(credentials, CAP_SETUID)))
		return;
	credentials->fsuid = uid;
	if (secure(credentials, SECURE_NO_SETUID_FIXUP))
		return;
	if (before == 0)
		credentials->effective &= ~file_system_capabilities;
	else if (uid == 0)
		credentials->effective |= credentials->permitted & file_system_capabilities;
}

void credential_rules_setfsgid(struct credentials *credentials, uint32_t gid)
{
	if (gid == LEFT || (is_new(gid, credentials->gid, credentials->egid, credentials->sgid) &&
			    !credentials_capable(credentials, CAP_SETGID)))
		return;
	credentials->fsgid = gid;
}

// cap_capset()
int credential_rules_capset(struct credentials *credentials, uint64_t effective,
			    uint64_t permitted, uint64_t inheritable)
{
	effective &= CREDENTIALS_ALL_CAPABILITIES;
	permitted &= CREDENTIALS_ALL_CAPABILITIES;
	inheritable &= CREDENTIALS_ALL_CAPABILITIES;
	if (!credentials_capable(credentials, CAP_SETPCAP) &&
	    inheritable & ~(credentials->inheritable | credentials->permitted))
		return -EPERM;
	if (inheritable & ~(credentials->inheritable | credentials->bounding) ||
	    permitted & ~credentials->permitted || effective & ~permitted)
		return -EPERM;
	credentials->effective = effective;
	credentials->permitted = permitted;
	credentials->inheritable = inheritable;
	credentials->ambient &= permitted & inheritable;
	return 0;
}

static int set_keep_caps(struct credentials *credentials, uint64_t wanted)
{
	if (wanted > 1)
		return -EINVAL;
	if (secure(credentials, SECURE_KEEP_CAPS_LOCKED))
		return -EPERM;
	if (wanted)
		credentials->securebits |= issecure_mask(SECURE_KEEP_CAPS);
	else
		credentials->securebits &= ~(uint32_t)issecure_mask(SECURE_KEEP_CAPS);
	return 0;
}

static int set_securebits(struct credentials *credentials, uint64_t wanted)
{
	uint32_t before = credentials->securebits;
	uint64_t changed = before ^ wanted;
	if ((before & SECUREBITS_LOCKS) >> 1 & changed || before & SECUREBITS_LOCKS & ~wanted ||
	    wanted & ~(uint64_t)SECUREBITS_ALL)
		return -EPERM;
	// To change nothing needs the capability, too.
	if ((!changed || changed & ~(uint64_t)SECUREBITS_UNPRIVILEGED) &&
	    !credentials_capable(credentials, CAP_SETPCAP))
		return -EPERM;
	credentials->securebits = (uint32_t)wanted;
	return 0;
}

static bool is_capability(uint64_t number)
{
	return number <= CAP_LAST_CAP;
}

static int drop_bounding(struct credentials *credentials, uint64_t number)
{
	if (!credentials_capable(credentials, CAP_SETPCAP))
		return -EPERM;
	if (!is_capability(number))
		return -EINVAL;
	credentials->bounding &= ~CAPABILITY(number);
	return 0;
}

static int change_ambient(struct credentials *credentials, const uint64_t arguments[static 4])
{
	uint64_t operation = arguments[0], number = arguments[1];
	if (operation == PR_CAP_AMBIENT_CLEAR_ALL) {
		if (number || arguments[2] || arguments[3])
			return -EINVAL;
		credentials->ambient = 0;
		return 0;
	}
	if (!is_capability(number) || arguments[2] || arguments[3])
		return -EINVAL;
	uint64_t one = CAPABILITY(number);
	switch (operation) {
	case PR_CAP_AMBIENT_IS_SET:
		return (credentials->ambient & one) != 0;
	case PR_CAP_AMBIENT_RAISE:
		if (!(credentials->permitted & credentials->inheritable & one) ||
		    secure(credentials, SECURE_NO_CAP_AMBIENT_RAISE))
			return -EPERM;
		credentials->ambient |= one;
		return 0;
	case PR_CAP_AMBIENT_LOWER:
		credentials->ambient &= ~one;
		return 0;
	default:
		return -EINVAL;
	}
}

// cap_task_prctl()
bool credential_rules_prctl(struct credentials *credentials, int option,
			    const uint64_t arguments[static 4], int64_t *result_ret)
{
	switch (option) {
	case PR_GET_KEEPCAPS:
		*result_ret = secure(credentials, SECURE_KEEP_CAPS);
		return true;
	case PR_SET_KEEPCAPS:
		*result_ret = set_keep_caps(credentials, arguments[0]);
		return true;
	case PR_GET_SECUREBITS:
		*result_ret = credentials->securebits;
		return true;
	case PR_SET_SECUREBITS:
		*result_ret = set_securebits(credentials, arguments[0]);
		return true;
	case PR_CAPBSET_READ:
		*result_ret = is_capability(arguments[0])
				      ? (int64_t)(credentials->bounding >> arguments[0] & 1)
				      : -EINVAL;
		return true;
	case PR_CAPBSET_DROP:
		*result_ret = drop_bounding(credentials, arguments[0]);
		return true;
	case PR_CAP_AMBIENT:
		*result_ret = change_ambient(credentials, arguments);
		return true;
	default:
		return false;
	}
}

// bprm_fill_uid()
static void follow_mode(struct credentials *credentials, const struct executed_file *file)
{
	if (file->mode & S_ISUID)
		credentials->euid = file->uid;
	// Without the execute bit it stands for mandatory locking.
	if ((file->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		credentials->egid = file->gid;
}

// cap_bprm_creds_from_file(). Nothing here depends on no_new_privs: all targets have
// that for real, and none could execute a set-user-ID program.
int credential_rules_exec(struct credentials *credentials, const struct executed_file *file)
{
	const struct credentials before = *credentials;
	bool effective = false;
	follow_mode(credentials, file);
	credentials->permitted = 0;
	if (file->has_capabilities) {
		effective = file->effective;
		credentials->permitted = (before.bounding & file->permitted) |
					 (before.inheritable & file->inheritable);
		if (effective && file->permitted & ~credentials->permitted)
			return -EPERM;
	}
	bool becomes_root = credentials->euid == 0 && credentials->uid != 0;
	if (!secure(&before, SECURE_NOROOT) && !(file->has_capabilities && becomes_root)) {
		if (credentials->euid == 0 || credentials->uid == 0)
			credentials->permitted = before.bounding | before.inheritable;
		effective |= credentials->euid == 0;
	}
	credentials->suid = credentials->fsuid = credentials->euid;
	credentials->sgid = credentials->fsgid = credentials->egid;
	if (file->has_capabilities || credentials->euid != before.uid ||
	    credentials->egid != before.gid)
		credentials->ambient = 0;
	credentials->permitted |= credentials->ambient;
	credentials->effective = effective ? credentials->permitted : credentials->ambient;
	credentials->securebits &= ~(uint32_t)issecure_mask(SECURE_KEEP_CAPS);
	return 0;
}

bool credential_rules_same(const struct credentials *a, const struct credentials *b)
{
	return memcmp(a, b, offsetof(struct credentials, groups)) == 0 &&
	       memcmp(a->groups, b->groups, a->group_count * sizeof(*a->groups)) == 0;
}
