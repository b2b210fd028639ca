// SPDX-License-Identifier: Apache-2.0
//
// Whether the calls that are faked reach the supervisor. A filter of somebody else's that
// answers a call by an errno, or a listener of theirs, outranks both our listener and our stops
// (seccomp(2): of all filters' answers the most restrictive one counts, and of equal ones that
// of the filter installed last).
#ifndef FSC_TRIAL_H
#define FSC_TRIAL_H

enum trial_answerer {
	TRIAL_KERNEL,     // before there is a filter of ours: shows filters that answer
	TRIAL_SUPERVISOR, // behind it: shows listeners that do
};

// Makes one call of each kind that is faked, in the launched process: with arguments that
// sandboxes refuse, and that no kernel acts on. Returns NULL if all were answered by whoever
// is expected to; else the name of a call that was not, its errno in *error_ret, or 0 where
// it succeeded.
const char *trial_calls(enum trial_answerer expected, int *error_ret);

#endif
