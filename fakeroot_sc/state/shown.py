"""What a file shows, given what it really is and what is remembered of it."""

from __future__ import annotations

import errno
import os
import stat

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.look import Look
from fakeroot_sc.state.record import InodeRecord

# What a machine's own policy sets on every file is no part of a tree.
_NOT_SHOWN = ("security.selinux", "security.ima", "security.evm")


def is_of(record: InodeRecord, seen: Look) -> bool:
    """Whether the record is of the file that was looked at."""
    known, real = record.identity, seen.identity
    if (known.dev, known.ino) != (real.dev, real.ino):
        return False
    return known.birth is None or real.birth is None or known.birth == real.birth


def mode(record: InodeRecord | None, seen: Look) -> int:
    """Type and permissions."""
    if record is None:
        return seen.mode
    kind = stat.S_IFMT(seen.mode) if record.kind is None else record.kind
    permissions = stat.S_IMODE(seen.mode) if record.mode is None else record.mode
    return kind | permissions


def owner(record: InodeRecord | None, seen: Look, unknown_is_real: bool = False) -> tuple[int, int]:
    """uid and gid: root's unless remembered, or with ``unknown_is_real`` the real ones."""
    uid, gid = (seen.uid, seen.gid) if unknown_is_real else (0, 0)
    if record is not None and record.uid is not None:
        uid = record.uid
    if record is not None and record.gid is not None:
        gid = record.gid
    return uid, gid


def real_xattrs(path: bytes) -> dict[str, bytes]:
    """The extended attributes that a file really has, but for those of the machine's own
    policy.  Raises StateError."""
    found: dict[str, bytes] = {}
    try:
        for name in os.listxattr(path, follow_symlinks=False):
            if name in _NOT_SHOWN:
                continue
            try:
                found[name] = os.getxattr(path, name, follow_symlinks=False)
            except OSError as error:
                if error.errno not in (errno.ENODATA, errno.EPERM, errno.EACCES):
                    raise
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENOENT):
            raise StateError(f"{os.fsdecode(path)}: attributes: {error.strerror}") from error
    return found


def xattrs(record: InodeRecord | None, real: dict[str, bytes], seen: Look) -> dict[str, bytes]:
    """The real attributes under those remembered, of which None takes one away."""
    if record is None or not record.xattrs:
        return real
    laid = {**real, **record.xattrs}
    now = (seen.mtime, seen.size)
    if stat.S_ISREG(seen.mode) and record.written is not None and record.written != now:
        laid.pop("security.capability", None)
    return {name: value for name, value in laid.items() if value is not None}
