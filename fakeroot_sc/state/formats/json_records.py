"""One JSON document with everything that a tree shows.

::

    {"format": "fakeroot-sc", "version": 1, "files": [
    {"path": "dev/null", "type": "character device", "mode": "0666", "uid": 0, "gid": 0,
     "size": 0, "mtime": 0, "nlink": 1, "identity": {"dev": 1, "ino": 2, "birth": null},
     "device": [1, 3], "xattrs": {"user.a": "text"}}
    ]}

Integers have up to 64 bits; ``mtime`` and ``birth`` are nanoseconds since 1970, ``mode`` is
octal, ``target`` is that of a symbolic link.  Text that is not UTF-8 is ``{"base64": "..."}``;
attributes whose names are not are listed as pairs in ``"raw xattrs"``.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.formats.listed import (
    ID_LAST,
    MAJOR_LAST,
    MINOR_LAST,
    Listed,
    Place,
    decoded_base64,
)

if TYPE_CHECKING:
    from fakeroot_sc.state.tree import Entry

VERSION = 1

TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
DEVICES = {"character device": stat.S_IFCHR, "block device": stat.S_IFBLK}


def write(entries: Iterable[Entry], out: BinaryIO) -> None:
    """Writes the document, with one line for each file."""
    separator = b"\n"
    out.write(b'{"format": "fakeroot-sc", "version": %d, "files": [' % VERSION)
    for entry in entries:
        out.write(separator + json.dumps(_described(entry), ensure_ascii=False).encode())
        separator = b",\n"
    out.write(b"\n]}\n")


def _described(entry: Entry) -> dict[str, Any]:
    kind = stat.S_IFMT(entry.mode)
    identity = entry.identity
    told: dict[str, Any] = {
        "path": _text(entry.raw),
        "type": TYPES[kind],
        "mode": f"{stat.S_IMODE(entry.mode):04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size,
        "mtime": entry.mtime,
        "nlink": entry.nlink,
        "identity": {"dev": identity.dev, "ino": identity.ino, "birth": identity.birth},
    }
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        told["device"] = [os.major(entry.rdev), os.minor(entry.rdev)]
    if entry.target is not None:
        told["target"] = _text(entry.target)
    plain, raw = {}, []
    for name, value in sorted(entry.xattrs.items()):
        key = _text(os.fsencode(name))
        if isinstance(key, str):
            plain[key] = _text(value)
        else:
            raw.append([key, _text(value)])
    if plain:
        told["xattrs"] = plain
    if raw:
        told["raw xattrs"] = raw
    return told


def _text(raw: bytes) -> str | dict[str, str]:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def read(file: BinaryIO, name: str) -> Iterator[Listed]:
    """What a document says of each file.  Raises StateError."""
    try:
        document = json.loads(file.read())
    except json.JSONDecodeError as error:
        raise StateError(f"{name}: line {error.lineno}: not JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise StateError(f"{name}: not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != "fakeroot-sc":
        raise StateError(f"{name}: not a listing of fakeroot-sc: no format of that name")
    version = document.get("version")
    if version != VERSION:
        raise StateError(f"{name}: version {version!r}: this fakeroot-sc reads {VERSION}")
    files = document.get("files")
    if not isinstance(files, list):
        raise StateError(f"{name}: files: not a list")
    for number, told in enumerate(files, 1):
        yield _listed(told, Place(name, number, "file"))


def _listed(told: Any, place: Place) -> Listed:
    if not isinstance(told, dict) or "path" not in told:
        raise place.error("no object with a path")
    mode, xattrs = told.get("mode"), told.get("xattrs", {})
    if mode is not None and not isinstance(mode, str):
        raise place.error("mode: not octal digits in a string")
    kind = DEVICES.get(told["type"]) if isinstance(told.get("type"), str) else None
    if not isinstance(xattrs, dict) or not isinstance(told.get("raw xattrs", []), list):
        raise place.error("xattrs: not an object")
    pairs: list[Any] = [*xattrs.items(), *told.get("raw xattrs", [])]
    if any(not isinstance(pair, (tuple, list)) or len(pair) != 2 for pair in pairs):
        raise place.error("raw xattrs: not pairs of a name and a value")
    return Listed(
        group=_group(told),
        path=place.path(_bytes(told["path"], "path", place)),
        uid=_integer(told.get("uid"), "uid", ID_LAST, place),
        gid=_integer(told.get("gid"), "gid", ID_LAST, place),
        mode=None if mode is None else place.mode(mode.encode(errors="replace")),
        kind=kind,
        rdev=0 if kind is None else _device(told.get("device"), place),
        xattrs=dict(
            place.xattr(_bytes(key, "xattrs", place), _bytes(value, "xattrs", place))
            for key, value in pairs
        ),
    )


def _group(told: dict[str, Any]) -> str | None:
    identity = told.get("identity")
    if not isinstance(identity, dict) or told.get("type") == "directory":
        return None
    several = isinstance(told.get("nlink"), int) and told["nlink"] > 1
    return f"{identity.get('dev')}:{identity.get('ino')}" if several else None


def _integer(value: Any, what: str, last: int, place: Place) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= last:
        raise place.error(f"{what}: not an integer from 0 to {last}")
    return value


def _device(value: Any, place: Place) -> int:
    if not isinstance(value, list) or len(value) != 2:
        raise place.error("device: not [major, minor]")
    major = _integer(value[0], "major", MAJOR_LAST, place)
    minor = _integer(value[1], "minor", MINOR_LAST, place)
    if major is None or minor is None:
        raise place.error("device: not [major, minor]")
    return os.makedev(major, minor)


def _bytes(value: Any, what: str, place: Place) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise place.error(f"{what}: half of a surrogate pair") from None
    if isinstance(value, dict) and isinstance(value.get("base64"), str):
        return decoded_base64(value["base64"], place)
    raise place.error(f"{what}: neither a string nor base64")
