"""import: states in the words of other programs."""

from __future__ import annotations

import os
import stat
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import attrs

from fakeroot_sc.state import formats
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.formats.listed import Listed
from fakeroot_sc.state.look import Look
from fakeroot_sc.state.record import InodeRecord
from fakeroot_sc.state.store import State
from fakeroot_sc.state.tree import Walk, by_number
from fakeroot_sc.statetool.output import Output


@contextmanager
def _read(path: str | None) -> Iterator[tuple[BinaryIO, str]]:
    if path is None or path == "-":
        yield sys.stdin.buffer, "standard input"
        return
    try:
        with open(path, "rb") as file:
            yield file, path
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from error


def bring_in(options: Namespace, output: Output) -> int:
    """Takes over what another format says of a tree."""
    form = formats.find(options.format)
    if not form.reads:
        raise StateError(f"format {form.name}: can be exported only")
    if form.name == "pseudo" and options.input in (None, "-"):
        raise StateError("format pseudo: name the files.db")
    module = form.load()
    with _read(options.input) as (file, name):
        try:
            told = list(output.progress(module.read(file, name), "reading"))
        except StateError as error:
            other = formats.guess(options.input)
            if other in (None, form.name):
                raise
            raise StateError(f"{error}; it looks like --format {other}") from error
    if not os.path.isdir(options.root):
        raise StateError(f"{options.root}: no such directory")
    with State.open(options.file) as state, state.transaction():
        try:
            if form.by_inode:
                return _by_number(told, state, options, output)
            return _by_path(told, state, options, output)
        except ValueError as error:  # what no file can show
            raise StateError(f"{name}: {error}") from error


def _by_path(told: list[Listed], state: State, options: Namespace, output: Output) -> int:
    from fakeroot_sc.state.formats.bind import bind

    def known(seen: Look) -> InodeRecord | None:
        return state.lookup(seen.identity)

    bound = bind(told, options.root, known=known)
    state.put_many(bound.records)
    for path in bound.missing:
        output.warn(f"{path or '.'}: is not in {options.root}")
    for path in bound.unfit:
        output.warn(f"{path}: is something else in {options.root} than was listed")
    _report(output, bound.records, bound.missing, bound.unfit, bound.linked)
    return 1 if bound.missing or bound.unfit else 0


def _by_number(told: list[InodeRecord], state: State, options: Namespace, output: Output) -> int:
    """Files keep their numbers where they are; the tree gives them birth times and paths."""
    known = by_number(told)
    unreadable: list[str] = []
    walk = Walk(
        options.root,
        known,
        unreadable=lambda path, what: unreadable.append(f"{path}: {what}: left out"),
    )
    records: dict[tuple[int, int], InodeRecord] = {}
    for entry in output.progress(walk, "looking at files"):
        key = (entry.seen.dev, entry.seen.ino)
        record = known.get(key)
        if record is None:
            continue
        mode = record.mode
        if record.kind is None and mode == stat.S_IMODE(entry.seen.mode):
            mode = None
        records[key] = attrs.evolve(
            record,
            identity=entry.identity,
            path=os.path.abspath(entry.real),
            mode=mode,
            uid=record.uid or None,
            gid=record.gid or None,
        )
    output.warn_of(unreadable)
    others = [
        record
        for record in told
        if (record.identity.dev, record.identity.ino) not in records and not shown_nothing(record)
    ]
    found = list(records.values())
    state.put_many([*found, *(others if options.all else [])])
    missing = [] if options.all else [_name(record) for record in others]
    output.warn_of(
        [
            f"{name}: is not in {options.root}; --all takes such records over, too"
            for name in missing
        ]
    )
    _report(output, found, missing, [], [])
    return 1 if missing or unreadable else 0


def shown_nothing(record: InodeRecord) -> bool:
    """Whether a record that has all fields says what an unknown file shows anyway."""
    return not record.uid and not record.gid and record.kind is None and not record.xattrs


def _name(record: InodeRecord) -> str:
    return record.path or f"inode {record.identity.ino}"


def _report(
    output: Output,
    records: list[InodeRecord],
    missing: list[str],
    unfit: list[str],
    linked: list[str],
) -> None:
    kept = [record for record in records if not record.shows_nothing()]
    data = {
        "records": len(kept),
        "files": len(records),
        "missing": missing,
        "unfit": unfit,
        "linked": linked,
    }
    if output.as_json:
        output.table((), (), data)
        return
    output.say(f"{len(records)} files found, {len(kept)} records")
    if linked:
        output.say(f"{len(linked)} names made links of one file again")
