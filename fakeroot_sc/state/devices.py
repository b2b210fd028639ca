"""Which file systems the files of a state are on, and what to do when one comes back with
another number: mounted anew, after a boot, as a new overlay.

``st_dev`` tells file systems apart only as long as they are mounted.  So a state notes a
directory of each, the topmost: one look at it tells whether the number still holds.
"""

import os
from collections.abc import Iterable, Mapping

from fakeroot_sc.state.database import Database, Row
from fakeroot_sc.state.edits import Edit, edit_of, is_same_file
from fakeroot_sc.state.look import look
from fakeroot_sc.state.paths import Key, signed


def find_devices(
    known: Mapping[int, bytes], paths: Mapping[Key, list[bytes]]
) -> dict[int, bytes] | None:
    """The devices with those of files that have been found; None: no new ones."""
    new: dict[int, bytes] = {}
    for (dev, _), found in paths.items():
        if dev not in known and dev not in new:
            new[dev] = _topmost(found[0], dev)
    return {**known, **new} if new else None


def _topmost(path: bytes, dev: int) -> bytes:
    at = path
    while at != b"/" and _dev(os.path.dirname(at)) == dev:
        at = os.path.dirname(at)
    return at


def _dev(path: bytes) -> int | None:
    try:
        return signed(os.lstat(path).st_dev)
    except OSError:
        return None


class Rebinding:
    """What binds records to files that have their paths, inode numbers and births, and
    another device than before.  ``bound``, ``unbound``: how many records."""

    def __init__(self, database: Database, moved: Iterable[int]) -> None:
        self.edits: list[Edit] = []
        self.devices = database.devices()
        self.bound = self.unbound = 0
        rows: dict[Key, Row] = {}
        for dev in moved:
            for row in database.rows("WHERE dev = ?", (dev,)):
                rows[row[0], row[1]] = row
        self._bind(database, rows)

    def _bind(self, database: Database, rows: Mapping[Key, Row]) -> None:
        after: dict[Key, Row | None] = {}
        left: set[int] = set()
        for key, row in rows.items():
            found = _file_of(row)
            if found is None or (found not in rows and database.row(found) is not None):
                left.add(key[0])
                self.unbound += 1
                continue
            after.setdefault(key, None)
            after[found] = (*found, *row[2:])
            self.bound += 1
            self.devices.setdefault(found[0], _topmost(row[9], found[0]))
        for dev in {key[0] for key in rows} - left:
            if not any(key[0] == dev and bound is not None for key, bound in after.items()):
                self.devices.pop(dev, None)
        for key, bound in after.items():
            if (edit := edit_of(rows.get(key), bound)) is not None:
                self.edits.append(edit)


def _file_of(row: Row) -> Key | None:
    """The number of the file of a row now, where its device is another one."""
    for path in (row[9], *row[12]):
        if path is None:
            continue
        try:
            seen = look(path)
        except OSError:
            continue
        key = signed(seen.dev), signed(seen.ino)
        if key[0] != row[0] and key[1] == row[1] and is_same_file(row, seen.birth):
            return key
    return None
