"""tar archives: POSIX pax interchange (pax(1)), the same bytes from the same tree.

Attributes are SCHILY.xattr.NAME records, as GNU tar and libarchive read them.  Read by the
standard library, and written without it: its headers take three times as long as GNU tar
takes for a small file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import BinaryIO
from zlib import adler32

from fakeroot_sc.state.archives.content import pieces, whole
from fakeroot_sc.state.archives.sparse import LEAST, Runs, find_runs, map_of
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.tree import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    import tarfile

    from fakeroot_sc.state.formats.listed import Listed, Place

_BLOCK, _RECORD = 512, 10240  # archives end at a multiple of a record, as GNU tar's do
_LAST_7, _LAST_11 = 8**7 - 1, 8**11 - 1
_ZEROS = bytes(_BLOCK)
_REGULAR, _LINK, _SYMBOLIC, _CHARACTER, _BLOCKS, _DIRECTORY, _FIFO = (
    b"0", b"1", b"2", b"3", b"4", b"5", b"6"
)  # fmt: skip
_TYPES = {
    stat.S_IFREG: _REGULAR,
    stat.S_IFLNK: _SYMBOLIC,
    stat.S_IFCHR: _CHARACTER,
    stat.S_IFBLK: _BLOCKS,
    stat.S_IFDIR: _DIRECTORY,
    stat.S_IFIFO: _FIFO,
}

_NO_NAMES = bytes(64)  # of users and groups: those are this machine's

_Records = dict[bytes, bytes]


def _header(
    name: bytes,
    kind: bytes,
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    prefix: bytes = b"",
) -> bytes:
    """A block; all has to fit."""
    head = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0        %b%bustar\x0000%b%07o\0%07o\0%b" % (
        name.ljust(100, b"\0"),
        mode,
        uid,
        gid,
        size,
        mtime,
        kind,
        link.ljust(100, b"\0"),
        _NO_NAMES,
        *device,
        prefix.ljust(167, b"\0"),
    )
    # The sum of all bytes, its own taken for blanks.  The lower half of adler32() is the sum of
    # what is this short, and one more: sum() takes ten times as long.
    total = (adler32(head[:256]) & 0xFFFF) + (adler32(head[256:]) & 0xFFFF) - 2
    return b"%b%06o\0 %b" % (head[:148], total, head[156:])


def _record(key: bytes, value: bytes) -> bytes:
    """ "LENGTH KEY=VALUE\\n", where the length counts itself."""
    bare = len(key) + len(value) + 3
    length = bare + len(b"%d" % bare)
    length = bare + len(b"%d" % length)
    return b"%d %b=%b\n" % (length, key, value)


def _extended(records: _Records, name: bytes) -> bytes:
    """The header before a header that cannot hold all; ``name``: of that one."""
    body = b"".join(_record(key, records[key]) for key in sorted(records))
    head = _header(b"./PaxHeaders/" + name[-80:], b"x", size=len(body))
    return head + body + bytes(-len(body) % _BLOCK)


def _split(path: bytes) -> tuple[bytes, bytes]:
    """Prefix and name; no name where they are too long for a header."""
    at = path.rfind(b"/", 0, 156)
    name = path[at + 1 :]
    return (path[:at], name) if at > 0 and 0 < len(name) <= 100 else (b"", b"")


class _Writer:
    def __init__(self, out: BinaryIO, epoch: int | None) -> None:
        self._out = out
        self._epoch = epoch
        self._written = 0
        self._first: dict[tuple[int, int], bytes] = {}
        """The first names of files that have several."""
        self.sockets = 0

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._written += len(data)

    def _copy(self, entry: Entry, fd: int, start: int, size: int) -> None:
        for piece in pieces(entry, fd, start, size):
            self._write(piece)

    def add(self, entry: Entry) -> None:
        kind = stat.S_IFMT(entry.mode)
        if kind == stat.S_IFSOCK:
            self.sockets += 1
            return
        path = b"./" + entry.raw
        if kind == stat.S_IFDIR:
            path += b"/" if entry.raw else b""
        elif entry.nlink > 1:
            first = self._first.setdefault((entry.seen.dev, entry.seen.ino), path)
            if first is not path:
                self._write(self._head(entry, path, _LINK, {}, first))
                return
        if kind == stat.S_IFREG and entry.seen.size:
            self._regular(entry, path)
        else:
            link = entry.target or b""
            self._write(self._head(entry, path, _TYPES[kind], _of_xattrs(entry.xattrs), link))

    def _head(
        self,
        entry: Entry,
        path: bytes,
        kind: bytes,
        records: _Records,
        link: bytes = b"",
        size: int = 0,
    ) -> bytes:
        mtime = entry.seen.mtime // 10**9
        if self._epoch is not None and mtime > self._epoch:
            mtime = self._epoch
        uid, gid = entry.uid, entry.gid
        prefix, name = b"", path
        if len(path) > 100:
            prefix, name = _split(path)
            if not name:
                records[b"path"] = path
                name = path[:100]
        if len(link) > 100:
            records[b"linkpath"] = link
        if not (uid <= _LAST_7 and gid <= _LAST_7 and size <= _LAST_11 and 0 <= mtime <= _LAST_11):
            uid = _fit(records, b"uid", uid, _LAST_7)
            gid = _fit(records, b"gid", gid, _LAST_7)
            size = _fit(records, b"size", size, _LAST_11)
            mtime = _fit(records, b"mtime", mtime, _LAST_11)
        head = _header(
            name,
            kind,
            mode=stat.S_IMODE(entry.mode),
            uid=uid,
            gid=gid,
            size=size,
            mtime=mtime,
            link=link[:100],
            device=_device(entry.rdev) if kind in (_CHARACTER, _BLOCKS) else (0, 0),
            prefix=prefix,
        )
        return _extended(records, name) + head if records else head

    def _regular(self, entry: Entry, path: bytes) -> None:
        size = entry.seen.size
        fd = entry.open()
        try:
            xattrs = entry.xattrs_by(fd)
            records = _of_xattrs(xattrs) if xattrs else {}
            if size < LEAST:
                head = self._head(entry, path, _REGULAR, records, b"", size)
                self._write(head + whole(entry, fd, size) + _ZEROS[: -size % _BLOCK])
                return
            runs = find_runs(entry, fd, size)
            if runs is None:
                self._write(self._head(entry, path, _REGULAR, records, size=size))
                self._copy(entry, fd, 0, size)
                self._write(_ZEROS[: -size % _BLOCK])
            else:
                self._sparse(entry, fd, path, runs, records)
        finally:
            os.close(fd)

    def _sparse(self, entry: Entry, fd: int, path: bytes, runs: Runs, records: _Records) -> None:
        told = map_of(runs, entry.seen.size)
        directory, _, name = path.rpartition(b"/")
        records |= {
            b"GNU.sparse.major": b"1",
            b"GNU.sparse.minor": b"0",
            b"GNU.sparse.name": path,
            b"GNU.sparse.realsize": b"%d" % entry.seen.size,
        }
        size = len(told) + sum(count for _, count in runs)
        inner = directory + b"/GNUSparseFile.0/" + name
        self._write(self._head(entry, inner, _REGULAR, records, size=size) + told)
        for start, count in runs:
            self._copy(entry, fd, start, count)
        self._write(_ZEROS[: -size % _BLOCK])

    def end(self) -> None:
        self._write(bytes(2 * _BLOCK))
        self._write(bytes(-self._written % _RECORD))


def _fit(records: _Records, key: bytes, value: int, last: int) -> int:
    if 0 <= value <= last:
        return value
    records[key] = b"%d" % value
    return 0


def _device(rdev: int) -> tuple[int, int]:
    return os.major(rdev), os.minor(rdev)


def _of_xattrs(xattrs: dict[str, bytes]) -> _Records:
    """An equals sign ends a key: it is said as GNU tar says it."""
    return {
        b"SCHILY.xattr." + os.fsencode(name).replace(b"%", b"%25").replace(b"=", b"%3D"): value
        for name, value in xattrs.items()
    }


def write(entries: Iterable[Entry], out: BinaryIO, *, epoch: int | None = None) -> list[str]:
    """Writes a whole archive; returns what it could not hold.  ``epoch``: no file is younger
    than these seconds since 1970 (SOURCE_DATE_EPOCH).  Raises StateError."""
    writer = _Writer(out, epoch)
    for entry in entries:
        writer.add(entry)
    writer.end()
    return [f"{writer.sockets} sockets are left out: tar has none"] if writer.sockets else []


def read(file: BinaryIO, name: str) -> Iterator[Listed]:
    """What an archive says of each file.  Raises StateError."""
    import tarfile
    import zlib

    from fakeroot_sc.state.formats.listed import Place

    try:
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            for number, member in enumerate(archive, 1):
                yield _listed(member, Place(name, number, "file"))
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, zlib.error) as error:
        raise StateError(f"{name}: not a tar archive, or a damaged one: {error}") from error


def _listed(member: tarfile.TarInfo, place: Place) -> Listed:
    import tarfile

    from fakeroot_sc.state.formats.listed import ID_LAST, MAJOR_LAST, MINOR_LAST, Listed

    path = place.path(os.fsencode(member.name))
    if member.islnk():
        return Listed(path, group=place.path(os.fsencode(member.linkname)))
    kind = {tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK}.get(member.type)
    rdev = 0
    if kind is not None:
        if not (0 <= member.devmajor <= MAJOR_LAST and 0 <= member.devminor <= MINOR_LAST):
            raise place.error(f"{path}: no device of Linux: {member.devmajor}:{member.devminor}")
        rdev = os.makedev(member.devmajor, member.devminor)
    for owner in (member.uid, member.gid):
        if not 0 <= owner <= ID_LAST:
            raise place.error(f"{path}: an owner is not from 0 to {ID_LAST}: {owner}")
    return Listed(
        path,
        member.uid,
        member.gid,
        None if member.issym() else member.mode & 0o7777,
        kind,
        rdev,
        dict(
            place.xattr(_xattr_name(key), value.encode("utf-8", "surrogateescape"))
            for key, value in member.pax_headers.items()
            if key.startswith("SCHILY.xattr.")
        ),
        group=path,
    )


def _xattr_name(key: str) -> bytes:
    name = key.removeprefix("SCHILY.xattr.").replace("%3D", "=").replace("%25", "%")
    return name.encode("utf-8", "surrogateescape")
