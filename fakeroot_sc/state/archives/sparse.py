"""Holes in files, as tar archives hold them: GNU's version 1.0 of the pax form (tar(5))."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from fakeroot_sc.state.archives.content import PIECE, pieces
from fakeroot_sc.state.tree import Entry

_BLOCK = 4096
_ZEROS = bytes(_BLOCK)

LEAST = 1 << 16
"""Zeros that make a file a sparse one, in all."""

Runs = list[tuple[int, int]]
"""Start and size of what is not all zeros."""


def find_runs(entry: Entry, fd: int, size: int) -> Runs | None:
    """None where a file has too few zeros to be a sparse one.  Raises StateError.

    Decided by the content alone, in blocks: a copy that has lost its holes, or has got others,
    makes the same archive.
    """
    if size < LEAST:
        return None
    runs: Runs = []
    held = 0
    for start, count in _blocks(entry, fd, size):
        held += count
        if runs and sum(runs[-1]) == start:
            runs[-1] = (runs[-1][0], runs[-1][1] + count)
        else:
            runs.append((start, count))
    return runs if size - held >= LEAST else None


def _blocks(entry: Entry, fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Neighbours that are not all zeros, a piece of the file at a time."""
    at = 0
    while at < size:
        at = _next_data(fd, at, size)
        for piece in pieces(entry, fd, at, min(PIECE, size - at)):
            if _ZEROS not in piece:  # mostly, and found at the speed of memory
                last = len(piece) - len(piece) % _BLOCK
                if last:
                    yield at, last
                if piece[last:].strip(b"\0"):
                    yield at + last, len(piece) - last
            else:
                for offset in range(0, len(piece), _BLOCK):
                    block = piece[offset : offset + _BLOCK]
                    if block != _ZEROS[: len(block)]:
                        yield at + offset, len(block)
            at += len(piece)


def _next_data(fd: int, at: int, size: int) -> int:
    """Where the next block begins that may not be all zeros."""
    try:
        data = os.lseek(fd, at, os.SEEK_DATA)
    except OSError as error:
        return size if error.errno == errno.ENXIO else at
    return max(at, data - data % _BLOCK)


def map_of(runs: Runs, size: int) -> bytes:
    """How many runs, then start and size of each; the last one says how long the file is."""
    lines = b"".join(b"%d\n%d\n" % run for run in (*runs, (size, 0)))
    text = b"%d\n%s" % (len(runs) + 1, lines)
    return text + bytes(-len(text) % 512)
