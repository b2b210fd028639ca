"""From a listing to records: what it says of each path becomes what the file there shows."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing

import attrs

from fakeroot_sc.state import shown
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.formats.listed import Listed
from fakeroot_sc.state.look import Look, look
from fakeroot_sc.state.record import InodeRecord
from fakeroot_sc.state.tree import Finder, Lookup, Walk


@attrs.define
class Bound:
    """What came of a listing: ``records``; paths that are not in the tree; paths that are, but
    are something else than listed; names that have been made links of one file again."""

    records: list[InodeRecord] = attrs.field(factory=list)
    missing: list[str] = attrs.field(factory=list)
    unfit: list[str] = attrs.field(factory=list)
    linked: list[str] = attrs.field(factory=list)


def overlaid(listing: Iterable[Listed]) -> dict[str, Listed]:
    """By path, what a listing says in the end, in its order."""
    found: dict[str, Listed] = {}
    for each in listing:
        known = found.get(each.path)
        found[each.path] = each if known is None else known.overlaid(each)
    return found


def bind(
    listing: Iterable[Listed], root: str, *, known: Lookup | None = None, link: bool = True
) -> Bound:
    """Looks the paths up below a root, never through links out of it.

    What a listing does not say of a file stays as it is ``known``.  With ``link``, files that
    the listing has as one are made one again, if they are equal: a copy loses that.  Raises
    StateError for a root that cannot be read.
    """
    top = os.path.realpath(root)
    files = overlaid(listing)
    bound = Bound()
    with closing(Finder(top)) as finder:
        if link:
            with closing(Finder(top)) as other:
                _link_groups(files, _Places(top, finder), _Places(top, other), bound)
        _bind_all(files, _Places(top, finder), known, bound)
    return bound


@attrs.frozen
class _Places:
    """Files of a tree, by their paths in it."""

    top: str
    finder: Finder

    def find(self, path: str) -> tuple[int, bytes, Look] | None:
        """Its directory, good until the next is looked for, its name there, and how it looks.
        Raises StateError."""
        try:
            place = self.finder.directory_of(os.fsencode(path))
            return (*place, look(place[1], place[0])) if place is not None else None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None  # no file there can have such a name
            raise StateError(f"{self.real(path)}: {error.strerror}") from error

    def real(self, path: str) -> str:
        return os.path.join(self.top, path) if path else self.top


def _bind_all(
    files: dict[str, Listed], places: _Places, known: Lookup | None, bound: Bound
) -> None:
    bound_files: dict[tuple[int, int], InodeRecord] = {}
    for each in _with_those_below(files, places):
        found = places.find(each.path)
        if found is None:
            bound.missing.append(each.path)
            continue
        directory, name, seen = found
        if each.kind is not None and not _can_be_device(seen, each.kind):
            bound.unfit.append(each.path)
            continue
        key = (seen.dev, seen.ino)
        before = known(seen) if known is not None else None
        where = b"/proc/self/fd/%d/%s" % (directory, name)
        record = _record(each, seen, where, places.real(each.path), before)
        # Another name of a file that was bound already says the same, or less.
        if key not in bound_files or not record.shows_nothing():
            bound_files[key] = record
    bound.records = list(bound_files.values())


def _can_be_device(seen: Look, kind: int) -> bool:
    return stat.S_ISREG(seen.mode) or stat.S_IFMT(seen.mode) == kind


def _with_those_below(files: dict[str, Listed], places: _Places) -> Iterator[Listed]:
    for path, each in files.items():
        yield each
        found = places.find(path) if each.recursive else None
        if found is None or not stat.S_ISDIR(found[2].mode):
            continue
        directory, name, _ = found
        start = os.open(name or b".", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            for entry in Walk(f"/proc/self/fd/{start}/", {}):
                below = f"{path}/{entry.path}" if path else entry.path
                if entry.raw and below not in files:
                    yield attrs.evolve(each, path=below)
        finally:
            os.close(start)


def _record(
    each: Listed, seen: Look, where: bytes, real: str, known: InodeRecord | None
) -> InodeRecord:
    """Only what differs from what the file shows anyway; ``where``: a short path of it."""
    if known is not None:
        each = attrs.evolve(
            each,
            uid=known.uid if each.uid is None else each.uid,
            gid=known.gid if each.gid is None else each.gid,
            mode=known.mode if each.mode is None else each.mode,
            kind=known.kind if each.kind is None else each.kind,
            rdev=known.rdev if each.kind is None else each.rdev,
            xattrs={**known.xattrs, **each.xattrs},
        )
    mode = each.mode
    is_link = stat.S_ISLNK(seen.mode)
    kept = each.kind if each.kind is not None and stat.S_ISREG(seen.mode) else None
    if is_link or (mode == stat.S_IMODE(seen.mode) and kept is None):
        mode = None
    if kept is not None and mode is None:
        mode = stat.S_IMODE(seen.mode)
    # What cannot be read is not what is listed.
    there = shown.real_xattrs(where, lambda what: None) if each.xattrs else {}
    xattrs = {name: value for name, value in each.xattrs.items() if there.get(name) != value}
    return InodeRecord(
        seen.identity,
        each.uid or None,
        each.gid or None,
        mode,
        kept,
        each.rdev if kept is not None else 0,
        xattrs,
        real,
    )


def _link_groups(files: dict[str, Listed], firsts: _Places, others: _Places, bound: Bound) -> None:
    first: dict[str, str] = {}
    for path, each in files.items():
        found = others.find(path) if each.group is not None else None
        if each.group is None or found is None:
            continue
        known = firsts.find(first.setdefault(each.group, path))
        if known is None or known[2].identity == found[2].identity:
            continue
        if _is_equal(known, found, others.real(path)):
            _replace_by_link(known, found, others.real(path))
            bound.linked.append(path)
        else:
            bound.unfit.append(path)


_Found = tuple[int, bytes, Look]


def _is_equal(one: _Found, other: _Found, real: str) -> bool:
    kinds = {stat.S_IFMT(seen.mode) for _, _, seen in (one, other)}
    try:
        if kinds == {stat.S_IFREG}:
            return one[2].size == other[2].size and _same_content(one, other)
        if kinds == {stat.S_IFLNK}:
            return os.readlink(one[1], dir_fd=one[0]) == os.readlink(other[1], dir_fd=other[0])
    except OSError as error:
        raise StateError(f"{real}: cannot be compared: {error.strerror}") from error
    return len(kinds) == 1 and kinds != {stat.S_IFDIR}


def _same_content(*files: _Found) -> bool:
    fds: list[int] = []
    try:
        for directory, name, _ in files:
            fds.append(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory))
        while True:
            one, other = (os.read(fd, 1 << 20) for fd in fds)
            if one != other:
                return False
            if not one:
                return True
    finally:
        for fd in fds:
            os.close(fd)


def _replace_by_link(known: _Found, found: _Found, real: str) -> None:
    directory, name, _ = found
    beside = f".fsc-{os.urandom(6).hex()}"
    try:
        os.link(known[1], beside, src_dir_fd=known[0], dst_dir_fd=directory, follow_symlinks=False)
        os.rename(beside, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError as error:
        raise StateError(f"{real}: cannot be made a link again: {error.strerror}") from error
