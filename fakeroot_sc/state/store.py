"""States from Python: what runs with ``--state`` remember, to be read and changed."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from heapq import merge
from types import TracebackType

import attrs

from fakeroot_sc import _core
from fakeroot_sc.passes import draw_pass
from fakeroot_sc.state import shown
from fakeroot_sc.state.database import Database, Row
from fakeroot_sc.state.edits import Layer, edit_of, is_same_file
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.look import Look, look
from fakeroot_sc.state.memory import loaded
from fakeroot_sc.state.paths import Key, signed
from fakeroot_sc.state.record import DEVICE_KINDS, FileIdentity, InodeRecord
from fakeroot_sc.state.sync import Sync

CAPABILITY = "security.capability"
_MARK = b"\1written"
"""When a file was written to last, beside its capabilities, which a write takes away
(native/file_capability.c): the time of modification, the size and, since version 2, a checksum
of the contents; empty: not known."""
_MARKED = struct.Struct("=qQIIQ")
_MARKED_LEAST = 24


def _key(identity: FileIdentity) -> Key:
    return signed(identity.dev), signed(identity.ino)


def mark(seen: Look | None, path: str | bytes | None) -> bytes:
    """What is kept beside the capabilities of a file that looks so, at a path."""
    if seen is None:
        return b""
    seconds, nanoseconds = divmod(seen.mtime, 10**9)
    contents = None if path is None else _core.contents(os.fsencode(path))
    return _MARKED.pack(seconds, seen.size, nanoseconds, contents is not None, contents or 0)


@attrs.frozen
class Change:
    """When a record was last written to the state (nanoseconds since 1970), and by which
    command's run, as far as that is known."""

    time: int | None
    program: str | None


def _written(raw: bytes | None) -> tuple[int, int, int | None] | None:
    if raw is None or len(raw) not in (_MARKED_LEAST, _MARKED.size):
        return None
    seconds, size, nanoseconds, known, contents = _MARKED.unpack(raw.ljust(_MARKED.size, b"\0"))
    known = known and len(raw) == _MARKED.size
    return seconds * 10**9 + nanoseconds, size, contents if known else None


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else os.fsdecode(raw)


def record_of(row: Row) -> InodeRecord:
    """The record of a row of Database.rows()."""
    dev, ino, birth, kind, uid, gid, mode, rdev, xattrs, path, _, _, links = row
    return InodeRecord(
        FileIdentity(dev % (1 << 64), ino % (1 << 64), birth),
        uid,
        gid,
        mode,
        kind if rdev is not None else None,
        rdev or 0,
        {os.fsdecode(name): value for name, value in xattrs or () if name[:1] != b"\1"},
        _text(path),
        tuple(map(os.fsdecode, links)),
        _written(dict(xattrs or ()).get(_MARK)),
    )


def _links(record: InodeRecord, seen: Look, path: str) -> tuple[str, ...]:
    """The names of a record, beside that path, by which its file is there still."""
    if seen.nlink < 2 or record.path is None:
        return ()
    others = dict.fromkeys((record.path, *record.links))
    others.pop(path, None)
    key = seen.identity.dev, seen.identity.ino
    return tuple(other for other in others if _number_at(other) == key)


def _number_at(path: str) -> tuple[int, int] | None:
    try:
        real = os.lstat(path)
    except (OSError, ValueError):
        return None
    return real.st_dev, real.st_ino


def _checked(what: str, value: int | None, last: int) -> int | None:
    if value is not None and not 0 <= value <= last:
        raise ValueError(f"{what}: {value} is not from 0 to {last}")
    return value


def _row(record: InodeRecord, kind: int, written: bytes | None) -> Row:
    """``kind``: the type as far as it is known, else 0; ``written``: the mark."""
    if record.kind is not None and record.kind not in DEVICE_KINDS:
        raise ValueError(f"kind: {record.kind:o} is not that of a device")
    pairs: list[tuple[bytes, bytes | None]] = []
    for name, value in record.xattrs.items():
        raw = os.fsencode(name)
        if not 0 < len(raw) <= 255 or b"\0" in raw or raw[:1] == b"\1":
            raise ValueError(f"xattrs: {name!r} is not the name of an attribute")
        if value is not None and len(value) > 65536:
            raise ValueError(f"xattrs: {name}: longer than 65536 bytes (xattr(7))")
        pairs.append((raw, value))
    if written is not None:
        pairs.append((_MARK, written))
    identity = record.identity
    for what, number in (("dev", identity.dev), ("ino", identity.ino)):
        _checked(what, number, 2**64 - 1)
    _checked("birth", None if identity.birth is None else abs(identity.birth), 2**63 - 1)
    if record.kind is not None and os.makedev(
        os.major(record.rdev) & 0xFFF, os.minor(record.rdev) & 0xFFFFF
    ) != _checked("rdev", record.rdev, 2**64 - 1):
        raise ValueError(f"rdev: {record.rdev} is more than 12 bits major and 20 bits minor")
    return (
        *_key(identity),
        identity.birth,
        kind if record.kind is None else record.kind,
        _checked("uid", record.uid, 2**32 - 2),
        _checked("gid", record.gid, 2**32 - 2),
        _checked("mode", record.mode, 0o7777),
        None if record.kind is None else record.rdev,
        sorted(pairs) or None,
    )


class State:
    """What is remembered in a state file, together with the runs that use it now.

    >>> with State.open(directory / "tree.state") as state:
    ...     changed = state.change(directory / "file", uid=1000, gid=100)
    ...     state.lookup_path(directory / "file").uid
    1000

    A state belongs to one thread.  All methods raise StateError for a file that cannot be
    read or written.
    """

    def __init__(self, sync: Sync | None, database: Database) -> None:
        """Use open()."""
        self._sync = sync
        self._database = database
        self._layers: list[Layer] = []
        """What the transactions that go on have changed, the innermost last."""
        self._rows_below: dict[Key, Row | None] = {}
        """Rows of the file that have been read since the outermost one began."""

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, create: bool = True, read_only: bool = False
    ) -> State:
        """Opens a state, or makes an empty one.  With ``read_only`` what is in the file itself
        is read, and not what runs that use it, or have been killed, add."""
        name = os.fspath(path)
        if read_only:
            return cls(None, Database(name, create=False, read_only=True))
        sync = Sync(name, draw_pass(), create=create)
        try:
            sync.keeps_open = True
            sync.tell()
            return cls(sync, sync.database)
        except BaseException:
            sync.close()
            raise

    def close(self) -> None:
        """Lets go of the file; of an open transaction nothing is done."""
        self._layers = []
        if self._sync is None:
            self._database.close()
        else:
            self._sync.live.end()
            self._sync.close()

    def __enter__(self) -> State:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def memory(self) -> Iterator[_core.Live]:
        """The records as the core has them."""
        if self._sync is not None:
            yield self._sync.live
            return
        with loaded(self._database) as live:
            yield live

    @property
    def generation(self) -> int:
        """A number that every change of the file replaces by another."""
        self._refresh()
        return self._database.stamp

    def _refresh(self) -> None:
        if self._sync is not None and not self._layers:
            self._sync.commit()

    @contextmanager
    def transaction(self) -> Iterator[State]:
        """All changes inside happen when it ends, as if a run had made them then, or, with an
        exception, none.  Transactions nest.  Until the outermost one ends nobody else can
        write to the state; runs go on."""
        if self._sync is None:
            raise StateError(f"{self._database.path}: opened for reading only")
        if self._layers:
            yield from self._nested()
            return
        self._sync.lock()
        try:
            self._sync.commit_locked()
            self._layers, self._rows_below = [Layer()], {}
            yield self
            self._commit(self._sync)
        finally:
            self._layers, self._rows_below = [], {}
            self._sync.live.end()

    def _nested(self) -> Iterator[State]:
        self._layers.append(Layer())
        try:
            yield self
        except BaseException:
            self._layers.pop()
            raise
        inner = self._layers.pop()
        self._layers[-1].take_over(inner)

    def _commit(self, sync: Sync) -> None:
        layer = self._layers[0]
        rows = dict(layer.rows)
        if layer.cleared:
            for dev, ino in self._database.numbers():
                rows.setdefault((dev, ino), None)
        edits = [edit_of(self._row_below(key), after) for key, after in rows.items()]
        if made := [edit for edit in edits if edit is not None]:
            sync.edit(made)

    def _row(self, key: Key) -> Row | None:
        for layer in reversed(self._layers):
            if key in layer.rows:
                return layer.rows[key]
            if layer.cleared:
                return None
        return self._row_below(key) if self._layers else self._database.row(key)

    def _row_below(self, key: Key) -> Row | None:
        if key not in self._rows_below:
            self._rows_below[key] = self._database.row(key)
        return self._rows_below[key]

    def _rows(self) -> Iterator[Row]:
        """All rows, in the order of dev and ino as unsigned numbers."""
        if not self._layers:
            yield from self._database.rows()
            return
        laid = Layer()
        for layer in self._layers:
            laid.take_over(layer)
        below = iter(()) if laid.cleared else self._database.rows()
        above = sorted((row for row in laid.rows.values() if row is not None), key=_order)
        yield from merge((row for row in below if row[:2] not in laid.rows), above, key=_order)

    def _find(self, identity: FileIdentity) -> Row | None:
        row = self._row(_key(identity))
        return row if row is not None and is_same_file(row, identity.birth) else None

    def lookup(self, identity: FileIdentity) -> InodeRecord | None:
        """What is remembered of a file.  An identity without a birth time means whichever
        file has the number; so does a record without."""
        self._refresh()
        row = self._find(identity)
        return None if row is None else record_of(row)

    def lookup_path(
        self, path: str | bytes | os.PathLike[str], dir_fd: int | None = None
    ) -> InodeRecord | None:
        """What is remembered of the file at a path itself; OSError where there is none."""
        return self.lookup(look(path, dir_fd).identity)

    def lookup_fd(self, fd: int) -> InodeRecord | None:
        """What is remembered of an open file."""
        return self.lookup(look("", fd).identity)

    def last_change(self, identity: FileIdentity) -> Change | None:
        """Who changed the record last; None if there is none."""
        self._refresh()
        row = self._find(identity)
        return None if row is None else Change(row[10], _text(row[11]))

    def put(self, record: InodeRecord) -> None:
        """Remembers a record in place of any other of the inode number; one that shows
        nothing is forgotten.  ValueError for what no file can show."""
        self.put_many((record,))

    def put_many(
        self,
        records: Iterable[InodeRecord],
        changes: Mapping[FileIdentity, Change] | None = None,
    ) -> None:
        """The same for many, all or none; ``changes``: when and by whom those were changed that
        are not now."""
        import time

        by_key = {_key(identity): change for identity, change in (changes or {}).items()}
        now = Change(time.time_ns(), None)
        with self.transaction():
            for record in records:
                key = _key(record.identity)
                if record.shows_nothing():
                    self._layers[-1].rows[key] = None
                else:
                    row = self._row_to_put(record, self._row(key), by_key.get(key, now))
                    self._layers[-1].rows[key] = row

    def _row_to_put(self, record: InodeRecord, known: Row | None, change: Change) -> Row:
        paths: tuple[bytes | None, tuple[bytes, ...]] = (None, ())
        if record.path is not None:
            links = {os.fsencode(link) for link in record.links} - {os.fsencode(record.path)}
            paths = (os.fsencode(record.path), tuple(sorted(links)))
        elif known is not None and known[2] == record.identity.birth:
            paths = (known[9], known[12])
        if known is not None and not is_same_file(known, record.identity.birth):
            known = None
        kind = known[3] if known is not None else 0
        seen = self._look_again(record)
        if seen is not None:
            kind = stat.S_IFMT(seen.mode)
        written = None
        if record.xattrs.get(CAPABILITY) is not None:
            before = dict(known[8] or ()) if known is not None else {}
            same = before.get(CAPABILITY.encode()) == record.xattrs[CAPABILITY]
            written = before.get(_MARK) if same else None
            if written is None:
                written = mark(seen, record.path)
        program = None if change.program is None else os.fsencode(change.program)
        return (*_row(record, kind, written), paths[0], change.time, program, paths[1])

    @staticmethod
    def _look_again(record: InodeRecord) -> Look | None:
        if record.path is None:
            return None
        try:
            seen = look(record.path)
        except (OSError, ValueError):
            return None
        return seen if shown.is_of(record, seen) else None

    def change(
        self,
        file: str | bytes | os.PathLike[str] | int,
        *,
        uid: int | None = None,
        gid: int | None = None,
        mode: int | None = None,
        device: tuple[int, int] | None = None,
        xattrs: Mapping[str, bytes | None] | None = None,
    ) -> InodeRecord:
        """Changes what a file, by its path or descriptor, shows; what is not given stays.

        ``device``: kind (S_IFCHR, S_IFBLK) and rdev; of ``xattrs`` a None takes the attribute
        away.  The path becomes the record's.  Returns the record.
        """
        seen = look("", file) if isinstance(file, int) else look(file)
        path = f"/proc/self/fd/{file}" if isinstance(file, int) else os.fsdecode(os.fspath(file))
        where = os.readlink(path) if isinstance(file, int) else os.path.abspath(path)
        if device is not None and not stat.S_ISREG(seen.mode):
            raise ValueError(f"{where}: only a regular file can be shown as a device")
        with self.transaction():
            row = self._find(seen.identity)
            before = InodeRecord(seen.identity) if row is None else record_of(row)
            record = attrs.evolve(
                before,
                identity=seen.identity,
                uid=before.uid if uid is None else uid,
                gid=before.gid if gid is None else gid,
                mode=before.mode if mode is None else mode,
                kind=before.kind if device is None else device[0],
                rdev=before.rdev if device is None else device[1],
                xattrs={**before.xattrs, **(xattrs or {})},
                path=where,
                links=_links(before, seen, where),
            )
            if device is not None and record.mode is None:
                record = attrs.evolve(record, mode=stat.S_IMODE(seen.mode))
            self.put(record)
        return record

    def remove(self, identity: FileIdentity) -> bool:
        """Forgets a file; whether there was anything to forget."""
        with self.transaction():
            row = self._find(identity)
            if row is None:
                return False
            self._layers[-1].rows[_key(identity)] = None
            return True

    def clear(self) -> None:
        """Forgets everything."""
        with self.transaction():
            self._layers[-1].clear()

    def __len__(self) -> int:
        self._refresh()
        if self._layers:
            return sum(1 for _ in self._rows())
        return sum(count for (count,) in self._database.query("SELECT count(*) FROM inodes"))

    def __iter__(self) -> Iterator[InodeRecord]:
        """All records, in the order of dev and ino."""
        self._refresh()
        return map(record_of, self._rows())


def _order(row: Row) -> Key:
    return row[0] % (1 << 64), row[1] % (1 << 64)
