"""The listings of mtree(5), as bsdtar (libarchive) writes and reads them.

Attributes are not in mtree(5): they are kept in comments that only this module reads.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import attrs

from fakeroot_sc.state.formats.listed import (
    ID_LAST,
    MAJOR_LAST,
    MINOR_LAST,
    XATTR_COMMENT,
    Listed,
    Place,
    octal_escaped,
    read_xattr_comment,
    shown,
    xattr_comment,
)

if TYPE_CHECKING:
    from fakeroot_sc.state.tree import Entry

TYPES = {
    stat.S_IFREG: b"file",
    stat.S_IFDIR: b"dir",
    stat.S_IFLNK: b"link",
    stat.S_IFCHR: b"char",
    stat.S_IFBLK: b"block",
    stat.S_IFIFO: b"fifo",
    stat.S_IFSOCK: b"socket",
}
DEVICES = {b"char": stat.S_IFCHR, b"block": stat.S_IFBLK}

# Beside what separates: what fnmatch(3) and mtree's own comments take for something else.
SPECIAL = b'\\#="*?['

ESCAPE = re.compile(rb"\\([0-3][0-7]{2}|.|$)", re.DOTALL)
LETTERS = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"s": b" ",
    b"t": b"\t",
    b"v": b"\v",
    b"0": b"\0",
    b"\\": b"\\",
    b"#": b"#",
}


def write(entries: Iterable[Entry], out: BinaryIO) -> None:
    """Writes the whole tree, one line for each file, full paths.

    bsdtar knows no sockets: it takes one for a file, with a warning.
    """
    out.write(b"#mtree\n")
    for entry in entries:
        out.write(_line(entry))
        for name, value in sorted(entry.xattrs.items()):
            out.write(xattr_comment(name, value))


def _line(entry: Entry) -> bytes:
    kind = stat.S_IFMT(entry.mode)
    path = entry.raw
    seconds, rest = divmod(entry.mtime, 10**9)
    line = b"./" + octal_escaped(path, SPECIAL) if path else b"."
    line += b" type=%s uid=%d gid=%d mode=0%o time=%d.%09d" % (
        TYPES[kind],
        entry.uid,
        entry.gid,
        stat.S_IMODE(entry.mode),
        seconds,
        rest,
    )
    if entry.group is not None:
        line += b" nlink=%d inode=%d resdevice=native,%d,%d" % (
            entry.nlink,
            entry.identity.ino,
            os.major(entry.identity.dev),
            os.minor(entry.identity.dev),
        )
    if kind == stat.S_IFREG:
        line += b" size=%d" % entry.size
    elif kind == stat.S_IFLNK:
        line += b" link=" + octal_escaped(entry.target or b"", SPECIAL)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        line += b" device=native,%d,%d" % (os.major(entry.rdev), os.minor(entry.rdev))
    return line + b"\n"


def read(file: BinaryIO, name: str) -> Iterator[Listed]:
    """What a listing says of each file.  Raises StateError.

    Reads both forms of paths, ``/set`` and ``/unset``, continued lines and the escapes of
    vis(3) in C style; of owners numbers, and names only for root.
    """
    defaults: dict[bytes, bytes] = {}
    directory: list[bytes] = []
    last: Listed | None = None
    for place, line in _lines(file, name):
        if line.startswith(XATTR_COMMENT):
            if last is None:
                raise place.error("attribute: of no file")
            key, value = read_xattr_comment(line, place)
            last = attrs.evolve(last, xattrs={**last.xattrs, key: value})
            continue
        if line.startswith(b"#"):
            continue
        word, *keywords = line.split()
        if word == b"/set":
            defaults |= _values(keywords)
        elif word == b"/unset":
            for keyword in keywords:
                defaults.pop(keyword, None)
            if b"all" in keywords:
                defaults.clear()
        elif word == b"..":
            if not directory:
                raise place.error("..: above the root")
            directory.pop()
        else:
            if last is not None:
                yield last
            values = defaults | _values(keywords)
            path = unescaped(word, place)
            # mtree(5): an entry without a slash is in the current directory, and a directory
            # of that kind becomes the current one.
            if b"/" not in word:
                full = b"/".join([*directory, path])
                if values.get(b"type") == b"dir":
                    directory.append(path)
            else:
                full = path
            last = _listed(full, values, place)
    if last is not None:
        yield last


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[Place, bytes]]:
    """Each line with where it begins; continued ones joined, empty ones left out."""
    begun, start = b"", 0
    for number, raw in enumerate(file, 1):
        if not begun:
            start = number
        line = begun + raw.rstrip(b"\r\n")
        # An even number of backslashes is an escaped one.
        if (len(line) - len(line.rstrip(b"\\"))) % 2 and not line.lstrip().startswith(b"#"):
            begun = line[:-1] + b" "
            continue
        begun = b""
        if line.strip():
            yield Place(name, start), line.strip()
    if begun.strip():
        raise Place(name, start).error("the file ends within a continued line")


def _values(keywords: list[bytes]) -> dict[bytes, bytes]:
    return {key: value for key, _, value in (word.partition(b"=") for word in keywords)}


def _listed(path: bytes, values: dict[bytes, bytes], place: Place) -> Listed:
    kind = DEVICES.get(values.get(b"type", b""))
    rdev = 0
    if kind is not None:
        if b"device" not in values:
            raise place.error("device: missing")
        rdev = _device(values[b"device"], place)
    return Listed(
        place.path(path),
        _owner(values, b"uid", b"uname", place),
        _owner(values, b"gid", b"gname", place),
        place.mode(values[b"mode"]) if b"mode" in values else None,
        kind,
        rdev,
        group=_group(values),
    )


def _group(values: dict[bytes, bytes]) -> str | None:
    """By which links of one file are known: as libarchive takes them."""
    if b"inode" not in values or values.get(b"nlink", b"1") == b"1":
        return None
    if values.get(b"type") == b"dir":
        return None
    return os.fsdecode(values.get(b"resdevice", b"") + b":" + values[b"inode"])


def _owner(values: dict[bytes, bytes], number: bytes, name: bytes, place: Place) -> int | None:
    if number in values:
        return place.integer(values[number], number.decode(), ID_LAST)
    if name in values:
        return place.owner(values[name], name.decode())
    return None


def _device(text: bytes, place: Place) -> int:
    """A device number: "FORMAT,MAJOR,MINOR", or as one number of this machine."""
    parts = text.split(b",")
    if len(parts) == 3:
        major = _c_number(parts[1], "major", MAJOR_LAST, place)
        return os.makedev(major, _c_number(parts[2], "minor", MINOR_LAST, place))
    if len(parts) == 1:
        return _c_number(text, "device", 2**64 - 1, place)
    raise place.error(f"device: neither FORMAT,MAJOR,MINOR nor a number: {shown(text)}")


def _c_number(text: bytes, what: str, last: int, place: Place) -> int:
    """A number in the notations of C."""
    if text[:2].lower() == b"0x":
        return place.integer(text[2:], what, last, 16)
    return place.integer(text, what, last, 8 if text[:1] == b"0" else 10)


def unescaped(text: bytes, place: Place) -> bytes:
    """Text without the escapes of vis(3).  Raises StateError."""

    def plain(found: re.Match[bytes]) -> bytes:
        escape = found[1]
        if len(escape) == 3:
            return b"%c" % int(escape, 8)
        if escape not in LETTERS:
            raise place.error(f"path: unknown escape \\{os.fsdecode(escape)}: {shown(text)}")
        return LETTERS[escape]

    return ESCAPE.sub(plain, text)
