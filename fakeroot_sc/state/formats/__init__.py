"""The formats of other programs that hold what is remembered, by name."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import NamedTuple

from fakeroot_sc.state.errors import StateError


class Format(NamedTuple):
    """A format: the name that users give, and what its module can do.

    ``writes``: has ``write(entries, out)``, which may return what it could not say; ``reads``:
    has ``read(file, name)``, which gives Listed to be bound to a tree, or, with ``by_inode``,
    records of files of this machine;
    ``archive``: holds the files themselves; ``attributes``: ``write`` puts extended attributes
    somewhere, or says itself that it cannot.
    """

    # Not attrs, whose import alone takes a third of the time that 20,000 files do as tar.

    name: str
    module: str
    about: str
    writes: bool = True
    reads: bool = True
    by_inode: bool = False
    archive: bool = False
    attributes: bool = True

    def load(self) -> ModuleType:
        """The module, imported on first use."""
        room = "archives" if self.archive else "formats"
        return importlib.import_module(f"fakeroot_sc.state.{room}.{self.module}")


FORMATS = {
    each.name: each
    for each in (
        Format("mtree", "mtree", "mtree(5), as of bsdtar"),
        Format("tar", "tar", "tar archive, POSIX pax with attributes", archive=True),
        Format("cpio", "cpio", "cpio archive, newc", archive=True),
        Format("json", "json_records", "one JSON document, loses nothing"),
        Format("makedevs", "makedevs", "device table of makedevs and genext2fs"),
        Format("squashfs-pseudo", "squashfs_pseudo", "pseudo file of mksquashfs -pf"),
        Format("tmpfiles", "tmpfiles", "tmpfiles.d(5) of systemd"),
        Format(
            "fakeroot", "fakeroot_text", "save file of fakeroot -s", by_inode=True, attributes=False
        ),
        Format("pseudo", "pseudo_db", "files.db of pseudo", writes=False, by_inode=True),
    )
}


def find(name: str) -> Format:
    """The format of a name.  Raises StateError with the names there are."""
    found = FORMATS.get(name)
    if found is None:
        raise StateError(f"format {name}: not one of {', '.join(FORMATS)}")
    return found


_MARKS = (
    (0, b"#mtree", "mtree"),
    (0, b"SQLite format 3\0", "pseudo"),
    (0, b"070701", "cpio"),
    (0, b"070702", "cpio"),
    (257, b"ustar", "tar"),
    (0, b'{"format": "fakeroot-sc"', "json"),
    (0, b"# name type mode uid gid", "makedevs"),
    (0, b"# options: -root-mode", "squashfs-pseudo"),
    (0, b"dev=", "fakeroot"),
)


def guess(path: str | None) -> str | None:
    """The format that a file begins like; None for one that says nothing of itself."""
    if path is None or path == "-":
        return None
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError:
        return None
    for at, mark, name in _MARKS:
        if start[at : at + len(mark)] == mark:
            return name
    return None
