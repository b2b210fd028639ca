"""The commands that change a state: prune, repair, merge."""

from __future__ import annotations

import os
import stat
from argparse import Namespace
from collections import Counter

import attrs

from fakeroot_sc.state import shown
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.look import Look, look, same_birth
from fakeroot_sc.state.paths import find_paths, signed
from fakeroot_sc.state.record import FileIdentity, InodeRecord
from fakeroot_sc.state.store import Change, State
from fakeroot_sc.statetool.looking import COLUMNS, open_to_read, row
from fakeroot_sc.statetool.output import Output, described


def _look(path: str | None) -> Look | None:
    if path is None:
        return None
    try:
        return look(path)
    except (OSError, ValueError):
        return None


def _is_there(record: InodeRecord) -> bool:
    seen = _look(record.path)
    return seen is not None and shown.is_of(record, seen)


def _mounted_devices(records: list[InodeRecord]) -> set[int]:
    """The devices on which a record's path, or a directory above it, lies now."""
    devices = set()
    for directory in {os.path.dirname(record.path) for record in records if record.path}:
        at = directory
        while (seen := _look(at)) is None and at not in ("/", ""):
            at = os.path.dirname(at)
        if seen is not None:
            devices.add(seen.identity.dev)
    return devices


def _find(records: list[InodeRecord], roots: list[str]) -> dict[tuple[int, int], list[str]]:
    """Where files are now that are not where they were, below some directories."""
    wanted = {(signed(each.identity.dev), signed(each.identity.ino)) for each in records}
    found = find_paths(map(os.fsencode, roots), wanted, bounded=False)
    return {
        (dev % 2**64, ino % 2**64): [os.fsdecode(path) for path in paths]
        for (dev, ino), paths in found.items()
    }


def _number(record: InodeRecord) -> tuple[int, int]:
    return record.identity.dev, record.identity.ino


def prune(options: Namespace, output: Output) -> int:
    """Forgets files that are not there any more."""
    with State.open(options.file, create=False) as state, state.transaction():
        records = list(output.progress(state, "looking at files", len(state)))
        gone = [record for record in records if not _is_there(record)]
        devices = _mounted_devices(records) | {look(root).identity.dev for root in options.root}
        roots = options.root or sorted(
            {os.path.dirname(record.path) for record in gone if record.path}
        )
        places = _find(gone, roots)
        # Runs may be renaming files: what one look misses, another finds.
        unseen = [record for record in gone if _number(record) not in places]
        places |= _find(unseen, roots)
        removed, kept = [], 0
        for record in gone:
            found = places.get(_number(record))
            moved = attrs.evolve(record, path=found[0], links=tuple(found[1:])) if found else None
            if moved is not None and _is_there(moved):
                change = state.last_change(record.identity)
                if not options.dry_run:
                    state.put_many([moved], {moved.identity: change} if change else None)
            elif record.identity.dev not in devices or (not record.path and not options.root):
                kept += 1
            else:
                removed.append(record)
        if not options.dry_run:
            for record in removed:
                state.remove(record.identity)
    output.table(COLUMNS, map(row, removed), [described(record) for record in removed])
    verb = "would be forgotten" if options.dry_run else "forgotten"
    output.say(f"{len(removed)} of {len(records)} records {verb}")
    if kept:
        output.warn(
            f"{kept} records are kept: nobody knows where their files were, or that file system "
            "is not mounted; --root DIRECTORY says where to look for all"
        )
    return 0


def _old_root(records: list[InodeRecord], root: str) -> str:
    """Where the tree was: the directory whose files' paths lead to files of the new one."""
    votes: Counter[str] = Counter()
    for record in records[:20000]:
        path = record.path or ""
        at = path
        while at not in ("/", ""):
            at = os.path.dirname(at)
            rest = os.path.relpath(path, at)
            if os.path.lexists(os.path.join(root, rest)):
                votes[at] += 1
    if not votes:
        raise StateError(
            f"{root}: no file of the state's paths is there: --was DIRECTORY says where the tree "
            "was"
        )
    best = max(votes.values())
    # The nearest one: above it names might agree by chance.
    return max((at for at, count in votes.items() if count == best), key=len)


def _places(record: InodeRecord, was: str, root: str) -> list[str]:
    """Where the file's names are in a copy of the tree, if they were in the tree."""
    places = []
    for name in (record.path, *record.links):
        if name is not None:
            rest = os.path.relpath(name, was)
            if rest != ".." and not rest.startswith("../"):
                places.append(root if rest == "." else os.path.join(root, rest))
    return places


def _files_at(record: InodeRecord, places: list[str]) -> list[InodeRecord]:
    """The record as that of each file there: names of one file may be of several in a copy."""
    found: dict[FileIdentity, list[str]] = {}
    for place in places:
        seen = _look(place)
        if seen is not None and (record.kind is None or stat.S_ISREG(seen.mode)):
            found.setdefault(seen.identity, []).append(place)
    return [
        attrs.evolve(record, identity=identity, path=names[0], links=tuple(names[1:]))
        for identity, names in found.items()
    ]


def _is_as(record: InodeRecord, bound: InodeRecord) -> bool:
    """Whether a record is bound so already."""
    names = {record.path, *record.links} == {bound.path, *bound.links}
    births = same_birth(record.identity.birth, bound.identity.birth)
    return _number(record) == _number(bound) and births and names


def repair(options: Namespace, output: Output) -> int:
    """Binds records to the files that have their paths in a tree that was copied or moved."""
    root = os.path.realpath(options.root)
    if not os.path.isdir(root):
        raise StateError(f"{options.root}: no such directory")
    changed: list[InodeRecord] = []
    changes: dict[FileIdentity, Change] = {}
    missing: list[InodeRecord] = []
    with State.open(options.file, create=False) as state, state.transaction():
        records = list(state)
        was = options.was or _old_root(records, root)
        for record in output.progress(records, "looking at files", len(records)):
            places = _places(record, was, root)
            if not places:
                continue
            files = _files_at(record, places)
            if not files:
                missing.append(record)
                continue
            bound = [each for each in files if not _is_as(record, each)]
            changed += bound
            change = state.last_change(record.identity)
            if change is not None:
                changes |= {each.identity: change for each in bound}
            is_bound = _number(record) in map(_number, files)
            if bound and not is_bound and not options.dry_run and not _is_there(record):
                state.remove(record.identity)
        if not options.dry_run:
            state.put_many(changed, changes)
    data = {
        "was": was,
        "bound": [described(record) for record in changed],
        "missing": [described(record) for record in missing],
    }
    output.table(COLUMNS, map(row, changed), data)
    for record in missing:
        output.warn(f"{record.path}: not in {options.root}, or of another type")
    verb = "would be bound" if options.dry_run else "bound"
    output.say(f"{len(changed)} records {verb} to files below {options.root}, formerly {was}")
    return 1 if missing else 0


def merge(options: Namespace, output: Output) -> int:
    """Takes the records of other states over."""
    taken: dict[tuple[int, int], tuple[InodeRecord, Change]] = {}
    with State.open(options.file) as state, state.transaction():
        for name in options.other:
            if os.path.exists(name) and os.path.samefile(name, options.file):
                raise StateError(f"{name}: is the state to merge into")
            with open_to_read(name) as other:
                for record in output.progress(other, "reading", len(other)):
                    key = _number(record)
                    theirs = other.last_change(record.identity) or Change(None, None)
                    ours = taken[key][1] if key in taken else state.last_change(record.identity)
                    older = ours is not None and (theirs.time or 0) <= (ours.time or 0)
                    if ours is not None and (
                        options.prefer == "ours" or (options.prefer == "newer" and older)
                    ):
                        continue
                    taken[key] = (record, theirs)
        records = [record for record, _ in taken.values()]
        state.put_many(records, {record.identity: change for record, change in taken.values()})
    output.table(COLUMNS, map(row, records), [described(record) for record in records])
    output.say(f"{len(records)} records taken over")
    return 0
