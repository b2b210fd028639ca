"""How a file really looks, birth time included (statx(2))."""

from __future__ import annotations

import os

import attrs

from fakeroot_sc import _core
from fakeroot_sc.state.record import FileIdentity


@attrs.frozen
class Look:
    """``mode`` with its type; ``rdev`` as st_rdev; ``mtime``: nanoseconds since 1970."""

    identity: FileIdentity
    mode: int
    uid: int
    gid: int
    nlink: int
    size: int
    mtime: int
    rdev: int


def look(path: str | bytes | os.PathLike[str], dir_fd: int | None = None) -> Look:
    """The file at a path itself, symbolic links not followed, relative to a descriptor's
    directory; with an empty path, the descriptor's file.  Raises OSError."""
    name = os.fsencode(path)
    dev, ino, birth, *rest = _core.look(-100 if dir_fd is None else dir_fd, name)
    return Look(FileIdentity(dev, ino, birth), *rest)
