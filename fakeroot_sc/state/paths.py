"""Where files are that a run has changed: a walk of the directories in which it has.

A record knows its file by number.  The paths, as many as the file has names, are for people,
and for binding the record to a copy of the file.
"""

import os
import stat
from collections.abc import Iterable, Iterator

_ENTRIES_LEAST = 30_000
_NOT_FILES = (b"/proc", b"/sys", b"/dev")
_IN_MEMORY = b"/dev/shm/"

Key = tuple[int, int]


def find_paths(
    places: Iterable[bytes], wanted: set[Key], *, bounded: bool = True
) -> dict[Key, list[bytes]]:
    """The paths of files by (dev, ino), as signed numbers, as far as they lie below the
    places, files or directories, and are found soon enough (or, not ``bounded``, at all)."""
    found = _Found(wanted)
    left = _ENTRIES_LEAST + 20 * len(wanted)
    devices = {dev for dev, _ in wanted}
    places = list(places)
    for place in places:
        found.look(place)
    if not found.rest:
        return found.paths
    walked: set[bytes] = set()
    for top in _tops(places):
        for key, path, is_directory in _walk(top, devices, walked):
            left -= 1
            if key in found.rest:
                found.add(key, path, 1 if is_directory else None)
            if not found.rest or (bounded and left < 0):
                return found.paths
        walked.add(top)
    return found.paths


class _Found:
    """``rest``: the files of which not all names are known."""

    def __init__(self, wanted: set[Key]) -> None:
        self.rest = set(wanted)
        self.paths: dict[Key, list[bytes]] = {}
        self._names: dict[Key, int] = {}

    def look(self, place: bytes) -> None:
        """At what may be one of the files itself."""
        try:
            real = os.lstat(place)
        except (OSError, ValueError):
            return
        key = key_of(real)
        if key in self.rest:
            self.add(key, _plain(place), 1 if stat.S_ISDIR(real.st_mode) else real.st_nlink)

    def add(self, key: Key, path: bytes, names: int | None) -> None:
        """``names``: how many the file has; None: to be looked up."""
        paths = self.paths.setdefault(key, [])
        if path in paths:
            return
        paths.append(path)
        if key not in self._names:
            self._names[key] = _names(path) if names is None else names
        if len(paths) >= self._names[key]:
            self.rest.discard(key)


def _names(path: bytes) -> int:
    try:
        return os.lstat(path).st_nlink
    except OSError:
        return 1


def all_names(paths: list[bytes], key: Key) -> list[bytes] | None:
    """Those of the paths that are of the file still; None if it may have more names."""
    still, names = [], 1
    for path in paths:
        try:
            real = os.lstat(path)
        except (OSError, ValueError):
            continue
        if key_of(real) == key:
            still.append(path)
            names = 1 if stat.S_ISDIR(real.st_mode) else real.st_nlink
    return still if len(still) >= names else None


def _directory(place: bytes) -> bytes | None:
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    at = os.path.realpath(place)
    if at == b"/" or (at.startswith(_NOT_FILES) and not at.startswith(_IN_MEMORY)):
        return None
    return at


def _tops(places: Iterable[bytes]) -> list[bytes]:
    """The directories of the places, the deepest first: those are the most telling.  One far
    above them (a temporary directory in which standard error lies) may hold more than is
    walked."""
    tops: set[bytes] = {at for place in places if (at := _directory(place))}
    return sorted(tops, key=lambda top: (-top.count(b"/"), top))


def signed(number: int) -> int:
    """A number of 64 bits as SQLite's."""
    return number - (1 << 64) if number >> 63 else number


def _plain(place: bytes) -> bytes:
    """The path without links on the way; the last one may be the file itself."""
    above, name = os.path.split(place)
    if name in (b"", b".", b".."):
        return os.path.realpath(place)
    return os.path.join(os.path.realpath(above), name)


def key_of(real: os.stat_result) -> Key:
    """Device and inode number, as signed numbers."""
    return signed(real.st_dev), signed(real.st_ino)


def _walk(top: bytes, devices: set[int], walked: set[bytes]) -> Iterator[tuple[Key, bytes, bool]]:
    """Files by (dev, ino), their paths, and whether they are directories; none below
    directories that have been walked."""
    try:
        real = os.stat(top)
    except OSError:
        return
    yield key_of(real), top, stat.S_ISDIR(real.st_mode)
    directories = [(top, signed(real.st_dev))]
    while directories:
        path, dev = directories.pop()
        if dev not in devices:
            continue
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    key = (dev, signed(entry.inode()))
                    if not entry.is_dir(follow_symlinks=False):
                        yield key, entry.path, False
                        continue
                    # What is mounted there has numbers of its own.
                    real = entry.stat(follow_symlinks=False)
                    below = key_of(real)
                    yield below, entry.path, True
                    if entry.path not in walked:
                        directories.append((entry.path, below[0]))
        except OSError:
            continue
