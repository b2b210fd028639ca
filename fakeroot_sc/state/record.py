"""What is remembered of one file."""

from __future__ import annotations

import stat
from collections.abc import Mapping

import attrs

DEVICE_KINDS = (stat.S_IFBLK, stat.S_IFCHR)


@attrs.frozen
class FileIdentity:
    """What tells a file from every other one, also from a later one of its inode number.

    ``dev``: as st_dev of stat(2); ``ino``; ``birth``: nanoseconds since 1970, or None where
    it is not known (a file system without birth times, fakeroot's format).
    """

    dev: int
    ino: int
    birth: int | None = None


@attrs.frozen
class InodeRecord:
    """What a file shows in place of what it really is; None: as it really is.

    ``mode``: the 07777 bits; ``kind``: the S_IFMT bits, of remembered devices, then with
    ``rdev`` as st_rdev; ``xattrs``: remembered extended attributes by name, None for one that
    is remembered to be missing; ``path``: where the file was last seen, a hint; ``links``:
    further names that it had there; ``written``: the time of modification (nanoseconds), the
    size, and a checksum of the contents or None, that it had with its capabilities, which a
    write takes away, if that is known.
    """

    identity: FileIdentity
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    kind: int | None = None
    rdev: int = 0
    xattrs: Mapping[str, bytes | None] = attrs.field(factory=dict)
    path: str | None = None
    links: tuple[str, ...] = ()
    written: tuple[int, int, int | None] | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def birth(self) -> int | None:
        """That of the identity."""
        return self.identity.birth

    def shows_nothing(self) -> bool:
        """Whether the file shows what it really is, owned by root."""
        return (
            self.uid in (None, 0)
            and self.gid in (None, 0)
            and self.mode is None
            and self.kind is None
            and not self.xattrs
        )
