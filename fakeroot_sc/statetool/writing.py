"""export: what a tree shows, for other programs.

An archive of many files takes little longer than tar itself: nothing is imported here that
takes time, attrs least of all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from fakeroot_sc import _core
from fakeroot_sc.state import formats, memory
from fakeroot_sc.state.archives import packed
from fakeroot_sc.state.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from fakeroot_sc.statetool.output import Output

AT_FDCWD = -100

OwnFiles = Callable[[], set[tuple[int, int]]]
"""Asked when the state has been opened, which may make the files beside it."""


def source_date_epoch() -> int | None:
    """Of the environment (reproducible-builds.org): no file is to be younger."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdecimal():
        raise StateError(f"SOURCE_DATE_EPOCH: not a number of seconds: {text}")
    return int(text)


@contextmanager
def _written(path: str | None) -> Iterator[BinaryIO]:
    """The file to write, which appears whole or not at all; standard output without a path."""
    if path is None or path == "-":
        if sys.stdout.isatty():
            raise StateError("standard output is a terminal: -o FILE says where to write")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    beside = os.path.join(os.path.dirname(os.path.abspath(path)), f".fsc-{os.urandom(6).hex()}")
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as out:
                yield out
            return
        with open(beside, "xb", buffering=1 << 20) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        os.rename(beside, path)
    except OSError as error:
        raise StateError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        if os.path.exists(beside):
            os.unlink(beside)


def _own_files(state: str, out: str | None) -> set[tuple[int, int]]:
    """The state is no part of the tree that it describes, nor is what is being written."""
    found = set()
    for path in (*(state + suffix for suffix in ("", "-live", "-wal", "-shm")), out):
        try:
            seen = _core.look(AT_FDCWD, os.fsencode(path)) if path else None
        except OSError:
            continue
        if seen is not None:
            found.add(seen[:2])
    return found


def _pack(options: Namespace, out: BinaryIO, epoch: int | None, own: OwnFiles) -> list[str]:
    with memory.opened(options.file) as live:
        return packed.write_tree(
            live,
            options.root,
            out,
            epoch=epoch,
            unknown_is_real=options.unknown_is_real,
            leave_out=sorted(own()),
        )


def export(options: Namespace, output: Output) -> int:
    """Writes what a tree shows in another format."""
    form = formats.find(options.format)
    if not form.writes:
        raise StateError(f"format {form.name}: can be imported only")
    if output.as_json and options.output in (None, "-"):
        raise StateError("--json: the archive or listing needs a file of its own: -o FILE")
    epoch = source_date_epoch()
    before = _own_files(options.file, options.output)
    with _written(options.output) as out:
        name = out.name if out.name != "<stdout>" else None

        def own() -> set[tuple[int, int]]:
            return before | _own_files(options.file, name)

        if form.name == "tar":
            with output.working("packing"):
                warnings = _pack(options, out, epoch, own)
        else:
            from fakeroot_sc.statetool.exchange import write_entries

            warnings = write_entries(form, options, output, out, epoch, own)
    for warning in warnings[:20]:
        output.warn(warning)
    if len(warnings) > 20:
        output.warn(f"and {len(warnings) - 20} more of the kind")
    if output.as_json:
        data = {"format": form.name, "output": options.output, "warnings": warnings}
        output.table((), (), data)
    return 0
