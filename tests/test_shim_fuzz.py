# SPDX-License-Identifier: Apache-2.0
"""What a program with the shim sees and does is what one without it sees and does.

Two processes of one run call in turn, on the same few files: one by the functions of its
C library, which the shim stands in for, one by system calls that all trap.  After every
call both look at everything, in many ways, and must see the same; and a call that fails
for one must fail for the other.  A third process, in a run of its own, repeats it all by
system calls and must get the same.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
from conftest import Probes
from harness import (
    AT_EACCESS,
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_REMOVEDIR,
    AT_SYMLINK_NOFOLLOW,
    FEW,
    LIBC_BUILDS,
    STATX_BASIC,
    STATX_BTIME,
    Result,
    Session,
    buffer,
    encode_device,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakeroot_sc.syscalls.row import Abi

PATIENCE = 120 * int(harness.TIMES or 1) + 300
"""Seconds: 300 are what hypothesis takes at the most to make a failing example shorter."""

Call = tuple[Any, ...]

LIBRARY, KERNEL = 0, 1
"""The two processes."""

WAYS = 5
"""Into how many turns the ways to look are divided."""

GO_ON_MOST = 3
"""Times that processes go on in a child or a thread: each leaves somebody waiting."""

# Descriptors of both: the directory, and what the step "hold" opens.
HERE, MERE_PATH, OPEN = 61, 62, 63
O_LARGEFILE = 0o100000

ON_I386 = {
    "stat": "stat64", "lstat": "lstat64", "fstat": "fstat64", "newfstatat": "fstatat64",
    "chown": "chown32", "lchown": "lchown32", "fchown": "fchown32",
    "getuid": "getuid32", "geteuid": "geteuid32", "getresuid": "getresuid32",
    "getgid": "getgid32", "getegid": "getegid32", "getresgid": "getresgid32",
    "getgroups": "getgroups32",
}  # fmt: skip
"""What a call is named there, in its form with 32-bit ids and 64-bit sizes."""

UNSTEADY = {"atime", "atime_ns", "pad", "pad3", "short_ino"}
"""Fields that may differ between two looks, or that a C library does not fill."""


class Trio:
    """The two processes, and a third that repeats what they do, in a run and a tree of its own.

    It tells whether a change was right, which two who look at the same cannot.
    """

    def __init__(self, pair: list[Session], third: Session) -> None:
        self.pair = pair
        self.third = third
        self.i386 = third.abi is Abi.I386
        self.gone_on = 0
        self.turn = 0
        self.looks = [self.named(look) for look in looks(96 if self.i386 else 144)]
        self.few_looks = [look for look in self.looks if look[0].startswith(("lstat", "fstat"))]
        for session in (*pair, third):
            session.ok("dup3", session.open("."), HERE, 0)
        self.hold("d")

    def named(self, call: Call) -> Call:
        return (ON_I386.get(call[0], call[0]), *call[1:]) if self.i386 else call

    def hold(self, name: str) -> None:
        """All open a file, in two ways, as far as it can be opened."""
        path_only = os.O_PATH | os.O_NOFOLLOW
        readable = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | O_LARGEFILE
        for flags, number in ((path_only, MERE_PATH), (readable, OPEN)):
            outcomes = set()
            for session in (*self.pair, self.third):
                result = session.call("openat", AT_FDCWD, name, flags, 0)
                outcomes.add(result.error)
                if result.error == 0:
                    session.ok("dup3", result.value, number, 0)
                    session.ok("close", result.value)
            assert len(outcomes) == 1, f"open {name}: {outcomes}"

    def step(self, actor: int, call: Call) -> None:
        """One of the two does something, and the third repeats it."""
        if call[0] == "hold":
            self.hold(call[1])
        elif call[0] == "create":
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | O_LARGEFILE
            self._act(actor, ("openat", AT_FDCWD, call[1], flags, call[2]))
        elif call[0].startswith("go on"):
            self.gone_on += 1
            if self.gone_on <= GO_ON_MOST:
                session, in_child = self.pair[actor], call[0] == "go on in child"
                (session.go_on_in_child if in_child else session.go_on_in_thread)()
        else:
            self._act(actor, self.named(call))

    def _act(self, actor: int, call: Call) -> None:
        first = self.pair[actor].call(*call)
        who = [self.third]
        if first.error:  # and has changed nothing
            who.append(self.pair[1 - actor])
        for session in who:
            again = session.call(*call)
            assert again.outcome == first.outcome, f"{first.call}: {first.outcome} but {again}"
            if call[0] == "openat" and again.error == 0:
                session.ok("close", again.value)
        if call[0] == "openat" and first.error == 0:
            self.pair[actor].ok("close", first.value)

    def compare(self, done: object) -> None:
        """All look at all files, in one of several ways in each turn."""
        chosen = self.looks[self.turn % WAYS :: WAYS]
        self.turn += 1
        always = [*self.few_looks, *LISTING]
        library, kernel = (session.calls([*chosen, *always]) for session in self.pair)
        third = self.third.calls(always)
        differing = [
            f"{one.call}: {seen(one)} by the library, {seen(other)} by the kernel"
            for one, other in zip(library, kernel, strict=True)
            if seen(one) != seen(other)
        ]
        differing += [
            f"{one.call}: {common(one)}, but {common(other)} where all is done by system calls"
            for one, other in zip(kernel[len(chosen) :], third, strict=True)
            if common(one) != common(other)
        ]
        assert not differing, f"after {done}:\n" + "\n".join(differing)


def looks(size: int) -> Iterator[Call]:
    """Calls that look at every file; of every WAYS of them one is made in a turn."""
    statx = STATX_BASIC | STATX_BTIME
    for name in FEW:
        yield "stat", name, buffer(size)
        yield "lstat", name, buffer(size)
        yield "newfstatat", HERE, name, buffer(size), 0
        yield "newfstatat", AT_FDCWD, name, buffer(size), AT_SYMLINK_NOFOLLOW
        yield "statx", HERE, name, AT_SYMLINK_NOFOLLOW, statx, buffer(256)
        yield "faccessat2", AT_FDCWD, name, os.X_OK, AT_EACCESS
        yield "access", name, os.R_OK | os.X_OK
        yield "faccessat", HERE, name, os.W_OK
        yield "faccessat2", HERE, name, os.F_OK, AT_SYMLINK_NOFOLLOW
    for fd in (HERE, MERE_PATH, OPEN):
        yield "fstat", fd, buffer(size)
        yield "newfstatat", fd, "", buffer(size), AT_EMPTY_PATH
        yield "statx", fd, "", AT_EMPTY_PATH, STATX_BASIC, buffer(256)
    for name in ("getuid", "geteuid", "getgid", "getegid"):
        yield (name,)
    for name in ("getresuid", "getresgid"):
        yield name, buffer(4), buffer(4), buffer(4)
    for fd in (HERE, MERE_PATH, OPEN):
        yield "faccessat2", fd, "", os.R_OK | os.W_OK | os.X_OK, AT_EMPTY_PATH
    yield "getgroups", 4, buffer(16)


LISTING: tuple[Call, ...] = (
    ("lseek", HERE, 0, os.SEEK_SET),
    ("getdents64", HERE, buffer(1024), 1024),
)


def seen(result: Result) -> object:
    """What must be the same for two who look at the same files."""
    if result.error or not result.intact:
        return result.outcome, result.intact
    if result.call.startswith("getdents64"):
        return sorted(entries(result))
    if result.variant:
        shown = result.attributes
        return {name: value for name, value in shown.items() if name not in UNSTEADY}
    return result.outcome, result.buffers


def common(result: Result) -> object:
    """What must be the same for those who look at files of their own."""
    if result.call.startswith("getdents64"):
        return sorted((name, kind) for name, kind, _ in entries(result))
    return result.comparable()


def entries(result: Result) -> Iterator[tuple[bytes, int, int]]:
    """Name, type and inode number of each struct linux_dirent64."""
    data = result.buffers[1][: result.value]
    while data:
        inode, _, length, kind = struct.unpack_from("=QqHB", data)
        yield data[19:length].partition(b"\0")[0], kind, inode
        data = data[length:]


names = st.sampled_from(FEW)
ids = st.sampled_from([-1, 0, 5, 65534, 65536, 2**31])
modes = st.sampled_from([0, 0o644, 0o755, 0o4755, 0o2711, 0o1777]) | st.integers(0, 0o7777)
types = st.sampled_from([stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
nodes = st.builds(lambda kind, mode: kind | mode, types, modes)
devices = st.sampled_from([encode_device(1, 3), encode_device(259, 70000)])
flags = st.sampled_from([0, AT_SYMLINK_NOFOLLOW])
bases = st.sampled_from([AT_FDCWD, HERE])


def calling(name: str, *arguments: Any) -> st.SearchStrategy[Call]:
    """A call whose arguments are given or drawn."""
    drawn = (a if isinstance(a, st.SearchStrategy) else st.just(a) for a in arguments)
    return st.tuples(st.just(name), *drawn)


operations = st.one_of(
    calling("chown", names, ids, ids),
    calling("lchown", names, ids, ids),
    calling("fchown", OPEN, ids, ids),
    calling("fchownat", bases, names, ids, ids, flags),
    calling("fchownat", MERE_PATH, "", ids, ids, AT_EMPTY_PATH),
    calling("chmod", names, modes),
    calling("fchmod", OPEN, modes),
    calling("fchmodat", bases, names, modes),
    calling("mknod", names, nodes, devices),
    calling("mknodat", bases, names, nodes, devices),
    calling("create", names, modes),
    calling("mkdirat", bases, names, modes),
    calling("symlinkat", names, bases, names),
    calling("linkat", bases, names, bases, names, 0),
    calling("unlink", names),
    calling("unlinkat", bases, names, st.sampled_from([0, AT_REMOVEDIR])),
    calling("rmdir", names),
    calling("rename", names, names),
    calling("renameat", bases, names, bases, names),
    calling("renameat2", bases, names, bases, names, st.sampled_from([0, 1, 2])),
    calling("hold", names),
    calling("hold", names),
    st.sampled_from([("go on in child",), ("go on in thread",)]),
)
actors = st.sampled_from([LIBRARY, LIBRARY, KERNEL])
scripts = st.lists(st.tuples(actors, operations), min_size=5, max_size=25)


def agree(build: str, probes: Probes, script: list[tuple[int, Call]], *options: str) -> None:
    """Runs a script, with a look after each of its steps."""
    library = probes(build)
    kernel = probes("x86-64-static" if library.abi is Abi.X86_64 else "i386-static")
    place = Path(tempfile.mkdtemp(prefix="fsc-fuzz-"))
    here, elsewhere = place / "here", place / "elsewhere"
    try:
        for directory in (here, elsewhere):
            directory.mkdir()
            harness.populate_few(directory)
        with (
            harness.sessions_of_one_run([library, kernel], here, *options) as pair,
            kernel.session(elsewhere, *options) as third,
        ):
            trio = Trio(pair, third)
            trio.compare("the start")
            for actor, call in script:
                trio.step(actor, call)
                trio.compare((actor, call))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def bounded(examples: int) -> settings:
    return settings(
        max_examples=harness.examples(examples),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


FORMS = [name for name in LIBC_BUILDS if name not in ("x86-64-libc", "i386-libc")]

# A file's last link goes while it is open; its inode number comes back for another file.
REUSED = [
    (LIBRARY, ("hold", "d/x")),
    (LIBRARY, ("chown", "d/x", 5, 6)),
    (KERNEL, ("chmod", "d/x", 0o4711)),
    (KERNEL, ("unlink", "d/x")),
    (LIBRARY, ("fchown", OPEN, 7, -1)),
    (LIBRARY, ("hold", "e")),
    (KERNEL, ("create", "d/y", 0o600)),
    (LIBRARY, ("lchown", "d/y", 8, 9)),
    (LIBRARY, ("unlink", "d/y")),
    (LIBRARY, ("mknod", "n", stat.S_IFCHR | 0o640, encode_device(1, 3))),
    (KERNEL, ("unlink", "n")),
    (KERNEL, ("create", "n", 0)),
]

# One of two hard links is renamed over, names change places, directories come and go.
MOVED = [
    (KERNEL, ("chown", "b", 5, 6)),
    (LIBRARY, ("hold", "a")),
    (LIBRARY, ("rename", "d/x", "a")),
    (LIBRARY, ("rename", "a", "b")),
    (LIBRARY, ("mknodat", HERE, "n", stat.S_IFBLK | 0o4755, encode_device(259, 70000))),
    (KERNEL, ("renameat2", HERE, "n", AT_FDCWD, "d", 2)),
    (LIBRARY, ("renameat2", HERE, "n", AT_FDCWD, "e", 2)),
    (LIBRARY, ("chown", "n", 10, 11)),
    (LIBRARY, ("renameat", HERE, "e", HERE, "n")),
    (KERNEL, ("unlinkat", HERE, "n", AT_REMOVEDIR)),
    (LIBRARY, ("mkdirat", HERE, "e", 0o700)),
    (KERNEL, ("go on in child",)),
    (LIBRARY, ("go on in thread",)),
    (LIBRARY, ("rmdir", "e")),
]


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("build", ["x86-64-libc", "i386-libc"])
@bounded(30)
@given(script=scripts, options=st.sampled_from([(), ("-u",)]))
@example(script=REUSED, options=())
@example(script=MOVED, options=())
def test_functions_and_system_calls_see_and_do_the_same(
    build: str, probes: Probes, script: list[tuple[int, Call]], options: tuple[str, ...]
) -> None:
    agree(build, probes, script, *options)


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("build", FORMS)
@bounded(4)
@given(script=scripts)
@example(script=REUSED)
@example(script=MOVED)
def test_other_forms_of_the_functions_see_and_do_the_same(
    build: str, probes: Probes, script: list[tuple[int, Call]]
) -> None:
    agree(build, probes, script)
