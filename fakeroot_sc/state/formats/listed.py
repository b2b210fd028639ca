"""What a listing says of one file, and what all readers of listings share."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping

import attrs

from fakeroot_sc.state.errors import StateError

ID_LAST = 2**32 - 2
"""The last owner; the one behind it means "none" (chown(2))."""

MAJOR_LAST, MINOR_LAST = 2**12 - 1, 2**20 - 1
"""The last device numbers of Linux (include/linux/kdev_t.h)."""

XATTR_COMMENT = b"#.xattr "


@attrs.frozen
class Listed:
    """A file by its place in the tree; None: the listing says nothing of it.

    ``path``: below the root, "" for the root itself, no leading "./"; ``mode``: the 07777
    bits; ``kind``: the S_IFMT bits of a device, then with ``rdev`` as st_rdev; ``xattrs``:
    None for one that is said to be missing; ``recursive``: also said of everything below;
    ``group``: those that share one are names of one file.
    """

    path: str
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    kind: int | None = None
    rdev: int = 0
    xattrs: Mapping[str, bytes | None] = attrs.field(factory=dict)
    recursive: bool = False
    group: str | None = None

    def overlaid(self, later: Listed) -> Listed:
        """The same with what a later line says of the same file."""
        device = self if later.kind is None else later
        return Listed(
            self.path,
            self.uid if later.uid is None else later.uid,
            self.gid if later.gid is None else later.gid,
            self.mode if later.mode is None else later.mode,
            device.kind,
            device.rdev,
            {**self.xattrs, **later.xattrs},
            self.recursive or later.recursive,
            self.group if later.group is None else later.group,
        )


@attrs.frozen
class Place:
    """A line (or another ``unit``) of a file, for messages; numbers count from 1."""

    name: str
    number: int
    unit: str = "line"

    def error(self, why: str) -> StateError:
        """The error to raise: "FILE: line N: why"."""
        return StateError(f"{self.name}: {self.unit} {self.number}: {why}")

    def integer(self, text: bytes, what: str, last: int, base: int = 10) -> int:
        """A number without sign, from 0 to ``last``.  Raises StateError."""
        digits = {8: rb"[0-7]+", 10: rb"[0-9]+", 16: rb"[0-9a-fA-F]+"}[base]
        # A bound first: int() of a long text takes quadratic time.
        if len(text) <= 30 and re.fullmatch(digits, text):
            value = int(text, base)
            if value <= last:
                return value
        raise self.error(
            f"{what}: not a number from 0 to {last:{'o' if base == 8 else 'd'}}: {shown(text)}"
        )

    def mode(self, text: bytes) -> int:
        """The permissions in octal digits.  Raises StateError."""
        return self.integer(text, "mode", 0o7777, 8)

    def owner(self, text: bytes, what: str) -> int:
        """A user's or group's number, or root by name.  Raises StateError.

        Other names mean what the tree's own /etc/passwd says, never this machine's.
        """
        if text == b"root":
            return 0
        if not text[:1].isdigit():
            raise self.error(
                f"{what}: only root is known by name: put the number of {shown(text)} there, as "
                "the tree's own /etc/passwd and /etc/group have it"
            )
        return self.integer(text, what, ID_LAST)

    def device(self, major: bytes, minor: bytes) -> int:
        """A device number as st_rdev.  Raises StateError."""
        return os.makedev(
            self.integer(major, "major", MAJOR_LAST), self.integer(minor, "minor", MINOR_LAST)
        )

    def xattr(self, name: bytes, value: bytes) -> tuple[str, bytes]:
        """Name and value of an attribute that a file can have (xattr(7)).  Raises StateError."""
        if not 0 < len(name) <= 255 or b"\0" in name or name[:1] == b"\1":
            raise self.error(f"attribute: not a name from 1 to 255 bytes: {shown(name)}")
        if len(value) > 65536:
            raise self.error(f"attribute {shown(name)}: longer than 65536 bytes")
        return os.fsdecode(name), value

    def path(self, text: bytes) -> str:
        """A file's place below the root, however it is written.  Raises StateError."""
        parts = [part for part in text.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise self.error(f"path: leads upwards: {shown(text)}")
        if b"\0" in text:
            raise self.error(f"path: holds a NUL byte: {shown(text)}")
        return os.fsdecode(b"/".join(parts))


def shown(text: bytes) -> str:
    """Bytes of a file as messages show them."""
    cut = text[:80]
    return ascii(os.fsdecode(cut)) + ("..." if len(text) > len(cut) else "")


def octal_escaped(text: bytes, special: bytes) -> bytes:
    """Text with its special and its not printable bytes as backslash and three octal digits."""
    return b"".join(
        b"\\%03o" % byte if byte <= 0x20 or byte >= 0x7F or byte in special else b"%c" % byte
        for byte in text
    )


def xattr_comment(name: str, value: bytes) -> bytes:
    """A line that keeps an attribute in a format that has no room for it.

    ``#.xattr NAME=BASE64``, of the file of the line before; every other reader skips it.
    """
    escaped = octal_escaped(os.fsencode(name), b"\\=")
    return XATTR_COMMENT + escaped + b"=" + base64.b64encode(value) + b"\n"


def read_xattr_comment(line: bytes, place: Place) -> tuple[str, bytes]:
    """Name and value of such a line.  Raises StateError."""
    name, equals, value = line.removeprefix(XATTR_COMMENT).strip().partition(b"=")
    if not name or not equals:
        raise place.error("attribute: not NAME=BASE64")
    plain = re.sub(rb"\\([0-3][0-7]{2})", lambda found: b"%c" % int(found[1], 8), name)
    return place.xattr(plain, decoded_base64(value, place))


def decoded_base64(text: str | bytes, place: Place) -> bytes:
    """What is behind base64 (RFC 4648).  Raises StateError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise place.error(f"base64: {error}") from None
