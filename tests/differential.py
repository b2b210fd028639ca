# SPDX-License-Identifier: Apache-2.0
"""Two probes beside each other, one as real root and one under fakeroot-sc, and what
differential tests compare."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import harness
import pytest
from harness import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_NO_AUTOMOUNT,
    AT_REMOVEDIR,
    AT_SYMLINK_NOFOLLOW,
    BAD_POINTERS,
    BUILDS,
    LIBC_BUILDS,
    NAME_MAX,
    PATH_MAX,
    TREE,
    Probe,
    Result,
    Session,
    Token,
    across_pages,
    buffer,
    encode_device,
    garbled,
    unterminated,
)

from fakeroot_sc.syscalls.row import Abi, Syscall

ROOT = 0
O_PATH = os.O_PATH
SHOWN_AT_MOST = 12
AGAIN_MOST = 20


class Here(str):
    """A path that starts with the directory of its side."""

    __slots__ = ()


class Pair:
    """Two sessions that do the same."""

    def __init__(self, real: Session, fake: Session) -> None:
        self.real = real
        self.fake = fake
        self.abi = real.abi

    def _on(self, session: Session, calls: Iterable[Sequence[Any]]) -> list[Result]:
        return session.calls(
            tuple(
                f"{session.directory}/{argument}" if isinstance(argument, Here) else argument
                for argument in call
            )
            for call in calls
        )

    def _settled(self, call: Sequence[Any], real: Result, fake: Result) -> tuple[Result, Result]:
        """openat2(2) wants to be tried again where a rename elsewhere came between."""
        for _ in range(AGAIN_MOST):
            if real.comparable() == fake.comparable():
                break
            if real.outcome == "EAGAIN":
                (real,) = self._on(self.real, [call])
            if fake.outcome == "EAGAIN":
                (fake,) = self._on(self.fake, [call])
        return real, fake

    def compare(self, calls: Iterable[Sequence[Any]]) -> None:
        """Makes the calls on both sides; AssertionError names those that differ."""
        calls = list(calls)
        report: list[str] = []
        answers = zip(self._on(self.real, calls), self._on(self.fake, calls), strict=True)
        for call, (real, fake) in zip(calls, answers, strict=True):
            # The inode numbers of one side may fit into 16 bits, those of the other not.
            if real.variant == "i386_oldstat" and "EOVERFLOW" in (real.outcome, fake.outcome):
                continue
            real, fake = self._settled(call, real, fake)
            if real.comparable() != fake.comparable():
                report.append(f"{real.call}: {_difference(real, fake)}")
        shown = "\n".join(report[:SHOWN_AT_MOST])
        assert not report, f"{len(report)} of {len(calls)} calls differ\n{shown}"

    def ok(self, call: str | Syscall, *arguments: Any) -> int:
        """A call that must succeed on both sides, with the same value."""
        real, fake = (self._on(side, [(call, *arguments)])[0] for side in (self.real, self.fake))
        assert real.error == 0, f"{real.call}: {real.outcome} for real root"
        assert real.comparable() == fake.comparable(), f"{real.call}: {_difference(real, fake)}"
        return real.value

    def both(self, call: str | Syscall, *arguments: Any) -> int:
        """A call that must be answered alike on both sides; returns its value."""
        real, fake = (self._on(side, [(call, *arguments)])[0] for side in (self.real, self.fake))
        real, fake = self._settled((call, *arguments), real, fake)
        assert real.comparable() == fake.comparable(), f"{real.call}: {_difference(real, fake)}"
        return real.value

    def prepare(self, calls: Iterable[Sequence[Any]]) -> None:
        """Calls that must succeed on both sides."""
        calls = list(calls)
        for side in (self.real, self.fake):
            for result in self._on(side, calls):
                assert result.error == 0, f"{result.call}: {result.outcome}"

    def open(self, path: str, flags: int = os.O_RDONLY) -> int:
        """The number of a descriptor, the same on both sides."""
        real, fake = self.real.open(path, flags), self.fake.open(path, flags)
        assert real == fake
        return real

    def hold(self, path: str, number: int) -> None:
        """Opens a path, if that can be done, as a given descriptor."""
        call = ("openat", AT_FDCWD, path, O_PATH | os.O_NOFOLLOW, 0)
        real, fake = (self._on(side, [call])[0] for side in (self.real, self.fake))
        assert real.comparable() == fake.comparable(), f"{real.call}: {_difference(real, fake)}"
        if real.error == 0:
            self.prepare([("dup3", real.value, number, 0), ("close", real.value)])

    def looks(self, names: Iterable[str] = TREE) -> list[tuple[Any, ...]]:
        """Calls that show how files look."""
        if self.abi is Abi.I386:
            return [
                ("fstatat64", AT_FDCWD, name, buffer(96), AT_SYMLINK_NOFOLLOW) for name in names
            ]
        return [("newfstatat", AT_FDCWD, name, buffer(144), AT_SYMLINK_NOFOLLOW) for name in names]


def _difference(real: Result, fake: Result) -> str:
    one, other = real.comparable(), fake.comparable()
    if one[0] != other[0]:
        return f"real {one[0]}, fake {other[0]}"
    details = []
    if isinstance(one[2], list) and isinstance(other[2], list):
        for left, right in zip(one[2], other[2], strict=True):
            if isinstance(left, dict) and isinstance(right, dict):
                details += [
                    f"{name} {left[name]!r} is {right[name]!r}"
                    for name in left
                    if left[name] != right[name]
                ]
    return ", ".join(details) or f"real {one}, fake {other}"


def unprivileged() -> int:
    return int(os.environ["FAKEROOT_SC_TEST_UID"])


@contextlib.contextmanager
def sides(probe: Probe, populate: Callable[[Path], None] = harness.populate) -> Iterator[Pair]:
    """A pair of sessions in two directories with the same tree."""
    user = unprivileged()
    base = Path(tempfile.mkdtemp(prefix="fsc-pair-"))
    base.chmod(0o755)
    try:
        for name in ("real", "fake"):
            (base / name / "below").mkdir(mode=0o755, parents=True)
            populate(base / name / "below")
        for path in harness.everything_below(base / "fake"):
            os.chown(path, user, user, follow_symlinks=False)
        with (
            probe.session(base / "real" / "below", fake=False, user=ROOT, groups=[ROOT]) as real,
            probe.session(base / "fake" / "below", user=user) as fake,
        ):
            # Some calls are about files on /proc.
            fake.may_say = "gives no birth times"
            yield Pair(real, fake)
        for path in harness.everything_below(base / "fake"):
            status = path.lstat()
            assert (status.st_uid, status.st_gid) == (user, user), f"{path} belongs to another"
            assert not status.st_mode & 0o6000 or stat.S_ISLNK(status.st_mode), path
    finally:
        shutil.rmtree(base, ignore_errors=True)


def arguments(row: Syscall, **values: Any) -> tuple[Any, ...]:
    """A call of a row, its arguments given by their names in the table."""
    return (row, *(values[name] for name in row.arguments))


PairOf = Callable[[str], contextlib.AbstractContextManager[Pair]]

COMPARED = ("x86-64-static", "i386-static", "x86-64-libc", "i386-libc")
"""The builds that are compared: each ABI, by raw calls and by those of the C library."""


def has_function(row: Syscall) -> bool:
    """Whether the C library has a function that makes the call, and means the same."""
    return row.variant not in ("ids16", "i386_oldstat", "i386_stat") and row.name != "fchmodat2"


def table_rows(family: str) -> list[Any]:
    """Every row of a family, for every build that makes the call in a way of its own.

    With options, some: calls that are answered alike differ in how they are heard of alone.
    """
    found = [
        pytest.param(build, row, id=f"{build}-{row.name}-{row.number(BUILDS[build].abi)}")
        for build in COMPARED
        for row in harness.rows_of(BUILDS[build].abi, family)
        if build not in LIBC_BUILDS or has_function(row)
    ]
    return found[:: max(1, len(found) // harness.examples(len(found)))]


def operation_rows(family: str, *operations: str) -> list[Any]:
    """The same, of some operations of a family."""
    return [case for case in table_rows(family) if case.values[1].operation in operations]


LONG_NAME = "n" * (NAME_MAX + 1)
LONGEST_PATH = "./" * ((PATH_MAX - 1 - len("file")) // 2) + "/" + "file"
assert len(LONGEST_PATH) == PATH_MAX - 1

PLAIN_PATHS = (
    *TREE,
    "dirlink/inside", "dirlink/", "dir/", "dir/.", "dir/..", "dir//inside", "./file", "file/",
    "file/x", "file/.", "link/", "link/x", "loop/x", "dangling/", "dangling/x", "fifo/", "..", "/",
    "//", "missing", "missing/", "missing/x", "", LONG_NAME, "n" * NAME_MAX, f"dir/{LONG_NAME}",
    f"missing/{LONG_NAME}", f"{LONG_NAME}/x", LONGEST_PATH, "./" * 2048 + "file", "x" * 8000,
)  # fmt: skip

POINTERS = (
    *BAD_POINTERS,
    unterminated("file"),
    unterminated(""),
    unterminated("x" * 5000),
    across_pages("file"),
    across_pages(LONGEST_PATH),
)

AT_FLAGS = (
    0, AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
    0x2000, 0x4000, 0x6000, 1, AT_REMOVEDIR, 0x400, 0x8000, 0x8000_0000, garbled(0),
    garbled(AT_SYMLINK_NOFOLLOW), garbled(AT_EMPTY_PATH),
)  # fmt: skip


def paths_of_own_process(file: int, directory: int) -> list[str]:
    """Paths that mean another file in another process."""
    return [
        "/proc/self/cwd", "/proc/self/cwd/file", "/proc/self/cwd/dir/../link",
        "/proc/thread-self/cwd/file", "/proc/self/root/proc/self/cwd/file", "/proc/self/exe",
        f"/proc/self/fd/{file}", f"/proc/self/fd/{directory}", f"/proc/self/fd/{directory}/inside",
        f"/proc/self/fd/{file}/x", f"/proc/self/fd/{directory}/..", f"/dev/fd/{file}",
        f"/dev/fd/{directory}/inside", f"/proc/thread-self/fd/{file}", "/dev/stdin", "/dev/fd/0",
        "/proc/self/fd/777", "/dev/fd/777", "/proc/self/fd/0", "/proc/self/missing", "/proc/self",
        f"/proc/self/task/../fd/{file}", f"/proc/../proc/self/fd/{file}", "//proc//self//cwd/file",
        f"/./proc/self/fd/{file}", f"/dev/../dev/fd/{file}", f"/dev/./fd/{file}",
    ]  # fmt: skip


def descriptors(pair: Pair) -> dict[str, int]:
    """Descriptors of every kind, the same numbers on both sides."""
    kinds = {
        "file": pair.open("file"),
        "dir": pair.open("dir", os.O_DIRECTORY),
        "path to file": pair.open("file", O_PATH),
        "path to dir": pair.open("dir", O_PATH),
        "path to link": pair.open("link", O_PATH | os.O_NOFOLLOW),
        "path to fifo": pair.open("fifo", O_PATH),
        "fifo": pair.open("fifo", os.O_RDWR),
    }
    pair.prepare([("mkdirat", AT_FDCWD, "removed", 0o755)])
    kinds["removed dir"] = pair.open("removed", os.O_DIRECTORY)
    kinds["removed file"] = pair.open("removed/file", os.O_CREAT | os.O_RDWR)
    kinds["path to removed file"] = pair.open("removed/file", O_PATH)
    pair.prepare(
        [
            ("fchownat", AT_FDCWD, "removed/file", 31, 32, 0),
            ("fchownat", AT_FDCWD, "removed", 3, 4, 0),
        ]
    )
    pair.prepare([("unlink", "removed/file"), ("rmdir", "removed")])
    for kind, open_both in (("pipe", Session.pipe), ("socket", Session.socketpair)):
        real, fake = open_both(pair.real), open_both(pair.fake)
        assert real == fake
        kinds[kind] = real[0]
    kinds["epoll"] = pair.ok("epoll_create1", 0)
    kinds |= {"closed": 777, "minus one": -1, "huge": 0x7FFF_FFFF, "AT_FDCWD": AT_FDCWD}
    kinds |= {"garbled file": garbled(kinds["file"]), "garbled AT_FDCWD": garbled(AT_FDCWD)}
    return kinds


def adorn(pair: Pair) -> None:
    """Gives the tree attributes that only root can give."""
    pair.prepare(
        [
            ("mknod", "null", stat.S_IFCHR | 0o666, encode_device(1, 3)),
            ("mknod", "disk", stat.S_IFBLK | 0o660, encode_device(259, 70000)),
            ("fchownat", AT_FDCWD, "disk", 0, 6, 0),
            ("fchownat", AT_FDCWD, "file", 1001, 1002, 0),
            ("fchownat", AT_FDCWD, "dir/inside", 70001, 70002, 0),
            ("fchownat", AT_FDCWD, "dir", 1003, 1004, 0),
            ("fchownat", AT_FDCWD, "link", 1005, 1006, AT_SYMLINK_NOFOLLOW),
            ("fchownat", AT_FDCWD, "fifo", 1007, -1, 0),
            ("fchownat", AT_FDCWD, "socket", -1, 1008, 0),
            ("fchmodat", AT_FDCWD, "tool", 0o6755),
            ("fchmodat", AT_FDCWD, "other", 0),
            ("fchmodat", AT_FDCWD, "empty", 0o3000),
        ]
    )


WITH_NODES = (*TREE, "null", "disk")
"""The tree, once it is adorned."""


def share_capabilities(pair: Pair) -> None:
    """Takes from fake root the capabilities that real root has not, in a container, say."""
    header = Token("s:" + (struct.pack("<Ii", 0x2008_0522, 0) + b"!").hex())
    told = pair.real.call("capget", header, buffer(24)).buffers[1]
    low, _, _, high, _, _ = struct.unpack("<6I", told)
    held = low | high << 32
    for number in range(64):
        bounded = pair.real.call("prctl", 23, number, 0, 0, 0)
        if bounded.outcome == "0":
            pair.fake.ok("prctl", 24, number, 0, 0, 0)
    if held != 2**41 - 1:
        pair.fake.ok("capset", header, Token("s:" + (told + b"!").hex()))
