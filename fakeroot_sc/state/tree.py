"""A tree as fake root sees it, file by file in an order that is always the same."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator

import attrs

from fakeroot_sc.state import shown
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.look import Look, look
from fakeroot_sc.state.record import DEVICE_KINDS, FileIdentity, InodeRecord

Lookup = Callable[[Look], InodeRecord | None]
"""The record of a file, if there is one."""


@attrs.frozen
class Entry:
    """``path``: relative to the root, "" for the root itself; ``mode``: type and permissions
    as shown; ``mtime``: nanoseconds since 1970; ``nlink``: really; ``rdev``: as st_rdev, 0
    unless a device; ``target``: of a symbolic link; ``real``: where to open the content.
    """

    path: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    nlink: int
    identity: FileIdentity
    rdev: int
    target: str | None
    xattrs: dict[str, bytes]
    real: str

    @property
    def group(self) -> str | None:
        """What all names of a file with several names share."""
        if self.nlink < 2 or stat.S_ISDIR(self.mode):
            return None
        return f"{self.identity.dev:x}:{self.identity.ino}"


def lookup_in(records: Collection[InodeRecord]) -> Lookup:
    """Finds records among these."""
    known = {(each.identity.dev, each.identity.ino): each for each in records}

    def lookup(seen: Look) -> InodeRecord | None:
        record = known.get((seen.identity.dev, seen.identity.ino))
        return record if record is not None and shown.is_of(record, seen) else None

    return lookup


def walk(
    root: str | os.PathLike[str],
    lookup: Lookup,
    *,
    unknown_is_real: bool = False,
    leave_out: Collection[tuple[int, int]] = (),
) -> Iterator[Entry]:
    """All files of a tree, the root first, then parents before children and siblings by the
    bytes of their names.  A file that vanishes meanwhile is left out, and so are those whose
    (dev, ino) are in ``leave_out``.  Raises StateError for what cannot be read.
    """
    top = os.fsencode(os.fspath(root))
    pending = [(b"", top)]
    while pending:
        path, real = pending.pop()
        try:
            seen = look(real)
        except FileNotFoundError:
            if not path:
                raise StateError(f"{os.fsdecode(top)}: no such directory") from None
            continue
        except OSError as error:
            raise StateError(f"{os.fsdecode(real)}: {error.strerror}") from error
        if (seen.identity.dev, seen.identity.ino) in leave_out:
            continue
        entry = _entry(path, real, seen, lookup(seen), unknown_is_real)
        if entry is None:
            continue
        yield entry
        if stat.S_ISDIR(seen.mode):
            pending += _below(path, real)


def _below(path: bytes, real: bytes) -> list[tuple[bytes, bytes]]:
    """The last first: they are taken from the end."""
    try:
        names = sorted(os.listdir(real), reverse=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StateError(f"{os.fsdecode(real)}: cannot be listed: {error.strerror}") from error
    prefix = path + b"/" if path else b""
    return [(prefix + name, real + b"/" + name) for name in names]


def _entry(
    path: bytes, real: bytes, seen: Look, record: InodeRecord | None, unknown_is_real: bool
) -> Entry | None:
    target = None
    if stat.S_ISLNK(seen.mode):
        try:
            target = os.fsdecode(os.readlink(real))
        except OSError:
            return None
    mode = shown.mode(record, seen)
    uid, gid = shown.owner(record, seen, unknown_is_real)
    is_device = stat.S_IFMT(mode) in DEVICE_KINDS
    rdev = 0
    if is_device:
        rdev = seen.rdev if record is None or record.kind is None else record.rdev
    return Entry(
        os.fsdecode(path),
        mode,
        uid,
        gid,
        0 if is_device else seen.size,
        seen.mtime,
        seen.nlink,
        seen.identity,
        rdev,
        target,
        shown.xattrs(record, shown.real_xattrs(real), seen),
        os.fsdecode(real),
    )
