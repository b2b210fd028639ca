"""What a file shows, given what it really is and what is remembered of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.look import Look, same_birth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fakeroot_sc.state.record import InodeRecord
    from fakeroot_sc.state.tree import Remembered

# What a machine's own policy sets on every file is no part of a tree.
_NOT_SHOWN = ("security.selinux", "security.ima", "security.evm")
_CAPABILITY = "security.capability"


def is_of(record: InodeRecord, seen: Look) -> bool:
    """Whether the record is of the file that was looked at."""
    known = record.identity
    return (known.dev, known.ino) == (seen.dev, seen.ino) and same_birth(known.birth, seen.birth)


def mode(record: InodeRecord | Remembered | None, seen: Look) -> int:
    """Type and permissions."""
    if record is None or (record.kind is None and record.mode is None):
        return seen.mode
    kind = stat.S_IFMT(seen.mode) if record.kind is None else record.kind
    permissions = stat.S_IMODE(seen.mode) if record.mode is None else record.mode
    return kind | permissions


def rdev(record: InodeRecord | Remembered | None, seen: Look) -> int:
    """Of what is shown as a device."""
    return seen.rdev if record is None or record.kind is None else record.rdev


def owner(
    record: InodeRecord | Remembered | None, seen: Look, unknown_is_real: bool = False
) -> tuple[int, int]:
    """uid and gid: root's unless remembered, or with ``unknown_is_real`` the real ones."""
    uid, gid = (seen.uid, seen.gid) if unknown_is_real else (0, 0)
    if record is not None and record.uid is not None:
        uid = record.uid
    if record is not None and record.gid is not None:
        gid = record.gid
    return uid, gid


def real_xattrs(file: bytes | int, failed: Callable[[str], None] | None = None) -> dict[str, bytes]:
    """The extended attributes that a file, by path or descriptor, really has, but for those of
    the machine's own policy.  One that cannot be read (a capability that is malformed, say) is
    left out, and ``failed`` is told of it; without that it raises StateError."""
    follow = type(file) is int
    found: dict[str, bytes] = {}
    try:
        names = os.listxattr(file, follow_symlinks=follow)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENOENT):
            _fail(file, f"attributes: {error.strerror}", failed)
        return found
    for name in names:
        if name in _NOT_SHOWN:
            continue
        try:
            found[name] = os.getxattr(file, name, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.ENOENT):
                _fail(file, f"attribute {name}: {error.strerror}", failed)
    return found


def _fail(file: bytes | int, what: str, failed: Callable[[str], None] | None) -> None:
    if failed is None:
        raise StateError(f"{file if isinstance(file, int) else os.fsdecode(file)}: {what}")
    failed(what)


def xattrs(
    record: InodeRecord | Remembered | None,
    real: dict[str, bytes],
    seen: Look,
    contents: Callable[[], int | None] = lambda: None,
) -> dict[str, bytes]:
    """The real attributes under those remembered, of which None takes one away; ``contents``:
    a checksum of the file's, where that is asked for."""
    if record is None or not record.xattrs:
        return real
    laid = {**real, **record.xattrs}
    if laid.get(_CAPABILITY) is not None and not _is_unwritten(record, seen, contents):
        del laid[_CAPABILITY]
    return {name: value for name, value in laid.items() if value is not None}


def _is_unwritten(
    record: InodeRecord | Remembered, seen: Look, contents: Callable[[], int | None]
) -> bool:
    """Whether the file is as it was given capabilities: file_capability_holds()."""
    if record.written is None or not stat.S_ISREG(seen.mode):
        return True
    mtime, size, known = record.written
    return seen.size == size and (
        seen.mtime == mtime or (known is not None and contents() == known)
    )
