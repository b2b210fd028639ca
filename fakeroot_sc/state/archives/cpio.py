"""cpio archives in the "newc" form (cpio(5)), as initramfs images are.

The form has no attributes, and no holes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from fakeroot_sc.state.archives.content import pieces
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.formats.listed import ID_LAST, MAJOR_LAST, MINOR_LAST, Listed, Place
from fakeroot_sc.state.tree import Entry

MAGIC = b"070701"
TRAILER = b"TRAILER!!!"
_MOST = 2**32 - 1


class Writer:
    """Writes entries to a binary file; see archives.tar.  Inode numbers count from 1."""

    def __init__(self, out: BinaryIO, epoch: int | None = None) -> None:
        self._out = out
        self._epoch = epoch
        self._written = 0
        self._inodes = 0
        # The content of a file with several names comes with the last of them.
        self._waiting: dict[str, list[Entry]] = {}
        self.warnings: list[str] = []

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._written += len(data)

    def _align(self, to: int = 4) -> None:
        self._write(bytes(-self._written % to))

    def add(self, entry: Entry) -> None:
        """Writes one file.  Raises StateError for one that cannot be read, or held."""
        if entry.xattrs:
            lost = ", ".join(sorted(entry.xattrs))
            self.warnings.append(f"{entry.path or '.'}: cpio has no attributes: {lost}")
        group = entry.group
        if group is None or not stat.S_ISREG(entry.mode):
            self._one(entry, 1)
            return
        names = self._waiting.setdefault(group, [])
        names.append(entry)
        if len(names) == entry.nlink:
            self._flush(group)

    def _flush(self, group: str) -> None:
        names = self._waiting.pop(group)
        self._inodes += 1
        number = self._inodes
        for index, entry in enumerate(names):
            self._file(entry, len(names), number, content=index == len(names) - 1)

    def _one(self, entry: Entry, links: int) -> None:
        self._inodes += 1
        links = 2 if stat.S_ISDIR(entry.mode) else links
        self._file(entry, links, self._inodes, content=True)

    def _file(self, entry: Entry, links: int, number: int, *, content: bool) -> None:
        mtime = entry.mtime // 10**9
        if self._epoch is not None:
            mtime = min(mtime, self._epoch)
        link = entry.target or b""
        size = 0
        if content and stat.S_ISREG(entry.mode):
            size = entry.size
        if size > _MOST:
            raise StateError(f"{entry.real}: longer than 4 GiB: cpio cannot hold it")
        self._head(
            entry.raw or b".",
            (
                number,
                entry.mode,
                entry.uid,
                entry.gid,
                links,
                min(max(mtime, 0), _MOST),
                len(link) or size,
                0,
                0,
                os.major(entry.rdev),
                os.minor(entry.rdev),
            ),
        )
        if link:
            self._write(link)
        elif size:
            self._content(entry, size)
        self._align()

    def _content(self, entry: Entry, size: int) -> None:
        fd = entry.open()
        try:
            for piece in pieces(entry, fd, 0, size):
                self._write(piece)
        finally:
            os.close(fd)

    def _head(self, name: bytes, numbers: tuple[int, ...]) -> None:
        fields = b"".join(b"%08X" % number for number in (*numbers, len(name) + 1, 0))
        self._write(MAGIC + fields + name + b"\0")
        self._align()

    def end(self) -> None:
        """Writes what ends an archive, and files of which names are outside of the tree."""
        for group in list(self._waiting):
            self._flush(group)
        self._head(TRAILER, (0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0))
        self._align(512)


def write(entries: Iterable[Entry], out: BinaryIO, *, epoch: int | None = None) -> list[str]:
    """Writes a whole archive; returns what it could not hold.  Raises StateError."""
    writer = Writer(out, epoch)
    for entry in entries:
        writer.add(entry)
    writer.end()
    return writer.warnings


def read(file: BinaryIO, name: str) -> Iterator[Listed]:
    """What an archive says of each file.  Raises StateError."""
    at = 0

    def take(size: int) -> bytes:
        nonlocal at
        data = file.read(size)
        if len(data) != size:
            raise StateError(f"{name}: the archive ends in the middle of a file")
        at += size
        return data

    while True:
        place = Place(name, at, "byte")
        head = take(110)
        if head[:6] not in (MAGIC, b"070702"):
            raise place.error("not a cpio archive of the newc form: cpio -H newc makes one")
        if not re.fullmatch(rb"[0-9a-fA-F]{104}", head[6:]):
            raise place.error("damaged: not a number")
        numbers = [int(head[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
        number, mode, uid, gid, links, _, size, major, minor, rmajor, rminor, length, _ = numbers
        if not 0 < length <= 65536:
            raise place.error(f"damaged: a name of {length} bytes")
        if max(uid, gid) > ID_LAST:
            raise place.error(f"damaged: an owner is not from 0 to {ID_LAST}")
        path = take(length)[:-1]
        take(-at % 4)
        if path == TRAILER:
            return
        for _ in range(size // 65536):
            take(65536)
        take(size % 65536)
        take(-at % 4)
        kind = stat.S_IFMT(mode) if stat.S_IFMT(mode) in (stat.S_IFBLK, stat.S_IFCHR) else None
        if kind is not None and (rmajor > MAJOR_LAST or rminor > MINOR_LAST):
            raise place.error(f"damaged: no device has the number {rmajor}:{rminor}")
        yield Listed(
            place.path(path),
            uid,
            gid,
            None if stat.S_ISLNK(mode) else stat.S_IMODE(mode),
            kind,
            os.makedev(rmajor, rminor) if kind is not None else 0,
            group=f"{major}:{minor}:{number}" if links > 1 and stat.S_ISREG(mode) else None,
        )
