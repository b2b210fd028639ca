"""tar archives: POSIX pax interchange (pax(1)), the same bytes from the same tree.

Written by the core (native/pack.h), read by the standard library.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.formats.listed import Listed
from fakeroot_sc.state.store import State


def write_tree(
    state: State,
    root: str,
    out: BinaryIO,
    *,
    epoch: int | None = None,
    unknown_is_real: bool = False,
    leave_out: list[tuple[int, int]] | None = None,
) -> list[str]:
    """Writes a whole archive; returns what it could not hold.  ``epoch``: no file is younger
    than these seconds since 1970 (SOURCE_DATE_EPOCH).  Raises StateError, OSError(ENOSPC)."""
    if not os.path.isdir(root):
        raise StateError(f"{root}: no such directory")
    out.flush()
    with state.memory() as live:
        error, what, raw, sockets = live.pack_tar(
            os.fsencode(root), out.fileno(), epoch, unknown_is_real, leave_out or []
        )
    path = os.path.normpath(os.path.join(root, os.fsdecode(raw)))
    if error == errno.EPIPE and what == "shrink":
        raise StateError(f"{path}: became shorter while it was read")
    if error and what == "write":
        raise OSError(error, os.strerror(error))
    if error:
        raise StateError(f"{path}: cannot {what}: {os.strerror(error)}")
    return [f"{sockets} sockets are left out: tar has none"] if sockets else []


def read(file: BinaryIO, name: str) -> Iterator[Listed]:
    """What an archive says of each file.  Raises StateError."""
    try:
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            for member in archive:
                yield _listed(member)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise StateError(f"{name}: not a tar archive, or a damaged one: {error}") from error


def _listed(member: tarfile.TarInfo) -> Listed:
    kind = {tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK}.get(member.type)
    path = _plain(member.name)
    if member.islnk():
        return Listed(path, group=_plain(member.linkname))
    xattrs: dict[str, bytes | None] = {
        _xattr_name(key): value.encode("utf-8", "surrogateescape")
        for key, value in member.pax_headers.items()
        if key.startswith("SCHILY.xattr.")
    }
    return Listed(
        path,
        member.uid,
        member.gid,
        None if member.issym() else member.mode & 0o7777,
        kind,
        os.makedev(member.devmajor, member.devminor) if kind is not None else 0,
        xattrs,
        group=path,
    )


def _xattr_name(key: str) -> str:
    return key.removeprefix("SCHILY.xattr.").replace("%3D", "=").replace("%25", "%")


def _plain(name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise StateError(f"{name}: leads upwards")
    return "/".join(parts)
