"""Lines of tmpfiles.d(5): "z" for owner and mode, "c" and "b" for devices, "t" for attributes.

systemd-tmpfiles, as root, makes the tree what is listed, below --root.  It refuses to go
from a directory of one user to a file of another, which is not root's either.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

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

_DEVICES = {stat.S_IFCHR: b"c+", stat.S_IFBLK: b"b+"}
_KINDS = {b"c": stat.S_IFCHR, b"b": stat.S_IFBLK}
# Specifiers begin with a percent sign; z takes patterns.
_GLOB = re.compile(rb"([*?\[\]\\])")
_UNGLOB = re.compile(rb"\\([*?\[\]\\])")


def write(entries: Iterable[Entry], out: BinaryIO) -> list[str]:
    """Writes a line for each file but symbolic links, of which tmpfiles.d sets no owner;
    returns what it cannot say."""
    lost = 0
    for entry in entries:
        kind = stat.S_IFMT(entry.mode)
        path = b"/" + entry.raw
        letter = _DEVICES.get(kind, b"z")
        pattern = _quoted(_GLOB.sub(rb"\\\1", path))
        word = _quoted(path) if kind in _DEVICES else pattern
        owner = b"%d %d" % (entry.uid, entry.gid)
        if kind in _DEVICES:
            device = b"%d:%d" % (os.major(entry.rdev), os.minor(entry.rdev))
            out.write(b"%s %s 0%o %s - %s\n" % (letter, word, _mode(entry), owner, device))
        elif kind == stat.S_IFLNK:
            out.write(b"# %s: a symbolic link of %s\n" % (word, owner))
            lost += entry.uid != 0 or entry.gid != 0
        else:
            out.write(b"%s %s 0%o %s - -\n" % (letter, word, _mode(entry), owner))
        for name, value in sorted(entry.xattrs.items()):
            # Attributes that are no text "t" cannot say.
            out.write(_xattr_line(pattern, name, value) or xattr_comment(name, value))
    if not lost:
        return []
    return [f"tmpfiles.d sets no owners of symbolic links: {lost} that are not root's lose theirs"]


def _mode(entry: Entry) -> int:
    return stat.S_IMODE(entry.mode)


def _xattr_line(word: bytes, name: str, value: bytes) -> bytes | None:
    plain = rb"[A-Za-z0-9_.:/,@+-]+"
    raw = os.fsencode(name)
    if not re.fullmatch(plain, raw) or not re.fullmatch(plain, value):
        return None
    return b"t %s - - - - %s=%s\n" % (word, raw, value)


def _quoted(word: bytes) -> bytes:
    word = word.replace(b"%", b"%%")
    if re.fullmatch(rb"[A-Za-z0-9_./:+@%,=~-]+", word):
        return word
    escaped = re.sub(rb'[\x00-\x1f"\\\x7f-\xff]', lambda found: b"\\x%02x" % found[0][0], word)
    return b'"' + escaped + b'"'


def read(file: BinaryIO, name: str) -> Iterator[Listed]:
    """What the lines z, Z, c, b and t say; others are left out.  Raises StateError."""
    path = ""
    for number, line in enumerate(file, 1):
        place = Place(name, number)
        if line.startswith(XATTR_COMMENT):
            key, value = read_xattr_comment(line, place)
            yield Listed(path, xattrs={key: value})
            continue
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        fields = _fields(line.strip(), place)
        letter = fields[0][:1]
        if letter not in b"zZcbt":
            continue
        listed = _listed(letter, fields, place)
        path = listed.path
        yield listed


def _fields(line: bytes, place: Place) -> list[bytes]:
    words = [
        _unquoted(found[0]) for found in re.finditer(rb'"(?:\\.|[^"\\])*"|\'[^\']*\'|\S+', line)
    ]
    if len(words) < 2:
        raise place.error("no path")
    # The last one is the rest of the line.
    return [*words[:6], b" ".join(words[6:])] + [b"-"] * (7 - len(words))


def _unquoted(word: bytes) -> bytes:
    if word[:1] == b"'":
        return word[1:-1]
    if word[:1] != b'"':
        return word
    return re.sub(
        rb"\\(x[0-9a-fA-F]{2}|.)",
        lambda found: bytes([int(found[1][1:], 16)]) if len(found[1]) == 3 else found[1],
        word[1:-1],
        flags=re.DOTALL,
    )


def _listed(letter: bytes, fields: list[bytes], place: Place) -> Listed:
    _, path, mode, uid, gid, _, argument = fields[:7]
    path = path.replace(b"%%", b"%")
    if letter in b"zZt":
        if re.search(rb"(?<!\\)[*?\[]", path):
            raise place.error(f"path: patterns are not understood: {shown(path)}")
        path = _UNGLOB.sub(rb"\1", path)
    where = place.path(path)
    if letter == b"t":
        return Listed(where, xattrs=_attributes(argument, place))
    kind = _KINDS.get(letter)
    rdev = 0
    if kind is not None:
        major, colon, minor = argument.partition(b":")
        if not colon:
            raise place.error(f"device: not MAJOR:MINOR: {shown(argument)}")
        rdev = place.device(major, minor)
    return Listed(
        where,
        None if uid == b"-" else place.owner(uid, "uid"),
        None if gid == b"-" else place.owner(gid, "gid"),
        None if mode == b"-" else place.mode(mode.lstrip(b"~:")),
        kind,
        rdev,
        recursive=letter == b"Z",
    )


def _attributes(text: bytes, place: Place) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for word in text.split():
        name, equals, value = word.partition(b"=")
        if not equals:
            raise place.error(f"attribute: not NAME=VALUE: {shown(word)}")
        plain, found_value = place.xattr(name, value.replace(b"%%", b"%"))
        found[plain] = found_value
    return found
