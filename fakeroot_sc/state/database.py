"""The durable form of a state: an SQLite file.  docs/state.rst publishes its schema.

A run imports this where a file is new or has to be written to, never before.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.paths import Key

APPLICATION_ID = 0x46534353
VERSION = 2

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
    2: (
        "CREATE TABLE links (dev INTEGER NOT NULL, ino INTEGER NOT NULL, path BLOB NOT NULL,"
        " PRIMARY KEY (dev, ino, path)) WITHOUT ROWID",
        "CREATE TABLE devices (dev INTEGER PRIMARY KEY, path BLOB NOT NULL)",
    ),
}
_TABLES = {
    1: {b"meta", b"inodes", b"xattrs"},
    2: {b"meta", b"inodes", b"xattrs", b"links", b"devices"},
}

BUSY_SECONDS = 30.0

_RETRY_SECONDS = 0.01
# What SQLite says of a damaged schema may quote bytes that are no text.
_ERRORS = (sqlite3.Error, UnicodeDecodeError)

Row = tuple[Any, ...]
"""dev, ino (signed), birth, type, uid, gid, mode, rdev, [(name, value)] or None: as the core
has them; then path, changed, program, and a tuple of further paths."""

_COLUMNS = "dev, ino, birth, type, uid, gid, mode, rdev, path, changed, program"
_UPSERT = (
    f"INSERT INTO inodes ({_COLUMNS})"
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
        # What was a table, a column or a text is none any more.
        why = f"it is damaged ({text}): restore a copy"
    return StateError(f"{path}: {why}")


def _is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorname", "") or ""
    return code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


class _Patience:
    """SQLite's own waiting leaves out what might be a deadlock: changes of the journal mode,
    recovery, the last one who closes.  None of those lasts; so the caller tries again."""

    def __init__(self) -> None:
        self._until = time.monotonic() + BUSY_SECONDS

    def wait(self, error: Exception) -> bool:
        """Whether to try again, after a while."""
        if not _is_busy(error) or time.monotonic() > self._until:
            return False
        time.sleep(_RETRY_SECONDS)
        return True


class Database:
    """One state file, open.  All methods raise StateError.

    ``create``: a file that is not there, or empty, becomes a new state.  What is only read
    stays as it is: of an earlier version, too.
    """

    def __init__(self, path: str, *, create: bool = True, read_only: bool = False) -> None:
        self.path = path
        self.version = VERSION
        self._create = create and not read_only
        self._read_only = read_only
        self._patiently(self._connect)

    def _patiently(self, act: Callable[[], object]) -> None:
        patience = _Patience()
        while True:
            try:
                act()
                return
            except _ERRORS as error:
                if not patience.wait(error):
                    raise trouble(self.path, error) from error

    def _connect(self) -> None:
        if not self._create and not os.path.exists(self.path):
            raise StateError(f"{self.path}: no such file")
        if os.path.isdir(self.path):
            raise StateError(f"{self.path}: is a directory")
        name = self.path if not self._read_only else _to_be_read(self.path)
        self.connection = sqlite3.connect(
            name,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            uri=self._read_only,
            cached_statements=32,
        )
        # A damaged file has texts that are none.
        self.connection.text_factory = bytes
        try:
            self._check()
            if not self._read_only:
                self.connection.execute("PRAGMA journal_mode=WAL")
                self.connection.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            self.connection.close()
            raise

    def _pragma(self, name: str) -> int:
        return int(self.connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _check(self) -> None:
        # Of one moment: another process may be making the file.
        self.connection.execute("BEGIN")
        try:
            application, self.version, schema = map(
                self._pragma, ("application_id", "user_version", "schema_version")
            )
        finally:
            if self.connection.in_transaction:
                self.connection.execute("COMMIT")
        is_new = application == 0 and self.version == 0 and schema == 0
        if not is_new and application != APPLICATION_ID:
            raise StateError(f"{self.path}: another program's SQLite file: choose another name")
        if self.version > VERSION:
            raise StateError(
                f"{self.path}: version {self.version}: this fakeroot-sc knows states up to "
                f"version {VERSION}: use a newer one"
            )
        if is_new and not self._create:
            if self._read_only and os.path.getsize(self.path) == 0:
                self._make_empty()
                return
            raise StateError(f"{self.path}: empty: not a state of fakeroot-sc")
        if not is_new and self.version < 1:
            raise StateError(f"{self.path}: damaged: no version: restore a copy")
        if self.version < VERSION and not self._read_only:
            self._migrate()
        tables = {name for (name,) in self.connection.execute("SELECT name FROM sqlite_master")}
        if not _TABLES[self.version] <= tables:
            raise StateError(f"{self.path}: damaged: tables are missing: restore a copy")

    def _make_empty(self) -> None:
        """What an empty file becomes, in memory: nothing can be written here."""
        self.connection.close()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.text_factory = bytes
        self._migrate()

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
        self.version = VERSION

    def close(self) -> None:
        """Closes the file; the last one to do so leaves no WAL beside it."""
        try:
            self.connection.close()
        except _ERRORS as error:
            raise trouble(self.path, error) from error

    def execute(self, statement: str, values: Iterable[Any] = ()) -> None:
        """Runs one statement that gives no rows."""
        given = tuple(values)
        self._patiently(lambda: self.connection.execute(statement, given))

    def query(self, statement: str, values: Iterable[Any] = ()) -> Iterator[Row]:
        """The rows that a statement gives."""
        patience = _Patience()
        given = tuple(values)
        begun = False
        while True:
            try:
                for row in self.connection.execute(statement, given):
                    begun = True
                    yield row
                return
            except _ERRORS as error:
                if begun or not patience.wait(error):
                    raise trouble(self.path, error) from error

    def many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Runs one statement for each row."""
        try:
            self.connection.executemany(statement, rows)
        except _ERRORS as error:
            raise trouble(self.path, error) from error

    @property
    def stamp(self) -> int:
        """A random number that each commit changes."""
        found = next(self.query("SELECT value FROM meta WHERE key = 'stamp'"), None)
        if found is None or not isinstance(found[0], int):
            raise StateError(f"{self.path}: damaged: no stamp: restore a copy")
        return found[0]

    def _damaged(self, what: str) -> StateError:
        return StateError(f"{self.path}: damaged: a row has {what}: restore a copy")

    def rows(self, where: str = "", values: Iterable[Any] = ()) -> Iterator[Row]:
        """The rows of ``inodes`` with what belongs to them, in the order of dev and ino, as
        unsigned numbers."""
        given = tuple(values)
        order = "ORDER BY dev < 0, dev, ino < 0, ino"
        below = f"WHERE (dev, ino) IN (SELECT dev, ino FROM inodes {where}) {order}"
        xattrs = _Groups(
            self.query(f"SELECT dev, ino, name, value FROM xattrs {below}, name", given)
        )
        links = _Groups(
            self.query(f"SELECT dev, ino, path FROM links {below}, path", given)
            if self.version > 1
            else iter(())
        )
        for found in self.query(f"SELECT {_COLUMNS} FROM inodes {where} {order}", given):
            yield self._sound(found, xattrs.take(found[:2]), links.take(found[:2]))

    def row(self, key: Key) -> Row | None:
        """One row of rows()."""
        here = "WHERE dev = ? AND ino = ?"
        found = next(self.query(f"SELECT {_COLUMNS} FROM inodes {here}", key), None)
        if found is None:
            return None
        pairs = list(self.query(f"SELECT name, value FROM xattrs {here} ORDER BY name", key))
        links = (
            list(self.query(f"SELECT path FROM links {here} ORDER BY path", key))
            if self.version > 1
            else []
        )
        return self._sound(found, pairs, links)

    def _sound(self, found: Row, pairs: list[Row], links: list[Row]) -> Row:
        """A row that is as the schema says; StateError otherwise."""
        for value, (what, fits) in zip(found, _SOUND, strict=True):
            if not fits(value):
                raise self._damaged(f"{what} {value!r:.100}")
        if found[7] is not None and not (stat.S_ISCHR(found[3]) or stat.S_ISBLK(found[3])):
            raise self._damaged("a device number and no device type")
        for name, value in pairs:
            if not (_is_name(name) and (value is None or _is_value(value))):
                raise self._damaged(f"an attribute {name!r:.100}")
        for (path,) in links:
            if not _is_path(path):
                raise self._damaged(f"path {path!r:.100}")
        others = tuple(path for (path,) in links)
        return (*found[:8], [*pairs] or None, *found[8:], others)

    def load(self, size: int = 50_000) -> Iterator[list[Row]]:
        """All rows as Live.load() takes them, in lists of at most that many."""
        with_xattrs: dict[Row, list[Row]] = {}
        for dev, ino, *pair in self.query("SELECT dev, ino, name, value FROM xattrs"):
            with_xattrs.setdefault((dev, ino), []).append(tuple(pair))
        statement = "SELECT dev, ino, birth, type, uid, gid, mode, rdev, NULL FROM inodes"
        for rows in self._many_rows(statement, size):
            if with_xattrs:
                yield [(*row[:8], with_xattrs.get(row[:2])) for row in rows]
            else:
                yield rows

    def _many_rows(self, statement: str, size: int) -> Iterator[list[Row]]:
        """As query(), in lists: a row at a time takes half as long again."""
        try:
            found = self.connection.execute(statement)
            while rows := found.fetchmany(size):
                yield rows
        except _ERRORS as error:
            raise trouble(self.path, error) from error

    def put(
        self,
        rows: list[Row],
        paths: Mapping[Key, list[bytes]],
        changes: Mapping[Key, tuple[int | None, bytes | None]],
        change: tuple[int | None, bytes | None],
    ) -> None:
        """Inserts or replaces rows, inside of a transaction, and notes of all keys that are
        given where their files are, and when and by which program they were changed; of other
        rows that is ``change``, and where they were seen stays as it is known, for the same
        file."""
        if self._has("links"):
            self.many(
                "DELETE FROM links WHERE dev = ?1 AND ino = ?2 AND NOT EXISTS"
                " (SELECT 1 FROM inodes WHERE dev = ?1 AND ino = ?2 AND birth IS ?3)",
                (row[:3] for row in rows),
            )
        nowhere: list[bytes | None] = [None]
        self.many(
            _UPSERT,
            (
                (*row[:8], paths.get(row[:2], nowhere)[0], *changes.get(row[:2], change))
                for row in rows
            ),
        )
        if self._has("xattrs"):
            self.many("DELETE FROM xattrs WHERE dev = ? AND ino = ?", (row[:2] for row in rows))
        self.many(
            "INSERT INTO xattrs VALUES (?, ?, ?, ?)",
            ((*row[:2], name, value) for row in rows if row[8] for name, value in row[8]),
        )
        put = {row[:2] for row in rows} if paths or changes else set()
        self.many(
            "UPDATE inodes SET path = ? WHERE dev = ? AND ino = ?",
            ((found[0], *key) for key, found in paths.items() if key not in put),
        )
        self.many(
            "UPDATE inodes SET changed = ?, program = ? WHERE dev = ? AND ino = ?",
            ((*changed, *key) for key, changed in changes.items() if key not in put),
        )
        self._put_links(paths)

    def _put_links(self, paths: Mapping[Key, list[bytes]]) -> None:
        if self._has("links"):
            self.many("DELETE FROM links WHERE dev = ? AND ino = ?", paths)
        self.many(
            "INSERT OR IGNORE INTO links SELECT ?1, ?2, ?3 WHERE EXISTS"
            " (SELECT 1 FROM inodes WHERE dev = ?1 AND ino = ?2)",
            ((*key, path) for key, found in paths.items() for path in found[1:]),
        )

    def devices(self) -> dict[int, bytes]:
        """Where the file systems of records are mounted, by their (signed) devices."""
        found: dict[int, bytes] = {}
        for dev, path in self.query("SELECT dev, path FROM devices"):
            if not (isinstance(dev, int) and _is_path(path)):
                raise self._damaged(f"device {dev!r:.100} at {path!r:.100}")
            found[dev] = path
        return found

    def put_devices(self, devices: Mapping[int, bytes]) -> None:
        """In place of what devices() gives, inside of a transaction."""
        self.execute("DELETE FROM devices")
        self.many("INSERT INTO devices VALUES (?, ?)", devices.items())

    def paths(self, files: list[tuple[int, int, int | None]]) -> dict[Key, list[bytes]]:
        """Where those files, by dev, ino and birth, were seen, as far as that is known."""
        if len(files) > 1000:
            wanted = set(files)
            given: Iterable[Row] = (
                row
                for row in self.query(
                    "SELECT dev, ino, birth, path FROM inodes WHERE path NOT NULL"
                )
                if row[:3] in wanted
            )
        else:
            query = "SELECT dev, ino, birth, path FROM inodes WHERE dev = ? AND ino = ?"
            query += " AND birth IS ? AND path NOT NULL"
            given = (row for file in files for row in self.query(query, file))
        found = {(dev, ino): [path] for dev, ino, _, path in given if _is_path(path)}
        if self._has("links"):
            for key, paths in found.items():
                here = self.query("SELECT path FROM links WHERE dev = ? AND ino = ?", key)
                paths += [path for (path,) in here if _is_path(path)]
        return found

    def numbers(self) -> Iterator[Row]:
        """dev and ino of all rows."""
        return self.query("SELECT dev, ino FROM inodes")

    def _has(self, table: str) -> bool:
        return next(self.query(f"SELECT 1 FROM {table} LIMIT 1"), None) is not None

    def remove(self, keys: list[Key]) -> None:
        """Deletes rows, inside of a transaction."""
        for table in ("inodes", "xattrs", "links"):
            self.many(f"DELETE FROM {table} WHERE dev = ? AND ino = ?", keys)

    def remove_others(self, rows: Iterable[Row]) -> None:
        """Deletes what is of none of these keys, inside of a transaction."""
        left = {row[:2] for row in rows}
        self.remove([key for key in map(_pair, self.numbers()) if key not in left])

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
            with suppress(*_ERRORS):
                self.connection.execute("ROLLBACK")


class _Groups:
    """Rows that begin with dev and ino, in order, as they belong to keys in the same order."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._next: Row | None = next(rows, None)

    def take(self, key: Row) -> list[Row]:
        """The rest of the rows of the next key."""
        taken = []
        while self._next is not None and self._next[:2] == key:
            taken.append(self._next[2:])
            self._next = next(self._rows, None)
        return taken


def _pair(row: Row) -> Key:
    return row[0], row[1]


def _is_number(first: int, last: int, *, or_none: bool) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        return or_none if value is None else isinstance(value, int) and first <= value <= last

    return fits


def _is_path(value: Any) -> bool:
    return isinstance(value, bytes) and value[:1] == b"/" and b"\0" not in value


def _is_name(value: Any) -> bool:
    return isinstance(value, bytes) and 0 < len(value) <= 255 and b"\0" not in value


def _is_value(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) <= 65536


_INTEGER = (-(2**63), 2**63 - 1)
_SOUND: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("dev", _is_number(*_INTEGER, or_none=False)),
    ("ino", _is_number(*_INTEGER, or_none=False)),
    ("birth", _is_number(*_INTEGER, or_none=True)),
    ("type", _is_number(0, 0o170000, or_none=False)),
    ("uid", _is_number(0, 2**32 - 1, or_none=True)),
    ("gid", _is_number(0, 2**32 - 1, or_none=True)),
    ("mode", _is_number(0, 0o7777, or_none=True)),
    ("rdev", _is_number(0, 2**63 - 1, or_none=True)),
    ("path", lambda value: value is None or _is_path(value)),
    ("changed", _is_number(*_INTEGER, or_none=True)),
    ("program", lambda value: value is None or (isinstance(value, bytes) and b"\0" not in value)),
)
"""Of each column, what it holds."""


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
