// SPDX-License-Identifier: Apache-2.0
//
// The maps of a user namespace (/proc/PID/uid_map, gid_map): a program that is told to be root
// writes "0 0 1", which the kernel takes from a real root alone. It means its own ids, so the
// real ones are written in their place.
#ifndef FSC_ID_MAP_H
#define FSC_ID_MAP_H

#include <stdbool.h>

struct request;
struct session;
struct stopped_call;

// Whether a call that opens a file for writing opens such a map, of one who is told other ids
// than the real ones.
bool id_map_is_opened(const struct request *request);

// A call begins, of a thread that has opened one. Returns how many bytes have been written in its
// place, or 0: it is another call, or the kernel's to answer.
long id_map_write(struct session *session, const struct stopped_call *call);

#endif
