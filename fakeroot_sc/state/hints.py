"""Where files are that a run has changed: a walk of the directories in which it has.

A record knows its file by number.  The path is a hint for people, and for binding the
record to a copy of the file.
"""

import os
from collections.abc import Iterable, Iterator

_ENTRIES_LEAST = 30_000
_NOT_FILES = (b"/proc", b"/sys", b"/dev")


def find_paths(
    places: Iterable[bytes], wanted: set[tuple[int, int]], *, bounded: bool = True
) -> dict[tuple[int, int], bytes]:
    """The paths of files by (dev, ino), as signed numbers, as far as they lie below the
    places, files or directories, and are found soon enough (or, not ``bounded``, at all)."""
    found: dict[tuple[int, int], bytes] = {}
    rest = set(wanted)
    devices = {dev for dev, _ in wanted}
    left = _ENTRIES_LEAST + 20 * len(wanted)
    places = list(places)
    for place in places:
        if (key := _key(place)) in rest:
            rest.discard(key)
            found[key] = _plain(place)
    if not rest:
        return found
    for top in _tops(places):
        for key, path in _walk(top, devices):
            left -= 1
            if key in rest:
                rest.discard(key)
                found[key] = path
            if not rest or (bounded and left < 0):
                return found
    return found


def _directory(place: bytes) -> bytes | None:
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    at = os.path.realpath(place)
    if at == b"/" or at.startswith(_NOT_FILES):
        return None
    return at


def _tops(places: Iterable[bytes]) -> list[bytes]:
    """The directories of the places, without those below others: the deepest first, since
    those are the most telling."""
    tops: set[bytes] = {at for place in places if (at := _directory(place))}
    above = {top for top in tops if not any(parent in tops for parent in _parents(top))}
    return sorted(above, key=lambda top: (-top.count(b"/"), top))


def _parents(path: bytes) -> Iterator[bytes]:
    while (path := os.path.dirname(path)) not in (b"/", b""):
        yield path


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _plain(place: bytes) -> bytes:
    """The path without links on the way; the last one may be the file itself."""
    above, name = os.path.split(place)
    if name in (b"", b".", b".."):
        return os.path.realpath(place)
    return os.path.join(os.path.realpath(above), name)


def _key(place: bytes) -> tuple[int, int] | None:
    try:
        real = os.lstat(place)
    except (OSError, ValueError):
        return None
    return _signed(real.st_dev), _signed(real.st_ino)


def _walk(top: bytes, devices: set[int]) -> Iterator[tuple[tuple[int, int], bytes]]:
    try:
        real = os.stat(top)
    except OSError:
        return
    yield (_signed(real.st_dev), _signed(real.st_ino)), top
    directories = [(top, _signed(real.st_dev))]
    while directories:
        path, dev = directories.pop()
        if dev not in devices:
            continue
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    key = (dev, _signed(entry.inode()))
                    if not entry.is_dir(follow_symlinks=False):
                        yield key, entry.path
                        continue
                    # What is mounted there has numbers of its own.
                    real = entry.stat(follow_symlinks=False)
                    below = (_signed(real.st_dev), _signed(real.st_ino))
                    yield below, entry.path
                    directories.append((entry.path, below[0]))
        except OSError:
            continue
