// SPDX-License-Identifier: Apache-2.0
//
// What calls and programs make of credentials: credentials(7), capabilities(7). A pure
// room: each function changes the credentials it is given, a copy of the caller's, or
// returns a negative errno. An id of CREDENTIALS_LEAVE (-1) is left as it is.
#ifndef FSC_CREDENTIAL_RULES_H
#define FSC_CREDENTIAL_RULES_H

#include "credentials.h"

#include <linux/capability.h>
#include <stddef.h>

#define CREDENTIALS_LEAVE UINT32_MAX
#define CREDENTIALS_ALL_CAPABILITIES ((UINT64_C(2) << CAP_LAST_CAP) - 1)

int credential_rules_setuid(struct credentials *credentials, uint32_t uid);
int credential_rules_setgid(struct credentials *credentials, uint32_t gid);
int credential_rules_setreuid(struct credentials *credentials, uint32_t real, uint32_t effective);
int credential_rules_setregid(struct credentials *credentials, uint32_t real, uint32_t effective);
int credential_rules_setresuid(struct credentials *credentials, uint32_t real, uint32_t effective,
			       uint32_t saved);
int credential_rules_setresgid(struct credentials *credentials, uint32_t real, uint32_t effective,
			       uint32_t saved);

// setfsuid(2) has no errors: what may not be, is not done.
void credential_rules_setfsuid(struct credentials *credentials, uint32_t uid);
void credential_rules_setfsgid(struct credentials *credentials, uint32_t gid);

// The sets of capset(2).
int credential_rules_capset(struct credentials *credentials, uint64_t effective,
			    uint64_t permitted, uint64_t inheritable);

// Whether prctl(2) with this option is about credentials; if so, result_ret is the
// call's value or a negative errno. arguments: the four behind the option.
bool credential_rules_prctl(struct credentials *credentials, int option,
			    const uint64_t arguments[static 4], int64_t *result_ret);

// What execve(2) goes by of the file it executes.
struct executed_file {
	uint32_t uid, gid, mode; // as they are shown; no set-id bits on a nosuid mount
	bool has_capabilities;   // its security.capability
	bool effective;
	uint64_t permitted, inheritable;
};

// Returns -EPERM where the file's capabilities are not to be had and it relies on them.
int credential_rules_exec(struct credentials *credentials, const struct executed_file *file);

bool credential_rules_same(const struct credentials *a, const struct credentials *b);

#endif
