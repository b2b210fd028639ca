"""export: what a tree shows, for other programs."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from fakeroot_sc import _core
from fakeroot_sc.destination import Destination
from fakeroot_sc.state import formats, memory
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.look import AT_FDCWD
from fakeroot_sc.state.sync import BESIDE
from fakeroot_sc.state.tree import Entry, Rows, Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from fakeroot_sc.statetool.output import Output


def source_date_epoch() -> int | None:
    """Of the environment (reproducible-builds.org): no file is to be younger."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdecimal():
        raise StateError(f"SOURCE_DATE_EPOCH: not a number of seconds: {text}")
    return int(text)


class _Raw(io.RawIOBase):
    """A descriptor whose failures say that it is the output that failed."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd, self.name = fd, name

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any) -> int:
        if self._fd < 0:
            return len(data)
        try:
            return os.write(self._fd, data)
        except OSError as error:
            raise _cannot_write(self.name, error) from error

    def let_go(self) -> None:
        """What a buffer still holds is not to be written: to another file, by then."""
        self._fd = -1


def _cannot_write(name: str, error: OSError) -> StateError:
    return StateError(f"{name}: cannot be written: {error.strerror}")


@contextmanager
def _buffered(fd: int, name: str) -> Iterator[BinaryIO]:
    raw = _Raw(fd, name)
    out = io.BufferedWriter(raw, 1 << 20)
    try:
        yield out
        out.flush()
    finally:
        raw.let_go()


@contextmanager
def _written(path: str | None) -> Iterator[BinaryIO]:
    """The file to write, which appears whole or not at all; standard output without a path."""
    if path is None or path == "-":
        if sys.stdout.isatty():
            raise StateError("standard output is a terminal: -o FILE says where to write")
        with _buffered(sys.stdout.fileno(), "standard output") as out:
            yield out
        return
    try:
        writing = Destination(path).begin()
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with _buffered(writing.fd, path) as out:
            yield out
        try:
            writing.finish()
        except OSError as error:
            raise _cannot_write(path, error) from error
    finally:
        writing.abandon()


def _own_files(state: str, out: str | int | None) -> set[tuple[int, int]]:
    """The state is no part of the tree that it describes, nor is what is being written."""
    found = set()
    files = [(AT_FDCWD, os.fsencode(state + end)) for end in ("", *BESIDE)]
    if isinstance(out, str):
        files.append((AT_FDCWD, os.fsencode(out)))
    elif out is not None:
        files.append((out, b""))
    for directory, name in files:
        try:
            found.add(_core.look(directory, name)[:2])
        except OSError:
            continue
    return found


def export(options: Namespace, output: Output) -> int:
    """Writes what a tree shows in another format."""
    form = formats.find(options.format)
    if not form.writes:
        raise StateError(f"format {form.name}: can be imported only")
    if output.as_json and options.output in (None, "-"):
        raise StateError("--json: the archive or listing needs a file of its own: -o FILE")
    epoch = source_date_epoch()
    unread: list[str] = []
    before = _own_files(options.file, options.output)
    with _written(options.output) as out:
        rows, own = _rows(options.file, out.fileno())
        walk = Walk(
            options.root,
            rows,
            unknown_is_real=options.unknown_is_real,
            leave_out=before | own,
            unread=lambda path, what: unread.append(f"{path}: {what}: left out"),
        )
        warnings = _write(form, output.progress(walk, "writing"), out, epoch)
    output.warn_of([*unread, *warnings])
    if output.as_json:
        data = {"format": form.name, "output": options.output, "warnings": [*unread, *warnings]}
        output.table((), (), data)
    return 1 if unread else 0


def _rows(state: str, out: int) -> tuple[Rows, set[tuple[int, int]]]:
    """With what runs that use the state have added; and files that are its own by then."""
    with memory.opened(state) as live:
        try:
            return Rows(live.rows()), _own_files(state, out)
        except OSError as error:
            raise StateError(f"{state}: cannot be read: {error.strerror}") from error


def _write(
    form: formats.Format, entries: Iterator[Entry], out: BinaryIO, epoch: int | None
) -> list[str]:
    """Returns what the format could not hold."""
    module = form.load()
    warnings: list[str] = []
    if form.archive:
        return module.write(entries, out, epoch=epoch)  # type: ignore[no-any-return]
    if not form.attributes:
        entries = _without_attributes(entries, form.name, warnings)
    warnings += module.write(entries, out) or ()
    return warnings


def _without_attributes(
    entries: Iterator[Entry], name: str, warnings: list[str]
) -> Iterator[Entry]:
    lost = 0
    for entry in entries:
        lost += bool(entry.xattrs)
        yield entry
    if lost:
        warnings.append(f"format {name} has no extended attributes: {lost} files lose theirs")
