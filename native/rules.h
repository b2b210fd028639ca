// SPDX-License-Identifier: Apache-2.0
//
// The rules of fake metadata, for every reader of the inode table: what a file
// looks like, given what is real and what is remembered.
#ifndef FSC_RULES_H
#define FSC_RULES_H

#include "inode_table.h"

#include <linux/stat.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What the rules need to know of a file. No more: asking for a time makes the kernel
// track it more finely (multigrain, Linux 6.13) and shows in stx_mask.
#define RULES_ATTRIBUTES                                                                          \
	(STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID | STATX_INO | STATX_BTIME)

// What a change of the file needs to know beside.
#define RULES_CHANGE_ATTRIBUTES (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)

#define RULES_TYPE_MASK 0170000u
#define RULES_MODE_MASK 0007777u

// What root may execute, or search: generic_permission() overrides a file's mode
// (CAP_DAC_OVERRIDE) only if anybody may execute it.
static inline bool rules_root_executes(uint32_t mode)
{
	return (mode & RULES_TYPE_MASK) == 0040000u || mode & 0111u;
}

// A device number in the kernel's 32-bit form, new_encode_dev() and back
// (<linux/kdev_t.h>): 12 bits of major, 20 of minor.
static inline uint32_t rules_rdev_encode(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

static inline uint32_t rules_rdev_major(uint32_t rdev)
{
	return (rdev & 0xfff00) >> 8;
}

static inline uint32_t rules_rdev_minor(uint32_t rdev)
{
	return (rdev & 0xff) | ((rdev >> 12) & 0xfff00);
}

// makedev(3), the form of file_identity.dev.
static inline uint64_t rules_dev(uint32_t major, uint32_t minor)
{
	return ((uint64_t)(major & 0xfffff000u) << 32) | ((uint64_t)(major & 0xfffu) << 8) |
	       ((uint64_t)(minor & 0xffffff00u) << 12) | (minor & 0xffu);
}

static inline void rules_identity(const struct statx *real, struct file_identity *identity_ret)
{
	bool has_btime = real->stx_mask & STATX_BTIME;
	identity_ret->dev = rules_dev(real->stx_dev_major, real->stx_dev_minor);
	identity_ret->ino = real->stx_ino;
	identity_ret->btime_sec = has_btime ? real->stx_btime.tv_sec : 0;
	identity_ret->btime_nsec = has_btime ? real->stx_btime.tv_nsec : 0;
}

// Whose is a record found under the file's dev and ino?
enum rules_owner {
	RULES_THIS_FILE,
	RULES_EARLIER_FILE, // of that inode number: the record is stale
	RULES_LATER_FILE,   // the attributes are older than the record
	// Retired since the attributes were read, or an earlier file's whose number
	// was given away within one tick of the clock: reading them again tells.
	// So it does of a file of another type, where there are no birth times.
	RULES_DOUBTFUL,
};

// A record is of a file of one real type, if that is known: a device's is of a regular file.
static inline bool rules_same_type(const struct inode_record *record, const struct statx *real)
{
	uint32_t type = record->fields & INODE_TYPE ? 0100000u : record->mode & RULES_TYPE_MASK;
	return type == 0 || type == (real->stx_mode & RULES_TYPE_MASK);
}

static inline enum rules_owner rules_record_owner(const struct inode_record *record,
						  const struct statx *real)
{
	struct file_identity identity;
	rules_identity(real, &identity);
	if (record->fields & INODE_ANY_BIRTH) {
		if (!rules_same_type(record, real))
			return RULES_EARLIER_FILE;
		identity.btime_sec = record->identity.btime_sec;
		identity.btime_nsec = record->identity.btime_nsec;
	}
	if (record->identity.btime_sec != identity.btime_sec)
		return record->identity.btime_sec < identity.btime_sec ? RULES_EARLIER_FILE
								       : RULES_LATER_FILE;
	if (record->identity.btime_nsec != identity.btime_nsec)
		return record->identity.btime_nsec < identity.btime_nsec ? RULES_EARLIER_FILE
									 : RULES_LATER_FILE;
	bool retired = record->fields & INODE_RETIRED && real->stx_nlink > 0;
	return retired || !rules_same_type(record, real) ? RULES_DOUBTFUL : RULES_THIS_FILE;
}

// Whether a real chown(2), to the owner that the file has, takes more from it than its time of
// last change: chown_common() clears set-ID bits and removes capabilities, which programs may
// have. Those that are real are not ours to take.
static inline bool rules_chown_takes(const struct statx *real)
{
	uint32_t type = real->stx_mode & RULES_TYPE_MASK;
	return (type != 0040000u && real->stx_mode & 06000u) ||
	       (type == 0100000u && real->stx_mode & 0111u);
}

// Whether a file has changed within the present tick of the clock (CLOCK_REALTIME_COARSE): then
// a change more does not move its time of last change, which the kernel takes from there.
static inline bool rules_changed_now(const struct statx *real, int64_t sec, uint32_t nsec)
{
	return real->stx_ctime.tv_sec > sec ||
	       (real->stx_ctime.tv_sec == sec && real->stx_ctime.tv_nsec >= nsec);
}

// What statx(2) says of direct and atomic I/O holds for regular files; devices are
// not. The newer fields (Linux 6.11 to 6.16) are addressed by their place behind
// stx_mnt_id, since headers may lack them; stx_subvol among them stays.
static inline void rules_hide_io_limits(struct statx *attributes)
{
	const uint32_t dioalign = 0x2000, write_atomic = 0x10000, dio_read_align = 0x20000;
	const uint64_t attr_write_atomic = 0x400000;
	unsigned char *bytes = (unsigned char *)attributes;
	attributes->stx_mask &= ~(dioalign | write_atomic | dio_read_align);
	attributes->stx_attributes_mask &= ~attr_write_atomic;
	for (size_t i = 0x98; i < 0xa0; i++)
		bytes[i] = 0;
	for (size_t i = 0xa8; i < 0xbc; i++)
		bytes[i] = 0;
}

// Turns real ids and mode into those to be shown.
static inline void rules_show_ids_and_mode(const struct inode_record *record, bool unknown_is_real,
					   struct statx *attributes)
{
	uint32_t fields = record ? record->fields : 0;
	if (fields & INODE_UID)
		attributes->stx_uid = record->uid;
	else if (!unknown_is_real)
		attributes->stx_uid = 0;
	if (fields & INODE_GID)
		attributes->stx_gid = record->gid;
	else if (!unknown_is_real)
		attributes->stx_gid = 0;
	if (fields & INODE_MODE)
		attributes->stx_mode = (uint16_t)((attributes->stx_mode & RULES_TYPE_MASK) |
						  (record->mode & RULES_MODE_MASK));
	if (fields & INODE_TYPE)
		attributes->stx_mode = (uint16_t)((attributes->stx_mode & RULES_MODE_MASK) |
						  (record->mode & RULES_TYPE_MASK));
}

// The same for all attributes; record: NULL for a file without.
static inline void rules_show(const struct inode_record *record, bool unknown_is_real,
			      struct statx *attributes)
{
	rules_show_ids_and_mode(record, unknown_is_real, attributes);
	if (!record || !(record->fields & INODE_TYPE))
		return;
	attributes->stx_rdev_major = rules_rdev_major(record->rdev);
	attributes->stx_rdev_minor = rules_rdev_minor(record->rdev);
	// What has been written to it went nowhere.
	attributes->stx_size = 0;
	attributes->stx_blocks = 0;
	rules_hide_io_limits(attributes);
}

// Takes out what the call did not ask for and RULES_ATTRIBUTES has brought.
static inline void rules_hide_unasked(unsigned asked, struct statx *attributes)
{
	if (asked & STATX_BTIME)
		return;
	attributes->stx_mask &= ~(unsigned)STATX_BTIME;
	attributes->stx_btime = (struct statx_timestamp){0};
}

#endif
