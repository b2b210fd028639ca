"""The pseudo files of mksquashfs -pf (mksquashfs(1), version 4.4 and newer).

mksquashfs takes a device for a file that is there, and leaves it as it is, unless that is
excluded; and it takes the root's owner and mode from options alone.  Both are said in
comments at the top::

    sed -n 's/^# exclude: //p' FILE > LIST
    mksquashfs ROOT IMAGE -pf FILE -ef LIST $(sed -n 's/^# options: //p' FILE)

Attributes cannot be changed so: they are kept in comments that only this module reads.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.formats.listed import (
    XATTR_COMMENT,
    Listed,
    Place,
    read_xattr_comment,
    shown,
    xattr_comment,
)

if TYPE_CHECKING:
    from fakeroot_sc.state.tree import Entry

_DEVICES = {stat.S_IFCHR: b"c", stat.S_IFBLK: b"b"}
_KINDS = {letter: kind for kind, letter in _DEVICES.items()}
_OPTIONS = re.compile(rb"# options: -root-mode ([0-7]+) -root-uid ([0-9]+) -root-gid ([0-9]+)")
_EXCLUDE = b"# exclude: "


def write(entries: Iterable[Entry], out: BinaryIO) -> None:
    """Writes a line for each file.  Raises StateError for a name with a line's end."""
    lines, excluded, options = [], [], b""
    for entry in entries:
        path = entry.raw
        mode = stat.S_IMODE(entry.mode)
        if b"\n" in path:
            raise StateError(f"{shown(path)}: a pseudo file holds no names with line ends")
        if not path:
            options = b"# options: -root-mode %o -root-uid %d -root-gid %d\n" % (
                mode,
                entry.uid,
                entry.gid,
            )
        letter = _DEVICES.get(stat.S_IFMT(entry.mode), b"m")
        line = b"%s %s %o %d %d" % (_escaped(path), letter, mode, entry.uid, entry.gid)
        if letter != b"m":
            line += b" %d %d" % (os.major(entry.rdev), os.minor(entry.rdev))
            excluded.append(_EXCLUDE + path + b"\n")
        lines += [line + b"\n"] if path else []
        lines += [xattr_comment(name, value) for name, value in sorted(entry.xattrs.items())]
    out.write(options)
    out.writelines(excluded)
    out.writelines(lines)


def _escaped(path: bytes) -> bytes:
    path = re.sub(rb"([\\\s\"])", rb"\\\1", path)
    return b"\\" + path if path.startswith(b"#") else path


def read(file: BinaryIO, name: str) -> Iterator[Listed]:
    """What a pseudo file says of each file.  Raises StateError."""
    path = ""
    for number, line in enumerate(file, 1):
        place = Place(name, number)
        if line.startswith(XATTR_COMMENT):
            key, value = read_xattr_comment(line, place)
            yield Listed(path, xattrs={key: value})
        elif found := _OPTIONS.match(line):
            mode, uid, gid = found.groups()
            yield Listed("", place.owner(uid, "uid"), place.owner(gid, "gid"), place.mode(mode))
        elif line.strip() and not line.startswith(b"#"):
            listed = _listed(line.rstrip(b"\n"), place)
            path = listed.path
            yield listed


def _words(line: bytes, place: Place) -> list[bytes]:
    found = re.match(rb'\s*("(?:\\.|[^"])*"|(?:\\.|[^\s\\])+)\s+(\S.*)', line, re.DOTALL)
    if found is None:
        raise place.error("no file name and type")
    path = found[1].strip(b'"') if found[1].startswith(b'"') else found[1]
    return [re.sub(rb"\\(.)", rb"\1", path), *found[2].split()]


def _listed(line: bytes, place: Place) -> Listed:
    path, letter, *rest = _words(line, place)
    letter = letter.lower()
    if letter not in (b"m", b"d", b"b", b"c"):
        raise place.error(f"type: only m, d, b and c are understood, not {shown(letter)}")
    if line.split(None, 2)[1:2] and line.split()[-len(rest) - 1][:1].isupper():
        rest = rest[1:]  # the forms in capitals begin with a time
    if len(rest) != (5 if letter in _KINDS else 3):
        raise place.error(f"{len(rest)} fields behind the type: too few, or too many")
    mode, uid, gid, *numbers = rest
    return Listed(
        place.path(path),
        place.owner(uid, "uid"),
        place.owner(gid, "gid"),
        place.mode(mode),
        _KINDS.get(letter),
        place.device(*numbers) if numbers else 0,
    )
