"""The durable form of a state: an SQLite file.  docs/state.rst publishes its schema.

A run imports this where a file is new or has to be written to, never before.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from fakeroot_sc.state.errors import StateError

APPLICATION_ID = 0x46534353
VERSION = 1

# Each brings a file of the version before to the next one.
_MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
        "CREATE TABLE inodes (dev INTEGER NOT NULL, ino INTEGER NOT NULL, birth INTEGER,"
        " type INTEGER NOT NULL, uid INTEGER, gid INTEGER, mode INTEGER, rdev INTEGER,"
        " path BLOB, changed INTEGER, program BLOB,"
        " PRIMARY KEY (dev, ino)) WITHOUT ROWID",
        "CREATE TABLE xattrs (dev INTEGER NOT NULL, ino INTEGER NOT NULL, name BLOB NOT NULL,"
        " value BLOB, PRIMARY KEY (dev, ino, name)) WITHOUT ROWID",
        "INSERT INTO meta VALUES ('format', 'fakeroot-sc'), ('stamp', 0)",
    ),
}

BUSY_SECONDS = 30.0

Row = tuple[Any, ...]
"""dev, ino (signed), birth, type, uid, gid, mode, rdev, [(name, value)] or None."""

_UPSERT = (
    "INSERT INTO inodes (dev, ino, birth, type, uid, gid, mode, rdev, path, changed, program)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    " ON CONFLICT (dev, ino) DO UPDATE SET"
    # What is said of where it was seen holds on for the same file alone.
    " path = coalesce(excluded.path, iif(birth IS excluded.birth, path, NULL)),"
    " program = excluded.program,"
    " birth = excluded.birth, type = excluded.type, uid = excluded.uid, gid = excluded.gid,"
    " mode = excluded.mode, rdev = excluded.rdev, changed = excluded.changed"
)


def trouble(path: str, error: Exception) -> StateError:
    """What SQLite says, in words that tell what to do."""
    text = str(error)
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith("SQLITE_FULL") or (code.startswith("SQLITE_IOERR") and _is_full(path)):
        why = "the disk is full: make room"
    elif code.startswith(("SQLITE_READONLY", "SQLITE_PERM")):
        why = "it cannot be written to: it, its directory or the file system is read-only"
    elif code.startswith("SQLITE_CANTOPEN"):
        why = "it cannot be opened: its directory must be there and be yours to write to"
    elif code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        why = f"another program has kept it locked for {BUSY_SECONDS:.0f} seconds: let it end"
    elif code.startswith("SQLITE_NOTADB"):
        why = "not a state of fakeroot-sc: no SQLite file"
    elif code.startswith("SQLITE_CORRUPT"):
        why = f"it is damaged ({text}): restore a copy; 'sqlite3 FILE .recover' may save some"
    elif code.startswith("SQLITE_IOERR"):
        why = f"reading or writing failed ({text}, {code}): look at the disk"
    else:
        why = text
    return StateError(f"{path}: {why}")


class Database:
    """One state file, open.  All methods raise StateError."""

    def __init__(self, path: str, *, create: bool = True, read_only: bool = False) -> None:
        self.path = path
        try:
            self._connect(create and not read_only, read_only)
        except sqlite3.Error as error:
            raise trouble(path, error) from error

    def _connect(self, create: bool, read_only: bool) -> None:
        if not create and not os.path.exists(self.path):
            raise StateError(f"{self.path}: no such file")
        if os.path.isdir(self.path):
            raise StateError(f"{self.path}: is a directory")
        name = self.path if not read_only else _to_be_read(self.path)
        self.connection = sqlite3.connect(
            name, timeout=BUSY_SECONDS, isolation_level=None, uri=read_only, cached_statements=32
        )
        try:
            self._check(create)
            if not read_only:
                self.connection.execute("PRAGMA journal_mode=WAL")
                self.connection.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            self.connection.close()
            raise

    def _pragma(self, name: str) -> int:
        return int(self.connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _check(self, create: bool) -> None:
        # Of one moment: another process may be making the file.
        self.connection.execute("BEGIN")
        try:
            application, version, schema = map(
                self._pragma, ("application_id", "user_version", "schema_version")
            )
        finally:
            if self.connection.in_transaction:
                self.connection.execute("COMMIT")
        if application == 0 and version == 0 and schema == 0:
            if not create:
                raise StateError(f"{self.path}: empty: not a state of fakeroot-sc")
        elif application != APPLICATION_ID:
            raise StateError(f"{self.path}: another program's SQLite file: choose another name")
        if version > VERSION:
            raise StateError(
                f"{self.path}: version {version}: this fakeroot-sc knows states up to version "
                f"{VERSION}: use a newer one"
            )
        if version < VERSION:
            self._migrate()
        tables = {name for (name,) in self.connection.execute("SELECT name FROM sqlite_master")}
        if not {"meta", "inodes", "xattrs"} <= tables:
            raise StateError(f"{self.path}: damaged: tables are missing: restore a copy")

    def _migrate(self) -> None:
        # Another process may be doing the same: look again inside of the transaction.
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            for version in range(self._pragma("user_version") + 1, VERSION + 1):
                for statement in _MIGRATIONS[version]:
                    self.connection.execute(statement)
            if self.stamp == 0:
                self.set_stamp(self.new_stamp())
            self.connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            self.connection.execute(f"PRAGMA user_version={VERSION}")
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Closes the file; the last one to do so leaves no WAL beside it."""
        try:
            self.connection.close()
        except sqlite3.Error as error:
            raise trouble(self.path, error) from error

    def execute(self, statement: str, values: Iterable[Any] = ()) -> sqlite3.Cursor:
        """Runs one statement."""
        try:
            return self.connection.execute(statement, tuple(values))
        except sqlite3.Error as error:
            raise trouble(self.path, error) from error

    def many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Runs one statement for each row."""
        try:
            self.connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise trouble(self.path, error) from error

    @property
    def stamp(self) -> int:
        """A random number that each commit changes."""
        found = self.execute("SELECT value FROM meta WHERE key = 'stamp'").fetchone()
        if found is None or not isinstance(found[0], int):
            raise StateError(f"{self.path}: damaged: no stamp: restore a copy")
        return found[0]

    def rows(self, where: str = "", values: Iterable[Any] = ()) -> Iterator[Row]:
        """The rows of ``inodes``, with their attributes and, last, path, changed, program;
        in the order of dev and ino, as unsigned numbers."""
        order = "ORDER BY dev < 0, dev, ino < 0, ino"
        attributes = self._xattrs(where, values, order)
        key, pairs = next(attributes, (None, None))
        for row in self.execute(
            "SELECT dev, ino, birth, type, uid, gid, mode, rdev, path, changed, program"
            f" FROM inodes {where} {order}",
            values,
        ):
            if key == row[:2]:
                yield (*row[:8], pairs, *row[8:])
                key, pairs = next(attributes, (None, None))
            else:
                yield (*row[:8], None, *row[8:])

    def row(self, key: tuple[int, int]) -> Row | None:
        """One row of rows()."""
        found = self.execute(
            "SELECT dev, ino, birth, type, uid, gid, mode, rdev, path, changed, program"
            " FROM inodes WHERE dev = ? AND ino = ?",
            key,
        ).fetchone()
        if found is None:
            return None
        pairs = self.execute(
            "SELECT name, value FROM xattrs WHERE dev = ? AND ino = ? ORDER BY name", key
        ).fetchall()
        return (*found[:8], pairs or None, *found[8:])

    def _xattrs(self, where: str, values: Iterable[Any], order: str) -> Iterator[tuple[Any, Any]]:
        key: tuple[int, int] | None = None
        pairs: list[tuple[bytes, bytes | None]] = []
        for dev, ino, name, value in self.execute(
            "SELECT dev, ino, name, value FROM xattrs WHERE (dev, ino) IN"
            f" (SELECT dev, ino FROM inodes {where}) {order}, name",
            values,
        ):
            if key != (dev, ino):
                if key is not None:
                    yield key, pairs
                key, pairs = (dev, ino), []
            pairs.append((name, value))
        if key is not None:
            yield key, pairs

    def load(self, size: int = 50_000) -> Iterator[list[Row]]:
        """All rows as Live.load() takes them, in lists of at most that many."""
        with_xattrs = {key: pairs for key, pairs in self._xattrs("", (), "ORDER BY dev, ino")}
        found = self.execute("SELECT dev, ino, birth, type, uid, gid, mode, rdev, NULL FROM inodes")
        while rows := found.fetchmany(size):
            if with_xattrs:
                rows = [(*row[:8], with_xattrs.get(row[:2])) for row in rows]
            yield rows

    def put(
        self,
        rows: list[Row],
        changed: int | None,
        paths: Mapping[tuple[int, int], bytes],
        program: bytes | None,
    ) -> None:
        """Inserts or replaces rows, inside of a transaction; ``paths``: of some keys.  A path
        that is not said stays as it is known."""
        self.many(_UPSERT, ((*row[:8], paths.get(row[:2]), changed, program) for row in rows))
        self.many(
            "DELETE FROM xattrs WHERE dev = ? AND ino = ?",
            (row[:2] for row in rows) if self._has_xattrs() else (),
        )
        self.many(
            "INSERT INTO xattrs VALUES (?, ?, ?, ?)",
            ((*row[:2], name, value) for row in rows if row[8] for name, value in row[8]),
        )

    def with_path(self, files: list[tuple[int, int, int | None]]) -> set[tuple[int, int]]:
        """The keys of those files, by dev, ino and birth, whose path is known."""
        if len(files) > 1000:
            wanted = set(files)
            return {
                row[:2]
                for row in self.execute("SELECT dev, ino, birth FROM inodes WHERE path NOT NULL")
                if row in wanted
            }
        query = "SELECT 1 FROM inodes WHERE dev = ? AND ino = ? AND birth IS ? AND path NOT NULL"
        return {file[:2] for file in files if self.execute(query, file).fetchone()}

    def _has_xattrs(self) -> bool:
        return self.execute("SELECT 1 FROM xattrs LIMIT 1").fetchone() is not None

    def remove(self, keys: list[tuple[int, int]]) -> None:
        """Deletes rows, inside of a transaction."""
        for table in ("inodes", "xattrs"):
            self.many(f"DELETE FROM {table} WHERE dev = ? AND ino = ?", keys)

    def clear(self) -> None:
        """Deletes all rows, inside of a transaction."""
        for table in ("inodes", "xattrs"):
            self.execute(f"DELETE FROM {table}")

    def new_stamp(self) -> int:
        """Draws the next stamp: not 0, of 63 bits."""
        while True:
            drawn = int.from_bytes(os.urandom(8), "little") >> 1
            if drawn:
                return drawn

    def set_stamp(self, stamp: int) -> None:
        """Inside of a transaction."""
        self.execute("UPDATE meta SET value = ? WHERE key = 'stamp'", (stamp,))

    def rollback(self) -> None:
        """Undoes the transaction, if there is one; closing does so too, if need be."""
        if self.connection.in_transaction:
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")


def _to_be_read(path: str) -> str:
    """A URI of SQLite's.  Without a log beside it a file is read as it is: even reading
    makes files in its directory otherwise."""
    from urllib.parse import quote

    has_log = os.path.exists(path + "-wal")
    return f"file:{quote(os.path.abspath(path))}?mode=ro{'' if has_log else '&immutable=1'}"


def _is_full(path: str) -> bool:
    try:
        return os.statvfs(os.path.dirname(os.path.abspath(path))).f_bavail == 0
    except OSError:
        return False
