// SPDX-License-Identifier: Apache-2.0
//
// All credentials that a session has seen, each kept once and for good: memory grows
// with the number of different ones, not with that of processes.
#ifndef FSC_CREDENTIAL_STORE_H
#define FSC_CREDENTIAL_STORE_H

#include "credentials.h"
#include "lock.h"

#include <stddef.h>

#define CREDENTIAL_STORE_MOST (1u << 20) // what a tag can name

struct credential_store {
	struct lock lock;
	struct credentials **list;
	uint32_t count, room;
	uint32_t *slots; // a hash table of positions in list plus 1; twice as large as list
};

void credential_store_init(struct credential_store *store);

// The position of credentials equal to these, which are copied if they are new; position
// 0 is what was asked for first. Returns -EAGAIN or -ENOMEM where no more can be kept.
int64_t credential_store_position(struct credential_store *store,
				  const struct credentials *credentials);

// NULL for a position that has never been given out.
const struct credentials *credential_store_at(struct credential_store *store, uint32_t position);

#endif
