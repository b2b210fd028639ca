"""From a listing to records: what it says of each path becomes what the file there shows."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from filecmp import cmp

import attrs

from fakeroot_sc.state import shown
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.formats.listed import Listed
from fakeroot_sc.state.look import Look, look
from fakeroot_sc.state.record import InodeRecord
from fakeroot_sc.state.tree import Lookup


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
    if not os.path.isdir(top):
        raise StateError(f"{root}: no such directory")
    files = overlaid(listing)
    bound = Bound()
    if link:
        _link_groups(files, top, bound)
    directories: dict[str, bool] = {}
    bound_files: dict[tuple[int, int], InodeRecord] = {}
    for each in _with_those_below(files, top):
        real = _below(top, each.path, directories)
        try:
            seen = look(real) if real is not None else None
        except (FileNotFoundError, NotADirectoryError):
            seen = None
        except OSError as error:
            raise StateError(f"{real}: {error.strerror}") from error
        if real is None or seen is None:
            bound.missing.append(each.path)
            continue
        if each.kind is not None and not _can_be_device(seen, each.kind):
            bound.unfit.append(each.path)
            continue
        key = (seen.identity.dev, seen.identity.ino)
        record = _record(each, seen, real, known(seen) if known is not None else None)
        # Another name of a file that was bound already says the same, or less.
        if key not in bound_files or not record.shows_nothing():
            bound_files[key] = record
    bound.records = list(bound_files.values())
    return bound


def _can_be_device(seen: Look, kind: int) -> bool:
    return stat.S_ISREG(seen.mode) or stat.S_IFMT(seen.mode) == kind


def _below(top: str, path: str, directories: dict[str, bool]) -> str | None:
    """None where a directory on the way is a symbolic link; ``directories``: those known."""
    if not path:
        return top
    real = os.path.join(top, path)
    parent = os.path.dirname(real)
    if parent not in directories:
        directories[parent] = os.path.realpath(parent) == parent
    return real if directories[parent] else None


def _with_those_below(files: dict[str, Listed], top: str) -> Iterable[Listed]:
    for path, each in files.items():
        yield each
        if not each.recursive:
            continue
        start = os.path.join(top, path)
        for directory, names, others in os.walk(start):
            for name in sorted(names + others):
                below = os.path.relpath(os.path.join(directory, name), top)
                if below not in files:
                    yield attrs.evolve(each, path=below)


def _record(each: Listed, seen: Look, real: str, known: InodeRecord | None) -> InodeRecord:
    """Only what differs from what the file shows anyway."""
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
    there = shown.real_xattrs(os.fsencode(real)) if each.xattrs else {}
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


def _link_groups(files: dict[str, Listed], top: str, bound: Bound) -> None:
    first: dict[str, str] = {}
    directories: dict[str, bool] = {}
    for path, each in files.items():
        real = _below(top, path, directories)
        if each.group is None or real is None or not os.path.lexists(real):
            continue
        known = first.setdefault(each.group, real)
        if known == real or os.path.samestat(os.lstat(known), os.lstat(real)):
            continue
        if _is_equal(known, real):
            _replace_by_link(known, real)
            bound.linked.append(path)
        else:
            bound.unfit.append(path)


def _is_equal(one: str, other: str) -> bool:
    kinds = {stat.S_IFMT(os.lstat(path).st_mode) for path in (one, other)}
    if kinds == {stat.S_IFREG}:
        try:
            return cmp(one, other, shallow=False)
        except OSError as error:
            raise StateError(f"{error.filename}: {error.strerror}") from error
    if kinds == {stat.S_IFLNK}:
        return os.readlink(one) == os.readlink(other)
    return len(kinds) == 1 and kinds != {stat.S_IFDIR}


def _replace_by_link(known: str, real: str) -> None:
    beside = os.path.join(os.path.dirname(real), f".fsc-{os.urandom(6).hex()}")
    try:
        os.link(known, beside, follow_symlinks=False)
        os.rename(beside, real)
    except OSError as error:
        raise StateError(f"{real}: cannot be made a link of {known}: {error.strerror}") from error
