"""tar archives: POSIX pax interchange (pax(1)), the same bytes from the same tree.

Attributes are ``SCHILY.xattr.NAME`` records, sparse files GNU's version 1.0 of the pax
form, as GNU tar and libarchive read them.  Owners have numbers and no names.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from fakeroot_sc.state.archives.content import Runs, pieces, run_pieces, runs
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.formats.listed import Listed
from fakeroot_sc.state.tree import Entry

RECORD = 10240
"""Archives end at a multiple of this, as GNU tar's do."""

_TYPES = {
    stat.S_IFREG: b"0",
    stat.S_IFLNK: b"2",
    stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4",
    stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}
_OCTAL_7, _OCTAL_11 = 8**7 - 1, 8**11 - 1
_SPARSE_BLOCK = 512


class Writer:
    """Writes entries to a binary file; ``epoch``: no file is younger than these seconds since
    1970 (SOURCE_DATE_EPOCH).  ``warnings`` tells what a tar archive cannot hold."""

    def __init__(self, out: BinaryIO, epoch: int | None = None) -> None:
        self._out = out
        self._epoch = epoch
        self._written = 0
        self._names: dict[str, bytes] = {}
        self.warnings: list[str] = []

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._written += len(data)

    def _pad(self, size: int) -> None:
        if size % 512:
            self._write(bytes(512 - size % 512))

    def add(self, entry: Entry) -> None:
        """Writes one file.  Raises StateError for one that cannot be read."""
        kind = stat.S_IFMT(entry.mode)
        if kind not in _TYPES:
            self.warnings.append(f"{entry.path}: a socket: tar has none")
            return
        path = os.fsencode(entry.path)
        name = b"./" + path + (b"/" if kind == stat.S_IFDIR and path else b"")
        group = entry.group
        if group is not None and group in self._names:
            self._header(entry, name, b"1", 0, self._names[group], {})
            return
        if group is not None:
            self._names[group] = name
        pax = {_xattr_key(key): value for key, value in entry.xattrs.items()}
        link = os.fsencode(entry.target or "")
        if kind != stat.S_IFREG:
            self._header(entry, name, _TYPES[kind], 0, link, pax)
            return
        stored = runs(entry)
        if stored is None:
            self._header(entry, name, b"0", entry.size, b"", pax)
            for piece in pieces(entry, entry.size):
                self._write(piece)
            self._pad(entry.size)
        else:
            self._sparse(entry, name, stored, pax)

    def _sparse(self, entry: Entry, name: bytes, stored: Runs, pax: dict[bytes, bytes]) -> None:
        # The last entry says how long the file is.
        listed = [*stored, (entry.size, 0)]
        text = b"%d\n" % len(listed) + b"".join(b"%d\n%d\n" % run for run in listed)
        text += bytes(-len(text) % _SPARSE_BLOCK)
        size = len(text) + sum(length for _, length in stored)
        pax |= {
            b"GNU.sparse.major": b"1",
            b"GNU.sparse.minor": b"0",
            b"GNU.sparse.name": name,
            b"GNU.sparse.realsize": b"%d" % entry.size,
        }
        directory, _, last = name.rpartition(b"/")
        self._header(entry, directory + b"/GNUSparseFile.0/" + last, b"0", size, b"", pax)
        self._write(text)
        for piece in run_pieces(entry, stored):
            self._write(piece)
        self._pad(size)

    def _header(
        self,
        entry: Entry,
        name: bytes,
        kind: bytes,
        size: int,
        link: bytes,
        pax: dict[bytes, bytes],
    ) -> None:
        mtime = entry.mtime // 10**9
        if self._epoch is not None:
            mtime = min(mtime, self._epoch)
        prefix, short = _split(name)
        pax = dict(pax)
        if short is None:
            pax[b"path"] = name
            prefix, short = b"", name[:100]
        if len(link) > 100:
            pax[b"linkpath"] = link
        numbers = {b"uid": entry.uid, b"gid": entry.gid, b"mtime": mtime, b"size": size}
        for key, number in numbers.items():
            most = _OCTAL_7 if key in (b"uid", b"gid") else _OCTAL_11
            if not 0 <= number <= most:
                pax[key] = b"%d" % number
                numbers[key] = 0
        if pax:
            body = b"".join(_record(key, pax[key]) for key in sorted(pax))
            self._write(_block(b"./PaxHeaders/" + short[-80:], 0o644, {b"size": len(body)}, b"x"))
            self._write(body)
            self._pad(len(body))
        rdev = entry.rdev if kind in (b"3", b"4") else 0
        mode = stat.S_IMODE(entry.mode)
        self._write(_block(short, mode, numbers, kind, link[:100], prefix, rdev))

    def end(self) -> None:
        """Writes what ends an archive."""
        self._write(bytes(1024))
        self._write(bytes(-self._written % RECORD))


def write(entries: Iterable[Entry], out: BinaryIO, *, epoch: int | None = None) -> list[str]:
    """Writes a whole archive; returns what it could not hold.  Raises StateError."""
    writer = Writer(out, epoch)
    for entry in entries:
        writer.add(entry)
    writer.end()
    return writer.warnings


def _xattr_key(name: str) -> bytes:
    """An equals sign ends a key: it is said as GNU tar says it."""
    raw = os.fsencode(name).replace(b"%", b"%25").replace(b"=", b"%3D")
    return b"SCHILY.xattr." + raw


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """Prefix and name of a ustar header; None where they are too long for that."""
    if len(name) <= 100:
        return b"", name
    at = name.rfind(b"/", 0, 156)
    rest = name[at + 1 :]
    if at <= 0 or not rest or len(rest) > 100:
        return b"", None
    return name[:at], rest


def _record(key: bytes, value: bytes) -> bytes:
    """ "LENGTH KEY=VALUE\\n", where the length counts itself."""
    bare = len(key) + len(value) + 3
    length = bare + len(str(bare))
    if bare + len(str(length)) != length:
        length = bare + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _block(
    name: bytes,
    mode: int,
    numbers: dict[bytes, int],
    kind: bytes,
    link: bytes = b"",
    prefix: bytes = b"",
    rdev: int = 0,
) -> bytes:
    head = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name.ljust(100, b"\0"),
        mode,
        numbers.get(b"uid", 0),
        numbers.get(b"gid", 0),
        numbers[b"size"],
        numbers.get(b"mtime", 0),
    )
    tail = b"%s%sustar\x0000%s%07o\0%07o\0%s" % (
        kind,
        link.ljust(100, b"\0"),
        bytes(64),
        os.major(rdev),
        os.minor(rdev),
        prefix.ljust(167, b"\0"),
    )
    return b"%s%06o\0 %s" % (head, sum(head) + sum(tail) + 8 * 0x20, tail)


def read(file: BinaryIO, name: str) -> Iterator[Listed]:
    """What an archive says of each file.  Raises StateError."""
    try:
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            for member in archive:
                yield _listed(member)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise StateError(f"{name}: not a tar archive, or a damaged one: {error}") from error


def _listed(member: tarfile.TarInfo) -> Listed:
    kind = {tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK}.get(member.type)
    path = _plain(member.name)
    if member.islnk():
        return Listed(path, group=_plain(member.linkname))
    xattrs: dict[str, bytes | None] = {
        _xattr_name(key): value.encode("utf-8", "surrogateescape")
        for key, value in member.pax_headers.items()
        if key.startswith("SCHILY.xattr.")
    }
    return Listed(
        path,
        member.uid,
        member.gid,
        None if member.issym() else member.mode & 0o7777,
        kind,
        os.makedev(member.devmajor, member.devminor) if kind is not None else 0,
        xattrs,
        group=path,
    )


def _xattr_name(key: str) -> str:
    return key.removeprefix("SCHILY.xattr.").replace("%3D", "=").replace("%25", "%")


def _plain(name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise StateError(f"{name}: leads upwards")
    return "/".join(parts)
