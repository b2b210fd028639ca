"""The files.db of pseudo(1), Yocto's: files by number and by path."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.formats.listed import ID_LAST, Place
from fakeroot_sc.state.record import DEVICE_KINDS, FileIdentity, InodeRecord

_BESIDE = ("-journal", "-wal")
_WAIT = 2.0
"""Seconds that a database may be locked: a server's commit is over by then."""

_IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_CANNOT_RECOVER = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)


def read(file: BinaryIO, name: str) -> Iterator[InodeRecord]:
    """The records of a database, and of the log beside it.  Raises StateError."""
    try:
        found = _read(name, name)
    except sqlite3.Error as error:
        if _code(error) in _IN_USE:
            raise StateError(
                f"{name}: a pseudo server is using it, and has in its memory what is not in the "
                "file yet: end it first (pseudo -S, with its PSEUDO_LOCALSTATEDIR)"
            ) from error
        if _code(error) not in _CANNOT_RECOVER:
            raise _not_one(name, error) from error
        # What a killed server has left in a log is put into the file by who opens it, who has
        # to be able to write there.
        found = _read_copy(name)
    except UnicodeDecodeError as error:  # of a message that names what is damaged
        raise _not_one(name, error) from error
    yield from found


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _not_one(name: str, error: Exception) -> StateError:
    return StateError(f"{name}: not a files.db of pseudo, or a damaged one: {error}")


def _read(path: str, name: str) -> list[InodeRecord]:
    place = (
        f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode={'ro' if path == name else 'rw'}"
    )
    with closing(sqlite3.connect(place, uri=True, timeout=_WAIT)) as database:
        # Names may be any bytes.
        database.text_factory = bytes
        return list(_records(database, name))


def _read_copy(name: str) -> list[InodeRecord]:
    def looks() -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        for end in ("", *_BESIDE):
            there = Path(name + end)
            seen = there.stat() if there.exists() else None
            found.append((seen.st_size, seen.st_mtime_ns) if seen else None)
        return found

    try:
        with tempfile.TemporaryDirectory(prefix="fakeroot-sc-") as directory:
            copy = os.path.join(directory, "files.db")
            before = looks()
            for end, there in zip(("", *_BESIDE), before, strict=True):
                if there is not None:
                    shutil.copyfile(name + end, copy + end)
            if looks() != before:
                raise StateError(f"{name}: changes while it is read: end what uses it first")
            return _read(copy, name)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _not_one(name, error) from error
    except OSError as error:
        raise StateError(f"{name}: cannot be copied to be read: {error.strerror}") from error


def _records(database: sqlite3.Connection, name: str) -> Iterator[InodeRecord]:
    xattrs: dict[tuple[Any, Any], dict[str, bytes | None]] = {}
    tables = {table for (table,) in database.execute("SELECT name FROM sqlite_master")}
    if b"xattrs" in tables:
        for dev, ino, key, value in database.execute("SELECT dev, ino, name, value FROM xattrs"):
            plain, found = Place(name, ino, "xattrs: ino").xattr(_bytes(key), _bytes(value))
            xattrs.setdefault((dev, ino), {})[plain] = found
    seen = set()
    for row, path, dev, ino, uid, gid, mode, rdev in database.execute(
        "SELECT id, path, dev, ino, uid, gid, mode, rdev FROM files WHERE deleting = 0 ORDER BY id"
    ):
        numbers = (dev, ino, uid, gid, mode, rdev)
        if not all(type(each) is int for each in numbers) or not 0 <= mode <= 0o177777:
            raise StateError(
                f"{name}: files: id {row}: damaged: {numbers}: not the numbers of a file"
            )
        if (dev, ino) in seen:
            continue  # another name of the same file
        seen.add((dev, ino))
        kind = stat.S_IFMT(mode) if stat.S_IFMT(mode) in DEVICE_KINDS else None
        yield InodeRecord(
            FileIdentity(dev % 2**64, ino % 2**64),
            _owner(uid),
            _owner(gid),
            None if stat.S_ISLNK(mode) else stat.S_IMODE(mode),
            kind,
            rdev % 2**64 if kind is not None else 0,
            xattrs.get((dev, ino), {}),
            os.fsdecode(_bytes(path)),
        )


def _owner(number: int) -> int | None:
    """Signed in some versions; None for the one that is nobody's."""
    number %= 2**32
    return number if number <= ID_LAST else None


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
