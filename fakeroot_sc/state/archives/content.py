"""The content of files on its way into an archive."""

from __future__ import annotations

import os
from collections.abc import Iterator

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.tree import Entry

PIECE = 1 << 20


def pieces(entry: Entry, fd: int, start: int, size: int) -> Iterator[bytes]:
    """Exactly ``size`` bytes of a file, from a place on.  Raises StateError."""
    end = start + size
    while start < end:
        try:
            piece = os.pread(fd, min(end - start, PIECE), start)
        except OSError as error:
            raise StateError(f"{entry.real}: cannot read: {error.strerror}") from error
        if not piece:
            raise StateError(f"{entry.real}: became shorter while it was read")
        start += len(piece)
        yield piece


def whole(entry: Entry, fd: int, size: int) -> bytes:
    """All of a small one.  Raises StateError."""
    try:
        data = os.pread(fd, size, 0)
    except OSError as error:
        raise StateError(f"{entry.real}: cannot read: {error.strerror}") from error
    if len(data) != size:
        raise StateError(f"{entry.real}: became shorter while it was read")
    return data
