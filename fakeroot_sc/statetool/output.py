"""What the command says: tables for people, JSON for programs, progress while it takes long."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fakeroot_sc.state.record import InodeRecord

_T = TypeVar("_T")

MANY = 20
"""Warnings of a kind, after which the rest are counted."""

_KINDS = {0o020000: "char", 0o060000: "block"}


def printable(text: str) -> str:
    """Text without what a terminal would act upon."""
    raw = os.fsencode(text)
    try:
        plain = raw.decode()
    except UnicodeDecodeError:
        plain = raw.decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in plain)


def value_text(value: bytes | None) -> str:
    """An attribute's value."""
    if value is None:
        return "(removed)"
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "0x" + value.hex()
    return text if text.isprintable() else "0x" + value.hex()


def number(value: int | None) -> str:
    """An id, or a dash for one that is not remembered."""
    return "-" if value is None else str(value)


def kind_text(record: InodeRecord) -> str:
    """The remembered device."""
    if record.kind is None:
        return "-"
    return f"{_KINDS[record.kind]} {os.major(record.rdev)},{os.minor(record.rdev)}"


def described(record: InodeRecord) -> dict[str, Any]:
    """A record as JSON has it."""
    device = None
    if record.kind is not None:
        device = [_KINDS[record.kind], os.major(record.rdev), os.minor(record.rdev)]
    identity = record.identity
    return {
        "path": record.path,
        "dev": identity.dev,
        "ino": identity.ino,
        "birth": identity.birth,
        "uid": record.uid,
        "gid": record.gid,
        "mode": None if record.mode is None else f"{record.mode:04o}",
        "device": device,
        "xattrs": {name: _json_value(value) for name, value in sorted(record.xattrs.items())},
    }


def _json_value(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"hex": value.hex()}


class Output:
    """``as_json``: one JSON document on standard output, and nothing else there."""

    __slots__ = ("as_json",)

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], data: Any) -> None:
        """Shows rows, or the same as data."""
        if self.as_json:
            import json

            json.dump(data, sys.stdout, indent=1)
            sys.stdout.write("\n")
            return
        cells = [[printable(cell) for cell in row] for row in rows]
        if not cells:
            return
        if sys.stdout.isatty() and _show_rich(columns, cells):
            return
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        for row in (columns, *cells):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print(line.rstrip())

    def say(self, text: str) -> None:
        """A line for people."""
        if not self.as_json:
            print(printable(text))

    def warn(self, text: str) -> None:
        """A line on standard error."""
        print(f"fakeroot-sc-state: {printable(text)}", file=sys.stderr)

    def warn_of(self, what: Sequence[str]) -> None:
        """Many of a kind, of which the first are enough."""
        for text in what[:MANY]:
            self.warn(text)
        if len(what) > MANY:
            self.warn(f"and {len(what) - MANY} more of the kind")

    def progress(self, items: Iterable[_T], what: str, total: int | None = None) -> Iterator[_T]:
        """The items, with a bar on a terminal."""
        if not sys.stderr.isatty():
            yield from items
            return
        try:
            from rich.console import Console
            from rich.progress import track
        except ImportError:
            yield from items
            return
        console = Console(stderr=True)
        yield from track(items, what, total=total, console=console, transient=True)


def _show_rich(columns: Sequence[str], rows: list[list[str]]) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console().print(table)
    return True
