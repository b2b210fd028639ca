"""The device table of makedevs (Buildroot, BusyBox) and of genext2fs -D (genext2fs(8)).

``<name> <type> <mode> <uid> <gid> <major> <minor> <start> <inc> <count>``.  Both leave a
file that is there what it is: where a device is to be, the empty file must be taken away
from a copy of the tree first.  Comments at the top name these files::

    sed -n 's/^# placeholder: //p' TABLE | (cd COPY && xargs rm)

The table has neither symbolic links nor sockets: they are named in comments.  It has no
attributes: they are kept in comments that only this module reads.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.formats.listed import (
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
    stat.S_IFREG: b"f",
    stat.S_IFDIR: b"d",
    stat.S_IFCHR: b"c",
    stat.S_IFBLK: b"b",
    stat.S_IFIFO: b"p",
}
DEVICES = {b"c": stat.S_IFCHR, b"b": stat.S_IFBLK}
OTHERS = (b"f", b"F", b"d", b"p", b"r")

BLANK = re.compile(rb"[\x00-\x20\x7f]")

SERIES_LAST = 2**16
"""The most files that one line may stand for."""


def write(entries: Iterable[Entry], out: BinaryIO) -> list[str]:
    """Writes a line for each file; returns what it cannot say.  Raises StateError for a name
    with blanks."""
    links = sockets = 0
    out.write(b"# name type mode uid gid major minor start inc count\n")
    lines: list[bytes] = []
    for entry in entries:
        path = b"/" + entry.raw
        kind = stat.S_IFMT(entry.mode)
        if BLANK.search(path):
            raise StateError(f"{shown(path)}: a makedevs table holds no names with blanks")
        if kind not in TYPES:
            what = "a symbolic link" if kind == stat.S_IFLNK else "a socket"
            sockets += kind == stat.S_IFSOCK
            links += kind == stat.S_IFLNK and (entry.uid != 0 or entry.gid != 0)
            lines.append(
                b"# %s: %s, not in the table\n" % (octal_escaped(path, b""), what.encode())
            )
            continue
        numbers = b"- -"
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            numbers = b"%d %d" % (os.major(entry.rdev), os.minor(entry.rdev))
            out.write(b"# placeholder: %s\n" % entry.raw)
        mode = stat.S_IMODE(entry.mode)
        values = (path, TYPES[kind], mode, entry.uid, entry.gid, numbers)
        lines.append(b"%s %s %o %d %d %s - - -\n" % values)
        lines += [xattr_comment(name, value) for name, value in sorted(entry.xattrs.items())]
    out.writelines(lines)
    lost = []
    if links:
        what = "symbolic links that are not root's lose their owners"
        lost.append(f"a makedevs table has no symbolic links: {links} {what}")
    if sockets:
        lost.append(f"a makedevs table has no sockets: {sockets} are left out")
    return lost


def read(file: BinaryIO, name: str) -> Iterator[Listed]:
    """What a table says of each file, a series as its files.  Raises StateError."""
    path = None
    for number, line in enumerate(file, 1):
        place = Place(name, number)
        if line.startswith(XATTR_COMMENT):
            if path is None:
                raise place.error("attribute: of no file")
            key, value = read_xattr_comment(line, place)
            yield Listed(path, xattrs={key: value})
            continue
        fields = line.split()
        if not fields or fields[0].startswith(b"#"):
            continue
        for listed in _series(fields, place):
            path = listed.path
            yield listed


def _series(fields: list[bytes], place: Place) -> Iterator[Listed]:
    if not 5 <= len(fields) <= 10:
        raise place.error(f"{len(fields)} fields: a line has from 5 to 10")
    path, letter, mode_text, uid_text, gid_text, *rest = fields
    if letter == b"|xattr" or path == b"|xattr":
        raise place.error("|xattr: capabilities as text are not understood")
    mode = place.mode(mode_text)
    uid, gid = place.owner(uid_text, "uid"), place.owner(gid_text, "gid")
    if letter in OTHERS:
        yield Listed(place.path(path), uid, gid, mode, recursive=letter == b"r")
        return
    if letter not in DEVICES:
        raise place.error(f"type: not one of c, b, f, F, d, p, r: {shown(letter)}")
    major, minor, *series = [*rest, *[b"-"] * (5 - len(rest))]
    start, step, count = (
        0 if text == b"-" else place.integer(text, what, SERIES_LAST)
        for text, what in zip(series, ("start", "inc", "count"), strict=True)
    )
    first = place.integer(minor, "minor", MINOR_LAST)
    for index in range(max(count, 1)):
        suffix = b"%d" % (start + index) if count else b""
        rdev = place.device(major, b"%d" % (first + index * step))
        yield Listed(place.path(path + suffix), uid, gid, mode, DEVICES[letter], rdev)
