"""The content of files on its way into an archive."""

from __future__ import annotations

import os
from collections.abc import Iterator

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.tree import Entry

PIECE = 1 << 20
BLOCK = 4096
_ZEROS = bytes(BLOCK)
HOLES_LEAST = 1 << 16
"""Zeros that make a file a sparse one, in all."""

Runs = list[tuple[int, int]]
"""Offset and length of each piece of a file that is not a hole."""


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


def runs(entry: Entry) -> Runs | None:
    """What to store of a sparse file; None for one that is not.

    Decided by the content alone, in blocks: a copy that has lost its holes, or has got
    others, makes the same archive.
    """
    if entry.size < HOLES_LEAST:
        return None
    found: Runs = []
    at, end = 0, entry.size
    try:
        fd = os.open(entry.real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise StateError(f"{entry.real}: cannot be read: {error.strerror}") from error
    try:
        while at < end:
            data = _next_data(fd, at, end)
            at = data - data % BLOCK
            piece = os.pread(fd, PIECE, at) if at < end else b""
            if not piece:
                break
            _add_runs(found, at, piece)
            at += len(piece)
    except OSError as error:
        raise StateError(f"{entry.real}: cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)
    if entry.size - sum(length for _, length in found) < HOLES_LEAST:
        return None
    return found


def _next_data(fd: int, at: int, end: int) -> int:
    try:
        return os.lseek(fd, at, os.SEEK_DATA)
    except OSError:
        # ENXIO: none any more; EINVAL: a file system that does not tell.
        return end if os.lseek(fd, 0, os.SEEK_END) > at and _tells_holes(fd) else at


def _tells_holes(fd: int) -> bool:
    try:
        os.lseek(fd, 0, os.SEEK_HOLE)
    except OSError:
        return False
    return True


def _add_runs(found: Runs, at: int, piece: bytes) -> None:
    view = memoryview(piece)
    for offset in range(0, len(piece), BLOCK):
        block = view[offset : offset + BLOCK]
        if block == _ZEROS[: len(block)]:
            continue
        start = at + offset
        if found and sum(found[-1]) == start:
            found[-1] = (found[-1][0], found[-1][1] + len(block))
        else:
            found.append((start, len(block)))


def run_pieces(entry: Entry, stored: Runs) -> Iterator[bytes]:
    """The bytes of the runs, one after the other.  Raises StateError."""
    try:
        fd = os.open(entry.real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise StateError(f"{entry.real}: cannot be read: {error.strerror}") from error
    try:
        for start, length in stored:
            at, end = start, start + length
            while at < end:
                piece = os.pread(fd, min(end - at, PIECE), at)
                if not piece:
                    raise StateError(f"{entry.real}: became shorter while it was read")
                at += len(piece)
                yield piece
    except OSError as error:
        raise StateError(f"{entry.real}: cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)
