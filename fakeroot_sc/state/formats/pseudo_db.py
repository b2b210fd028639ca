"""The files.db of pseudo(1), Yocto's: files by number and by path."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from typing import Any, BinaryIO
from urllib.parse import quote

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.record import DEVICE_KINDS, FileIdentity, InodeRecord


def read(file: BinaryIO, name: str) -> Iterator[InodeRecord]:
    """The records of a database, and of the log beside it.  Raises StateError."""
    place = f"file:{quote(os.path.abspath(name))}?mode=ro"
    if not os.path.exists(name + "-wal") and not os.path.exists(name + "-journal"):
        place += "&immutable=1"
    try:
        with closing(sqlite3.connect(place, uri=True)) as database:
            yield from _records(database)
    except sqlite3.Error as error:
        raise StateError(f"{name}: not a files.db of pseudo: {error}") from error


def _records(database: sqlite3.Connection) -> Iterator[InodeRecord]:
    xattrs: dict[tuple[int, int], dict[str, bytes | None]] = {}
    tables = {table for (table,) in database.execute("SELECT name FROM sqlite_master")}
    if "xattrs" in tables:
        for dev, ino, name, value in database.execute("SELECT dev, ino, name, value FROM xattrs"):
            xattrs.setdefault((dev, ino), {})[_text(name)] = _bytes(value)
    seen = set()
    for path, dev, ino, uid, gid, mode, rdev in database.execute(
        "SELECT path, dev, ino, uid, gid, mode, rdev FROM files WHERE deleting = 0 ORDER BY id"
    ):
        if (dev, ino) in seen:
            continue  # another name of the same file
        seen.add((dev, ino))
        kind = stat.S_IFMT(mode) if stat.S_IFMT(mode) in DEVICE_KINDS else None
        yield InodeRecord(
            FileIdentity(dev % 2**64, ino % 2**64),
            uid,
            gid,
            None if stat.S_ISLNK(mode) else stat.S_IMODE(mode),
            kind,
            rdev if kind is not None else 0,
            xattrs.get((dev, ino), {}),
            _text(path),
        )


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


def _text(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)
