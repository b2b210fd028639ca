"""A tree as fake root sees it, file by file in an order that is always the same.

Files are found by descriptors of their directories, since a path may be longer than one call
takes (PATH_MAX); /proc/self/fd stands for a descriptor where a call takes none.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Protocol

from fakeroot_sc import _core
from fakeroot_sc.state import shown
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.look import Look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fakeroot_sc.state.record import FileIdentity, InodeRecord

DEVICE_KINDS = (stat.S_IFBLK, stat.S_IFCHR)

Lookup = Callable[[Look], "InodeRecord | None"]
"""The record of a file, if there is one."""

Trouble = Callable[[str, str], None]
"""Told of a file, by its real path, and of what is wrong with it."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CONTENT = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

_OPEN_MOST = 24
"""Directories that are open at a time, whatever their depth: ``ulimit -n`` may be low."""


class Remembered:
    """What an InodeRecord says of how a file looks, made in a fourth of the time."""

    __slots__ = ("birth", "gid", "kind", "mode", "rdev", "uid")

    xattrs: dict[str, bytes | None] = {}  # noqa: RUF012 - those with some are InodeRecords
    written = None

    def __init__(
        self,
        birth: int | None,
        kind: int,
        uid: int | None,
        gid: int | None,
        mode: int | None,
        rdev: int | None,
    ) -> None:
        self.birth = birth
        self.kind = kind if rdev is not None else None
        self.uid = uid
        self.gid = gid
        self.mode = mode
        self.rdev = rdev or 0


class Records(Protocol):
    """Records by device and inode number."""

    def get(self, key: tuple[int, int], /) -> InodeRecord | Remembered | None:
        """What is remembered of a file of that number."""


class Rows:
    """Records of a state, as the core has them (``Live.rows()``): nothing is made of those
    that no file of a tree asks for, and attrs is not imported, which takes as long as a tenth
    of an export of 20,000 files."""

    def __init__(self, rows: Iterable[_core._Row]) -> None:
        self._rows = {(row[0] % 2**64, row[1] % 2**64): row for row in rows}

    def get(self, key: tuple[int, int], /) -> InodeRecord | Remembered | None:
        """As a mapping's."""
        row = self._rows.get(key)
        if row is None:
            return None
        if row[8]:
            from fakeroot_sc.state.store import record_of

            return record_of((*row, None, None, None, ()))
        return Remembered(*row[2:8])


class Entry:
    """``raw``: the path relative to the root, b"" for the root itself; ``mode``: type and
    permissions as shown; ``rdev``: as st_rdev, 0 unless a device; ``target``: of a symbolic
    link; ``seen``: how the file really looks; ``name``: in the directory that the walk is in.
    """

    # Not attrs: an archive of many small files would take a tenth longer.

    __slots__ = (
        "_xattrs", "gid", "mode", "name", "raw", "rdev", "record", "seen", "target", "uid", "walk"
    )  # fmt: skip

    def __init__(
        self,
        raw: bytes,
        seen: Look,
        mode: int,
        uid: int,
        gid: int,
        rdev: int,
        target: bytes | None,
        xattrs: dict[str, bytes] | None = None,
        record: InodeRecord | Remembered | None = None,
        walk: Walk | None = None,
        name: bytes = b"",
    ) -> None:
        self.raw = raw
        self.seen = seen
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.rdev = rdev
        self.target = target
        self._xattrs = xattrs
        self.record = record
        self.walk = walk
        self.name = name

    @property
    def path(self) -> str:
        """``raw`` as text."""
        return os.fsdecode(self.raw)

    @property
    def size(self) -> int:
        """0 of a device."""
        return 0 if stat.S_IFMT(self.mode) in DEVICE_KINDS else self.seen.size

    @property
    def mtime(self) -> int:
        """Nanoseconds since 1970."""
        return self.seen.mtime

    @property
    def nlink(self) -> int:
        """Really."""
        return self.seen.nlink

    @property
    def identity(self) -> FileIdentity:
        """Of the real file."""
        return self.seen.identity

    @property
    def real(self) -> str:
        """Where the file is."""
        root = self.walk.root if self.walk is not None else ""
        return os.path.join(root, self.path) if self.raw else root

    @property
    def group(self) -> str | None:
        """What all names of a file with several names share."""
        if self.seen.nlink < 2 or stat.S_ISDIR(self.mode):
            return None
        return f"{self.seen.dev:x}:{self.seen.ino}"

    @property
    def xattrs(self) -> dict[str, bytes]:
        """As shown; to be asked for first while the walk is there.  ``Walk.unread`` is told of
        those that cannot be read."""
        return self.xattrs_by(None)

    def xattrs_by(self, fd: int | None) -> dict[str, bytes]:
        """The same by a descriptor of the content, which takes half the time."""
        if self._xattrs is None:
            assert self.walk is not None
            walk = self.walk
            real = walk.real_xattrs(self, fd)
            self._xattrs = shown.xattrs(
                self.record, real, self.seen, lambda: _core.contents(walk.place(self))
            )
        return self._xattrs

    def _contents(self) -> int | None:
        """A checksum."""
        fd = self.open()
        try:
            return _core.contents(b"/proc/self/fd/%d" % fd)
        finally:
            os.close(fd)

    def unread(self, what: str) -> None:
        """Of an attribute."""
        assert self.walk is not None
        self.walk.tell_unread(self, what)

    def open(self) -> int:
        """A descriptor of the content.  Raises StateError."""
        assert self.walk is not None
        try:
            return self.walk.open(self)
        except OSError as error:
            raise StateError(f"{self.real}: cannot read: {error.strerror}") from error


class _Level:
    """A directory on the way to where a walk is; ``names`` from the last one on."""

    __slots__ = ("fd", "key", "names", "prefix")

    def __init__(self, fd: int, prefix: bytes) -> None:
        self.fd, self.prefix = fd, prefix
        seen = os.fstat(fd)
        self.key = seen.st_dev, seen.st_ino
        self.names = sorted(map(os.fsencode, os.listdir(fd)), reverse=True)


class Walk:
    """All files of a tree, the root first, then parents before children and siblings by the
    bytes of their names.  A file that vanishes meanwhile is left out, and so are those whose
    (dev, ino) are in ``leave_out``.

    ``unreadable`` is told of files and directories that cannot be looked at, which are left
    out; without it the walk raises StateError.  ``unread`` is told of attributes.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        records: Records,
        *,
        unknown_is_real: bool = False,
        leave_out: Collection[tuple[int, int]] = (),
        unreadable: Trouble | None = None,
        unread: Trouble | None = None,
    ) -> None:
        self.root = os.fspath(root)
        self._records = records
        self._unknown_is_real = unknown_is_real
        self._leave_out = leave_out
        self._unreadable, self._unread = unreadable, unread
        self._levels: list[_Level] = []
        self._at: Entry | None = None
        self._top = -1

    def __iter__(self) -> Iterator[Entry]:
        try:
            # To end where it is not one, before anything is given.
            top = os.open(self.root, _DIRECTORY & ~os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            raise StateError(f"{self.root}: no such directory") from None
        except OSError as error:
            raise StateError(f"{self.root}: cannot list: {error.strerror}") from error
        try:
            root = self._entry(top, b"", b"")
            if root is None:
                return
            self._at, self._top = root, top
            yield root
            self._levels.append(_Level(top, b""))
            top = -1
            yield from self._below()
        finally:
            for fd in (top, *(level.fd for level in self._levels)):
                if fd >= 0:
                    os.close(fd)
            self._levels.clear()

    def _below(self) -> Iterator[Entry]:
        levels = self._levels
        while levels:
            level = levels[-1]
            if not level.names:
                self._leave()
                continue
            name = level.names.pop()
            entry = self._entry(level.fd, name, level.prefix + name)
            if entry is None:
                continue
            self._at = entry
            yield entry
            if stat.S_ISDIR(entry.seen.mode):
                self._enter(level.fd, entry)

    def _enter(self, directory: int, entry: Entry) -> None:
        fd = -1
        try:
            fd = os.open(entry.name, _DIRECTORY, dir_fd=directory)
            self._levels.append(_Level(fd, entry.raw + b"/"))
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                self._tell(entry.raw, f"cannot list: {error.strerror}")
            return
        if len(self._levels) > _OPEN_MOST:
            above = self._levels[-_OPEN_MOST]
            os.close(above.fd)
            above.fd = -1

    def _leave(self) -> None:
        left = self._levels.pop()
        try:
            if self._levels and self._levels[-1].fd < 0:
                self._reopen(self._levels[-1], left)
        finally:
            os.close(left.fd)

    def _reopen(self, level: _Level, below: _Level) -> None:
        where = os.path.join(self.root, os.fsdecode(level.prefix))
        try:
            level.fd = os.open("..", _DIRECTORY, dir_fd=below.fd)
        except OSError as error:
            raise StateError(f"{where}: cannot list: {error.strerror}") from error
        seen = os.fstat(level.fd)
        if (seen.st_dev, seen.st_ino) != level.key:
            raise StateError(f"{where}: a directory was moved away while it was read")

    def _tell(self, raw: bytes, what: str) -> None:
        real = os.path.join(self.root, os.fsdecode(raw)) if raw else self.root
        if self._unreadable is None:
            raise StateError(f"{real}: {what}")
        self._unreadable(real, what)

    def _entry(self, directory: int, name: bytes, raw: bytes) -> Entry | None:
        try:
            seen = Look._make(_core.look(directory, name))
            link = stat.S_ISLNK(seen.mode)
            target = os.readlink(name, dir_fd=directory) if link else None
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell(raw, f"cannot look at it: {error.strerror}")
            return None
        key = (seen.dev, seen.ino)
        if key in self._leave_out:
            return None
        record = self._records.get(key)
        if record is not None and record.birth != seen.birth:
            # Not known everywhere, and then the number has to do.
            record = None if record.birth is not None and seen.birth is not None else record
        mode = shown.mode(record, seen)
        uid, gid = shown.owner(record, seen, self._unknown_is_real)
        rdev = shown.rdev(record, seen) if stat.S_IFMT(mode) in DEVICE_KINDS else 0
        return Entry(raw, seen, mode, uid, gid, rdev, target, None, record, self, name)

    def real_xattrs(self, entry: Entry, fd: int | None) -> dict[str, bytes]:
        """Of the file where the walk is."""
        assert entry is self._at
        if fd is not None:
            return shown.real_xattrs(fd, entry.unread)
        return shown.real_xattrs(self.place(entry), entry.unread)

    def place(self, entry: Entry) -> bytes:
        """A path to the file where the walk is, as short as can be."""
        assert entry is self._at
        directory = self._levels[-1].fd if self._levels else self._top
        return b"/proc/self/fd/%d/%s" % (directory, entry.name)

    def tell_unread(self, entry: Entry, what: str) -> None:
        """Of an attribute.  Raises StateError where nobody wants to know."""
        if self._unread is None:
            raise StateError(f"{entry.real}: {what}")
        self._unread(entry.real, what)

    def open(self, entry: Entry) -> int:
        """A descriptor of a file's content, while the walk is there or later.  Raises
        OSError."""
        if entry is self._at and self._levels:
            return os.open(entry.name, _CONTENT, dir_fd=self._levels[-1].fd)
        return open_below(self.root, entry.raw, _CONTENT)


def open_below(root: str, path: bytes, flags: int) -> int:
    """Opens a file below a root, through no symbolic link.  Raises OSError."""
    *directories, name = path.split(b"/")
    at = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for each in directories:
        try:
            below = os.open(each, os.O_PATH | _DIRECTORY, dir_fd=at)
        finally:
            os.close(at)
        at = below
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=at)
    finally:
        os.close(at)


class Finder:
    """Directories below a root by their paths, through no symbolic link; those on the way to
    the last one stay open, since the next is mostly near."""

    def __init__(self, root: str) -> None:
        """Raises StateError where there is no such directory."""
        try:
            self._top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            raise StateError(f"{root}: no such directory") from None
        self._chain: list[tuple[bytes, int]] = []
        """Names and descriptors, -1 where that has been closed again."""

    def directory_of(self, raw: bytes) -> tuple[int, bytes] | None:
        """The directory that a file is in and its name there, b"" for the root itself; None
        where there is no such directory.  Good until the next call.  Raises OSError."""
        *wanted, name = raw.split(b"/")
        chain = self._chain
        common = 0
        while common < min(len(chain), len(wanted)) and chain[common][0] == wanted[common]:
            common += 1
        while common and chain[common - 1][1] < 0:
            common -= 1
        self._close(common)
        for each in wanted[common:]:
            try:
                fd = os.open(each, os.O_PATH | _DIRECTORY, dir_fd=self._last())
            except (FileNotFoundError, NotADirectoryError):
                return None
            chain.append((each, fd))
            if len(chain) > _OPEN_MOST:
                os.close(chain[-_OPEN_MOST - 1][1])
                chain[-_OPEN_MOST - 1] = chain[-_OPEN_MOST - 1][0], -1
        return self._last(), name

    def _last(self) -> int:
        return self._chain[-1][1] if self._chain else self._top

    def _close(self, keep: int) -> None:
        for _, fd in self._chain[keep:]:
            if fd >= 0:
                os.close(fd)
        del self._chain[keep:]

    def close(self) -> None:
        """Lets go of all."""
        self._close(0)
        os.close(self._top)


def by_number(records: Collection[InodeRecord]) -> dict[tuple[int, int], InodeRecord]:
    """Records by device and inode number."""
    return {(each.identity.dev, each.identity.ino): each for each in records}
