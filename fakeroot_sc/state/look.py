"""How a file really looks, birth time included (statx(2))."""

from __future__ import annotations

import os
from typing import NamedTuple

from fakeroot_sc import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fakeroot_sc.state.record import FileIdentity

AT_FDCWD = -100


class Look(NamedTuple):
    """``birth`` as FileIdentity has it; ``mode`` with its type; ``mtime``: nanoseconds since
    1970; ``rdev`` as st_rdev.
    """

    # Not attrs: exports look at every file of a tree, and this is made in half the time.

    dev: int
    ino: int
    birth: int | None
    mode: int
    uid: int
    gid: int
    nlink: int
    size: int
    mtime: int
    rdev: int

    @property
    def identity(self) -> FileIdentity:
        """What tells the file from every other one."""
        from fakeroot_sc.state.record import FileIdentity

        return FileIdentity(self.dev, self.ino, self.birth)


def same_birth(one: int | None, other: int | None) -> bool:
    """Whether two times of birth may be of one file: one that is not known may be any."""
    return one is None or other is None or one == other


def look(path: str | bytes | os.PathLike[str], dir_fd: int | None = None) -> Look:
    """The file at a path itself, symbolic links not followed, relative to a descriptor's
    directory; with an empty path, the descriptor's file.  Raises OSError."""
    return Look._make(_core.look(AT_FDCWD if dir_fd is None else dir_fd, os.fsencode(path)))
