"""A tree as a tar archive, written by the core (native/pack.h): POSIX pax interchange
(pax(1)), the same bytes from the same tree."""

import errno
import os
from typing import BinaryIO

from fakeroot_sc import _core
from fakeroot_sc.state.errors import StateError


def write_tree(
    live: _core.Live,
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
    error, what, raw, sockets = live.pack_tar(
        os.fsencode(root), out.fileno(), epoch, unknown_is_real, leave_out or []
    )
    path = os.path.normpath(os.path.join(root, os.fsdecode(raw)))
    if error == errno.EPIPE and what == "shrink":
        raise StateError(f"{path}: became shorter while it was read")
    if error and what == "write":
        raise StateError(
            f"{getattr(out, 'name', 'output')}: cannot be written: {os.strerror(error)}"
        )
    if error:
        raise StateError(f"{path}: cannot {what}: {os.strerror(error)}")
    return [f"{sockets} sockets are left out: tar has none"] if sockets else []
