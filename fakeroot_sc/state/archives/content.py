"""The content of files on its way into an archive."""

from __future__ import annotations

import os
from collections.abc import Iterator

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.tree import Entry

PIECE = 1 << 20


def pieces(entry: Entry, size: int) -> Iterator[bytes]:
    """Exactly ``size`` bytes of a file.  Raises StateError if it has become shorter, once all
    have been given: an archive stays whole, with zeros for what is missing."""
    left = size
    try:
        fd = os.open(entry.real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise StateError(f"{entry.real}: cannot be read: {error.strerror}") from error
    try:
        while left > 0:
            piece = os.read(fd, min(left, PIECE))
            if not piece:
                break
            left -= len(piece)
            yield piece
    except OSError as error:
        raise StateError(f"{entry.real}: cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)
    if left:
        while left > 0:
            yield bytes(min(left, PIECE))
            left -= PIECE
        raise StateError(f"{entry.real}: became shorter while it was read")
