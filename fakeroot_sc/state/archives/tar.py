"""tar archives, read by the standard library; ``packed.py`` writes them."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.formats.listed import Listed


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
