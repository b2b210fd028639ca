"""The commands that only look: show, explain, diff, verify."""

from __future__ import annotations

import os
import stat
import time
from argparse import Namespace
from typing import Any

from fakeroot_sc.state import shown
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.look import look, same_birth
from fakeroot_sc.state.memory import only_readable
from fakeroot_sc.state.record import InodeRecord
from fakeroot_sc.state.store import State
from fakeroot_sc.statetool.output import Output, described, kind_text, number, value_text

COLUMNS = ("PATH", "FILE", "UID", "GID", "MODE", "DEVICE", "XATTRS")


def open_to_read(path: str) -> State:
    """A state with what runs that use it have added; as it is, where it is not ours to write."""
    if only_readable(path):
        return State.open(path, read_only=True)
    return State.open(path, create=False)


def row(record: InodeRecord) -> tuple[str, ...]:
    """A record in the columns."""
    identity = record.identity
    return (
        record.path or "?",
        f"{os.major(identity.dev)}:{os.minor(identity.dev)}/{identity.ino}",
        number(record.uid),
        number(record.gid),
        "-" if record.mode is None else f"{record.mode:04o}",
        kind_text(record),
        " ".join(f"{name}={value_text(value)}" for name, value in sorted(record.xattrs.items()))
        or "-",
    )


def show(options: Namespace, output: Output) -> int:
    """All records, or those of some paths."""
    status = 0
    with open_to_read(options.file) as state:
        records = list(state) if not options.path else []
        for path in options.path:
            try:
                record = state.lookup_path(path)
            except OSError as error:
                raise StateError(f"{path}: {error.strerror}") from error
            if record is None:
                output.warn(f"{path}: nothing is remembered: root owns it, and its mode is real")
                status = 1
            else:
                records.append(record)
    output.table(COLUMNS, map(row, records), [described(record) for record in records])
    return status


def explain(options: Namespace, output: Output) -> int:
    """What of a file is faked, what is real, and since when."""
    path = options.path
    try:
        seen = look(path)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from error
    with open_to_read(options.file) as state:
        record = state.lookup(seen.identity)
        change = state.last_change(seen.identity)
    uid, gid = shown.owner(record, seen)
    mode = shown.mode(record, seen)
    real = shown.real_xattrs(os.fsencode(path))
    remembered = {} if record is None else dict(record.xattrs)
    rows = [
        ("owner", str(uid), str(seen.uid), _is(record and record.uid)),
        ("group", str(gid), str(seen.gid), _is(record and record.gid)),
        (
            "mode",
            f"{stat.S_IMODE(mode):04o}",
            f"{stat.S_IMODE(seen.mode):04o}",
            _is(record and record.mode),
        ),
        (
            "type",
            kind_text(record) if record and record.kind else _type(seen.mode),
            _type(seen.mode),
            _is(record and record.kind),
        ),
    ]
    for name in sorted({*real, *remembered}):
        laid = remembered.get(name, real.get(name))
        there = real.get(name)
        rows.append(
            (
                name,
                "(none)" if laid is None else value_text(laid),
                "(none)" if there is None else value_text(there),
                "remembered" if name in remembered else "real",
            )
        )
    since = None if change is None or change.time is None else change.time // 10**9
    data: dict[str, Any] = {
        "path": path,
        "record": None if record is None else described(record),
        "changed": None if change is None else change.time,
        "program": None if change is None else change.program,
        "shows": [dict(zip(("what", "shown", "real", "from"), each, strict=True)) for each in rows],
    }
    output.table(("WHAT", "SHOWN", "REAL", "FROM"), rows, data)
    if record is None:
        output.say("nothing is remembered of it")
    elif since is not None:
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(since))
        by = f", by a run of {change.program}" if change and change.program else ""
        output.say(f"set until {when}{by}")
    return 0


_TYPES = {
    stat.S_IFREG: "regular file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
}


def _type(mode: int) -> str:
    return _TYPES[stat.S_IFMT(mode)]


def _is(remembered: object) -> str:
    return "default" if remembered is None else "remembered"


def _keyed(state: State, by_path: bool) -> dict[Any, InodeRecord]:
    if by_path:
        return {record.path: record for record in state if record.path is not None}
    return {(record.identity.dev, record.identity.ino): record for record in state}


def _content(record: InodeRecord, by_path: bool) -> tuple[Any, ...]:
    birth = None if by_path else record.identity.birth
    fields = (record.uid or 0, record.gid or 0, record.mode, record.kind, record.rdev)
    return (*fields, dict(record.xattrs), birth)


def diff(options: Namespace, output: Output) -> int:
    """What two states remember differently."""
    with open_to_read(options.a) as a, open_to_read(options.b) as b:
        ours, theirs = _keyed(a, options.by_path), _keyed(b, options.by_path)
    rows, data = [], []
    for key in sorted({*ours, *theirs}):
        old, new = ours.get(key), theirs.get(key)
        same = (
            old is not None
            and new is not None
            and _content(old, options.by_path) == _content(new, options.by_path)
        )
        if same:
            continue
        for sign, record in (("-", old), ("+", new)):
            if record is not None:
                rows.append((sign, *row(record)))
        data.append(
            {
                "a": None if old is None else described(old),
                "b": None if new is None else described(new),
            }
        )
    output.table(("", *COLUMNS), rows, data)
    return 1 if data else 0


def verify(options: Namespace, output: Output) -> int:
    """Whether the records are of files of a tree, at the paths where they were."""
    from fakeroot_sc.state.tree import Walk, by_number

    with open_to_read(options.file) as state:
        records = list(state)
    known = by_number(records)
    found: dict[tuple[int, int], list[str]] = {}
    trouble: list[tuple[str, str]] = []

    def tell(path: str, what: str) -> None:
        trouble.append((path, what))

    walk = Walk(options.root, known, unreadable=tell, unread=tell)
    for entry in output.progress(walk, "looking at files"):
        key = (entry.seen.dev, entry.seen.ino)
        record = known.get(key)
        if record is None:
            continue
        if not same_birth(record.identity.birth, entry.seen.birth):
            trouble.append((entry.real, "is a later file of a remembered file's number"))
            continue
        _ = entry.xattrs  # which tells those that cannot be read
        if record.kind is not None and not stat.S_ISREG(entry.seen.mode):
            trouble.append((entry.real, "is remembered as a device, and is no regular file"))
        found.setdefault(key, []).append(os.path.abspath(entry.real))
    for key, record in known.items():
        names = found.get(key)
        if names is None:
            trouble.append((record.path or f"inode {record.identity.ino}", "is not in the tree"))
        elif record.path is None:
            trouble.append((names[0], "is remembered without a path: repair will note it"))
        elif record.path not in names:
            trouble.append((names[0], f"was at {record.path}: repair will note it"))
    data = {
        "records": len(records),
        "found": len(found),
        "trouble": [{"path": path, "what": what} for path, what in sorted(trouble)],
    }
    output.table(("PATH", "WHAT"), sorted(trouble), data)
    output.say(f"{len(found)} of {len(records)} records are of files below {options.root}")
    return 1 if trouble else 0
