# SPDX-License-Identifier: Apache-2.0
"""What new files look like, for real root and for fake root."""

from __future__ import annotations

import itertools
import os
import stat
import struct
from typing import Any

import harness
import pytest
from differential import COMPARED, Pair, PairOf, adorn, arguments, operation_rows
from harness import AT_EMPTY_PATH, AT_FDCWD, BAD_POINTERS, LIBC_BUILDS, Token, garbled
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakeroot_sc.syscalls.row import Abi, Syscall

pytestmark = pytest.mark.root

RAW = [build for build in COMPARED if build not in LIBC_BUILDS]
O_TMPFILE = 0o20200000
O_LARGEFILE = 0o100000
MODES = (0o666, 0o644, 0o600, 0o400, 0o200, 0, 0o755, 0o4755, 0o2755, 0o2644, 0o6711, 0o1666)
UMASKS = (0o22, 0, 0o77, 0o277, 0o777)
NAMES = ("new", "setgid/new", "shared/new")


def wide(pair: Pair) -> str:
    return "32" if pair.abi is Abi.I386 else ""


def who(pair: Pair) -> list[list[tuple[Any, ...]]]:
    """Calls that make of root who it is that creates."""
    w = wide(pair)
    return [
        [],
        [("setresgid" + w, 50, 50, 50), ("setresuid" + w, 1000, 1000, 1000)],
        [("setfsuid" + w, 7)],
        [("setfsgid" + w, 8)],
        [
            ("setgroups" + w, 1, Token("s:" + (struct.pack("<I", 60) + b"!").hex())),
            ("setresuid" + w, 1000, 1000, 1000),
        ],
    ]


def prepare(pair: Pair) -> None:
    """A set-group-ID directory, one open to all, and links that lead to nothing."""
    pair.prepare(
        [
            ("umask", 0),
            ("chmod", ".", 0o777),
            ("mkdirat", AT_FDCWD, "setgid", 0o777),
            ("fchownat", AT_FDCWD, "setgid", 5, 60, 0),
            ("chmod", "setgid", 0o2777),
            ("mkdirat", AT_FDCWD, "shared", 0o777),
            ("mkdirat", AT_FDCWD, "shared/inner", 0o777),
            ("symlinkat", "shared/leads", AT_FDCWD, "leads"),
            ("symlinkat", "inner/far", AT_FDCWD, "shared/leads"),
            ("umask", 0o22),
        ]
    )


def in_child(pair: Pair, leave: list[tuple[Any, ...]], calls: list[tuple[Any, ...]]) -> None:
    """Makes calls in a child that has left root; root looks at what has come of them."""
    for side in (pair.real, pair.fake):
        side.go_on_in_child()
    pair.prepare(leave)
    pair.compare(calls)
    for side in (pair.real, pair.fake):
        side.go_on_in_parent()


def clear(pair: Pair, *names: str) -> None:
    pair.compare([*pair.looks(names), *(("unlink", name) for name in names)])


@pytest.mark.parametrize(
    ("build", "row"),
    operation_rows("creations", "open", "mkdir", "symlink", "mknod"),
)
def test_new_files_are_those_of_who_makes_them(build: str, row: Syscall, pair_of: PairOf) -> None:
    if row.name == "openat2":
        return
    creates = os.O_CREAT | os.O_WRONLY | os.O_EXCL
    with pair_of(build) as pair:
        prepare(pair)
        for leave in who(pair):
            for name, mask in itertools.product(NAMES, UMASKS):
                for mode in MODES:
                    call = arguments(
                        row, dirfd=AT_FDCWD, path=name, open_flags=creates, mode=mode,
                        link_target="where", dev=0x105,
                    )  # fmt: skip
                    if row.operation == "mknod":
                        call = arguments(
                            row, dirfd=AT_FDCWD, path=name, mode=stat.S_IFIFO | mode, dev=0
                        )
                    in_child(pair, leave, [("umask", mask), call])
                    pair.compare([*pair.looks([name]), ("unlink", name), ("rmdir", name)])
                    if row.operation == "symlink":
                        break


@pytest.mark.parametrize("build", COMPARED)
def test_what_is_there_is_opened_as_for_real_root(build: str, pair_of: PairOf) -> None:
    flags = (
        os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_CREAT | os.O_TRUNC | os.O_WRONLY,
        os.O_CREAT | os.O_NOFOLLOW, os.O_CREAT | os.O_DIRECTORY, os.O_CREAT | os.O_PATH,
        os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC,
        os.O_CREAT | os.O_NONBLOCK | os.O_WRONLY,
    )  # fmt: skip
    paths = (
        "file", "dir", "dir/", "link", "dangling", "leads", "loop", "missing/", "missing/x", "new",
        "fifo", "socket", "", ".", "..", "/", "dirlink/made", "file/x", "new/", "n" * 256,
        "/proc/self/cwd/made", "./made", *BAD_POINTERS,
    )  # fmt: skip
    with pair_of(build) as pair:
        adorn(pair)
        prepare(pair)
        made = ["new", "missing", "shared/inner/far", "dir/made", "made"]
        for mode, path in itertools.product((0o644, 0), paths):
            for flag in flags:
                if path in ("fifo", "socket") and not flag & (os.O_NONBLOCK | os.O_EXCL):
                    continue
                result = pair.both("openat", AT_FDCWD, path, flag, mode)
                if result >= 0:
                    pair.prepare([("close", result)])
                clear(pair, *made)
        pair.compare(pair.looks())


@pytest.mark.parametrize("build", COMPARED)
def test_a_new_file_s_descriptor_is_as_it_was_asked_for(build: str, pair_of: PairOf) -> None:
    with pair_of(build) as pair:
        prepare(pair)
        for flag in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_APPEND, os.O_RDWR | os.O_CLOEXEC):
            number = pair.both("openat", AT_FDCWD, "new", flag | os.O_CREAT | O_LARGEFILE, 0)
            assert number >= 0
            pair.compare([("fcntl", number, command, 0) for command in (1, 3)])
            pair.prepare([("close", number), ("unlink", "new")])


@pytest.mark.parametrize("build", COMPARED)
def test_nameless_files_are_those_of_who_makes_them(build: str, pair_of: PairOf) -> None:
    with pair_of(build) as pair:
        prepare(pair)
        fstat = ("fstat", 144) if pair.abi is Abi.X86_64 else ("fstat64", 96)
        for directory, mode in itertools.product((".", "setgid"), (0o644, 0, 0o2755)):
            number = pair.both("openat", AT_FDCWD, directory, O_TMPFILE | os.O_RDWR, mode)
            assert number >= 0
            pair.compare([(fstat[0], number, Token(f"c:{fstat[1]:x}"))])
            path = f"/proc/self/fd/{number}"
            pair.compare([("linkat", AT_FDCWD, path, AT_FDCWD, "new", 0x400)])
            pair.prepare([("close", number)])
            clear(pair, "new")


@pytest.mark.parametrize("build", COMPARED)
def test_sockets_files_are_those_of_who_binds_them(build: str, pair_of: PairOf) -> None:
    def address(path: bytes) -> Token:
        return Token("s:" + (b"\x01\0" + path + b"!").hex())

    with pair_of(build) as pair:
        prepare(pair)
        for leave, name, mask in itertools.product(who(pair), NAMES, (0o22, 0o777)):
            path = name.encode()
            in_child(
                pair,
                [*leave, ("umask", mask)],
                [
                    ("socket", 1, 1, 0),
                    ("bind", 3, address(b"missing/x"), 11),
                    ("bind", 3, address(b"file\0"), 7),
                    ("bind", 3, address(path + b"\0"), len(path) + 3),
                    ("bind", 3, address(path), len(path) + 2),
                    ("socket", 1, 1, 0),
                    ("bind", 4, address(path), 200),
                    ("bind", 4, 1, 8),
                    ("bind", 777, address(path), 8),
                ],
            )
            clear(pair, name)


@pytest.mark.parametrize("build", RAW)
def test_openat2_creates_as_for_real_root(build: str, pair_of: PairOf) -> None:
    def how(flags: int, mode: int, resolve: int = 0) -> Token:
        return Token("s:" + (struct.pack("<QQQ", flags, mode, resolve) + b"!").hex())

    creates = os.O_CREAT | os.O_WRONLY
    no_xdev, no_magiclinks, no_symlinks, beneath, in_root, cached = 1, 2, 4, 8, 16, 32
    restricted = (
        0, no_xdev, no_magiclinks, no_symlinks, beneath, in_root, cached, 1 << 10,
        no_symlinks | beneath, no_xdev | in_root, beneath | in_root,
    )  # fmt: skip
    paths = (
        "new", "setgid/new", "shared/../setgid/new", "up/setgid/new", "../below/new", "setgid",
        "new/", ".", "", "file/x", "missing/x", "shared/leads/new", "/proc/self/cwd/new",
        "/setgid/new", "setgid/", *BAD_POINTERS,
    )  # fmt: skip
    with pair_of(build) as pair:
        prepare(pair)
        pair.prepare([("symlinkat", ".", AT_FDCWD, "up")])
        base = pair.open("setgid", os.O_PATH)
        for leave, path, resolve in itertools.product(who(pair)[:3], paths, restricted):
            for mode, directory in ((0o644, AT_FDCWD), (0, AT_FDCWD), (0o4755, base), (1 << 20, 7)):
                in_child(
                    pair, leave, [("openat2", directory, path, how(creates, mode, resolve), 24)]
                )
                clear(pair, "new", "setgid/new", "setgid/setgid")
            nameless = how(O_TMPFILE | os.O_WRONLY, 0, resolve)
            number = pair.both("openat2", AT_FDCWD, path, nameless, 24)
            if number >= 0:
                pair.compare([("linkat", number, "", AT_FDCWD, "new", AT_EMPTY_PATH)])
                pair.prepare([("close", number)])
                clear(pair, "new")
        for size, mode in itertools.product((24, 25, 32), (0, 0o644)):
            pair.compare([("openat2", AT_FDCWD, "new", how(creates, mode), size)])
            clear(pair, "new")
        for size in (0, 8, 23, 24, 25, 4096, 5000):
            pair.compare([("openat2", AT_FDCWD, "missing/x", how(creates, 0), size)])
        pair.compare([("openat2", AT_FDCWD, "missing/x", bad, 24) for bad in BAD_POINTERS])
        pair.compare([("openat2", AT_FDCWD, "missing/x", how(0, 0o644), garbled(24))])


names = st.sampled_from(["a", "b", "d/x", "d/y", "e/z", "n", "l"])
operations = st.one_of(
    st.tuples(st.just("openat"), st.just(AT_FDCWD), names,
              st.sampled_from([0o101, 0o301, 0o1101, 0o400101]), st.sampled_from(MODES)),
    st.tuples(st.just("mkdirat"), st.just(AT_FDCWD), names,
              st.sampled_from([0o777, 0o755, 0o1770])),
    st.tuples(st.just("mknod"), names, st.sampled_from([0o100644, 0o20600]), st.just(259)),
    st.tuples(st.just("symlinkat"), names, st.just(AT_FDCWD), names),
    st.tuples(st.just("chmod"), st.sampled_from(["d", "e", "n"]), st.sampled_from([0o2777, 0o777])),
    st.tuples(st.just("fchownat"), st.just(AT_FDCWD), st.sampled_from(["d", "e", "n"]),
              st.just(-1), st.sampled_from([0, 60]), st.just(0)),
    st.tuples(st.just("unlink"), names),
    st.tuples(st.just("rename"), names, names),
    st.tuples(st.just("umask"), st.sampled_from(UMASKS)),
)  # fmt: skip


@pytest.mark.parametrize("build", RAW)
@settings(
    max_examples=harness.examples(40),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(operations, min_size=3, max_size=25))
@example(steps=[("chmod", "d", 0o2777), ("fchownat", AT_FDCWD, "d", -1, 60, 0),
                ("mkdirat", AT_FDCWD, "d/y", 0o755), ("rename", "d/y", "n")])  # fmt: skip
def test_any_sequence_of_creations_agrees(
    build: str, pair_of: PairOf, steps: list[tuple[Any, ...]]
) -> None:
    few = ("a", "b", "d", "d/x", "d/y", "e", "e/z", "l", "n")
    with pair_of(build) as pair:
        pair.prepare([("mkdirat", AT_FDCWD, name, 0o777) for name in ("d", "e")])
        for step in steps:
            if step[0] == "openat":
                number = pair.both(*step)
                if number >= 0:
                    pair.prepare([("close", number)])
            else:
                pair.compare([step])
            pair.compare(pair.looks(few))
