"""The save file of fakeroot(1): files by number, of this machine alone."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from fakeroot_sc.state.formats.listed import ID_LAST, Place
from fakeroot_sc.state.record import DEVICE_KINDS, FileIdentity, InodeRecord

if TYPE_CHECKING:
    from fakeroot_sc.state.tree import Entry

_LINE = re.compile(
    rb"dev=0*([0-9a-f]{1,16}),ino=0*([0-9]{1,20}),mode=0*([0-7]{1,6}),uid=0*([0-9]{1,10}),"
    rb"gid=0*([0-9]{1,10}),nlink=0*([0-9]{1,20}),rdev=0*([0-9]{1,20})\n"
)
_TYPES = {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, *DEVICE_KINDS}


def write(entries: Iterable[Entry], out: BinaryIO) -> None:
    """Writes a line for each file that a fakeroot without it would show otherwise."""
    done = set()
    for entry in entries:
        key = (entry.identity.dev, entry.identity.ino)
        if key in done:
            continue
        done.add(key)
        # As fakeroot's own: the real device number's form of 32 bits (new_encode_dev()).
        major, minor = os.major(entry.rdev), os.minor(entry.rdev)
        rdev = (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12
        out.write(
            b"dev=%x,ino=%d,mode=%o,uid=%d,gid=%d,nlink=%d,rdev=%d\n"
            % (*key, entry.mode, entry.uid, entry.gid, entry.nlink, rdev)
        )


def read(file: BinaryIO, name: str) -> Iterator[InodeRecord]:
    """The records of a file that fakeroot or fakeroot-sc has saved, by the rules of
    native/fakeroot_text.c.  Raises StateError."""
    for number, line in enumerate(file, 1):
        place = Place(name, number)
        found = _LINE.fullmatch(line)
        if found is None:
            cut = not line.endswith(b"\n")
            raise place.error(
                "the file ends in the middle of the line"
                if cut
                else 'not "dev=,ino=,mode=,uid=,gid=,nlink=,rdev=" with their numbers'
            )
        dev, ino = int(found[1], 16), int(found[2])
        mode, uid, gid, rdev = int(found[3], 8), int(found[4]), int(found[5]), int(found[7])
        if max(ino, int(found[6])) >= 2**64 or max(uid, gid) > ID_LAST or rdev >= 2**32:
            raise place.error("a number is too large")
        if stat.S_IFMT(mode) not in _TYPES:
            raise place.error("the mode has no type of a file")
        kind = stat.S_IFMT(mode) if stat.S_IFMT(mode) in DEVICE_KINDS else None
        number = os.makedev((rdev & 0xFFF00) >> 8, (rdev & 0xFF) | (rdev >> 12) & 0xFFF00)
        yield InodeRecord(
            FileIdentity(dev, ino),
            uid,
            gid,
            None if stat.S_ISLNK(mode) else stat.S_IMODE(mode),
            kind,
            number if kind is not None else 0,
        )
