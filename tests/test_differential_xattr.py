# SPDX-License-Identifier: Apache-2.0
"""Extended attributes, for real root and for fake root."""

from __future__ import annotations

import itertools
import os
import struct
from typing import Any

import harness
import pytest
from differential import (
    COMPARED,
    POINTERS,
    WITH_NODES,
    Pair,
    PairOf,
    adorn,
    arguments,
    descriptors,
    operation_rows,
    table_rows,
)
from harness import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    BAD_POINTERS,
    BUILDS,
    LIBC_BUILDS,
    Token,
    buffer,
    garbled,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakeroot_sc.syscalls.row import Abi, Syscall

pytestmark = pytest.mark.root

RAW = [build for build in COMPARED if build not in LIBC_BUILDS]
NODES = ("file", "dir", "link", "fifo", "socket", "null", "disk", "tool")
CAPABILITY = struct.pack("<IIIII", 0x0200_0001, 0x2400, 0, 0, 0)
FOR_ROOT = struct.pack("<IIIIII", 0x0300_0001, 0x2400, 0, 0, 0, 0)
FOR_OTHER = struct.pack("<IIIIII", 0x0300_0000, 0x2400, 0, 0, 0, 1000)


def acl(*entries: tuple[int, int, int]) -> bytes:
    """struct posix_acl_xattr_header and its entries: tag, permissions, id."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


def usual_acl(owner: int, user: int, group: int, mask: int, other: int) -> bytes:
    return acl((1, owner, -1), (2, user, 1000), (4, group, -1), (16, mask, -1), (32, other, -1))


MODE_ACL = acl((1, 6, -1), (4, 4, -1), (32, 4, -1))
ODD_ACLS = [
    acl(),
    struct.pack("<I", 3) + MODE_ACL[4:],
    b"junkjunkjunk",
    acl((32, 4, -1), (4, 4, -1), (1, 6, -1)),
    acl((1, 6, -1), (4, 4, -1)),
    acl((1, 6, -1), (1, 6, -1), (4, 4, -1), (32, 4, -1)),
    acl((1, 6, -1), (2, 4, 7), (2, 4, 5), (2, 4, 5), (4, 4, -1), (16, 6, -1), (32, 4, -1)),
    acl((1, 6, -1), (4, 4, -1), (8, 5, 9), (32, 4, -1)),
    acl((1, 6, -1), (4, 4, -1), (8, 5, 9), (16, 5, -1), (32, 4, -1)),
    acl((1, 6, -1), (2, 4, -1), (4, 4, -1), (16, 6, -1), (32, 4, -1)),
    acl((1, 8, -1), (4, 4, -1), (32, 4, -1)),
    acl((1, 6, 5), (4, 4, 6), (32, 4, 7)),
    acl((0, 6, -1), (4, 4, -1), (32, 4, -1)),
]
"""What posix_acl_from_xattr() and posix_acl_valid() think of, and little else does."""

VALUES: dict[str, list[bytes]] = {
    "user.one": [b"value", b"", b"x" * 3000],
    "trusted.one": [b"value", b""],
    "security.one": [b"value"],
    "security.selinux": [b"system_u:object_r:etc_t:s0\0"],
    "security.capability": [CAPABILITY, FOR_ROOT, FOR_OTHER, b"short", CAPABILITY + b"four", b""],
    "system.posix_acl_access": [
        usual_acl(6, 7, 4, 6, 4), usual_acl(0, 2, 7, 7, 0), MODE_ACL, b"x", MODE_ACL[:-8], b"",
        acl((1, 6, -1), (2, 6, 5), (4, 4, -1), (32, 4, -1)), acl((4, 6, -1), (1, 4, -1)),
        *ODD_ACLS,
    ],
    "system.posix_acl_default": [usual_acl(7, 5, 5, 7, 0), MODE_ACL, b"", b"xyz", *ODD_ACLS],
    "system.other": [b"x"], "other.one": [b"x"], "user.": [b"x"], "user": [b"x"],
    "user.with.": [b"x", b""], "user..": [b"x"], "other.": [b"x"],
    "system.posix_acl_access.": [b"x"],
    "security.": [b"x"], "trusted.": [b"x"], "u" * 255: [b"x"],
}  # fmt: skip


def raw(data: bytes) -> Token:
    """Bytes that are there; one more follows."""
    return Token("s:" + (data + b"!").hex())


def shows(names: tuple[str, ...] = NODES) -> list[tuple[Any, ...]]:
    """Calls that tell every attribute."""
    return [
        *(
            ("lgetxattr", name, attribute, buffer(3100), 3100)
            for name in names
            for attribute in VALUES
        ),
        *(("llistxattr", name, 0, 0) for name in names),
    ]


def wide(pair: Pair) -> str:
    return "32" if pair.abi is Abi.I386 else ""


def give(pair: Pair) -> None:
    """Attributes of every kind on every kind of file."""
    pair.compare(
        ("lsetxattr", name, attribute, raw(values[0]), len(values[0]), 0)
        for name in NODES
        for attribute, values in VALUES.items()
    )


def packed(pair: Pair, row: Syscall, **values: Any) -> tuple[Any, ...]:
    """A call; that of an *at form takes some of its arguments from memory."""
    del pair
    if "xattr_args" in row.arguments:
        # An address cannot be put into memory by a script: without a value alone.
        values["xattr_args"] = raw(struct.pack("<QII", 0, 0, values["xattr_flags"]))
        values["size"] = 16
    return arguments(row, **values)


@pytest.mark.parametrize(("build", "row"), operation_rows("xattr", "setxattr"))
def test_setting_does_what_it_does_for_real_root(build: str, row: Syscall, pair_of: PairOf) -> None:
    with pair_of(build) as pair:
        adorn(pair)
        fds = descriptors(pair)
        # Since Linux 6.13 some calls take AT_FDCWD.
        del fds["AT_FDCWD"], fds["garbled AT_FDCWD"]
        usual = {"dirfd": AT_FDCWD, "flags": AT_SYMLINK_NOFOLLOW, "fd": fds["file"]}
        for attribute, values in VALUES.items():
            for value, flags in itertools.product(values, (0, 1, 2, 3, 4)):
                calls = [
                    packed(
                        pair, row, **{**usual, "path": name, "fd": fds.get(name, fds["file"])},
                        xattr_name=attribute, value=raw(value), size=len(value),
                        xattr_flags=flags,
                    )
                    for name in (NODES if "path" in row.arguments else ("file", "dir", "fifo"))
                ]  # fmt: skip
                pair.compare([*calls, *pair.looks(NODES)])
        pair.compare(shows())
        strange = (0, 1, garbled(5), 65537, 2**31)
        pair.compare(
            packed(
                pair, row, **{**usual, "path": "file"}, xattr_name="trusted.two", value=place,
                size=size, xattr_flags=0,
            )
            for place, size in itertools.product((*BAD_POINTERS, raw(b"value")), strange)
            if size in (0, 65537) or place in BAD_POINTERS
        )  # fmt: skip
        names: tuple[Any, ...] = (*POINTERS, "", "user." + "n" * 250, "trusted." + "n" * 248)
        pair.compare(
            packed(
                pair, row, **{**usual, "path": "file"}, xattr_name=name, value=raw(b"v"), size=1,
                xattr_flags=0,
            )
            for name in names
        )  # fmt: skip
        if "path" in row.arguments:
            pair.compare(
                packed(
                    pair, row, **{**usual, "path": path}, xattr_name="trusted.x",
                    value=raw(b"v"), size=1, xattr_flags=0,
                )
                for path in (*POINTERS, "", "missing", "file/x", "loop/x", "n" * 256)
            )  # fmt: skip
        else:
            pair.compare(
                arguments(row, fd=fd, xattr_name="trusted.x", value=raw(b"v"), size=1,
                          xattr_flags=0)
                for fd in fds.values()
            )  # fmt: skip
        pair.compare(pair.looks(WITH_NODES))


@pytest.mark.parametrize(
    ("build", "row"), operation_rows("xattr", "getxattr", "listxattr", "removexattr")
)
def test_reading_and_removing_do_what_they_do_for_real_root(
    build: str, row: Syscall, pair_of: PairOf
) -> None:
    with pair_of(build) as pair:
        adorn(pair)
        give(pair)
        fds = descriptors(pair)
        # Since Linux 6.13 some calls take AT_FDCWD.
        del fds["AT_FDCWD"], fds["garbled AT_FDCWD"]
        usual: dict[str, Any] = {
            "dirfd": AT_FDCWD, "flags": AT_SYMLINK_NOFOLLOW, "path": "file", "fd": fds["file"],
            "xattr_name": "trusted.one", "value": buffer(3100), "size": 3100, "xattr_flags": 0,
        }  # fmt: skip
        removes = row.operation == "removexattr"
        if row.operation != "listxattr":
            names = (*VALUES, "trusted.none", "", "t" * 256, *POINTERS)
            for path in NODES:
                pair.compare(
                    packed(pair, row, **{**usual, "path": path, "xattr_name": name})
                    for name in names
                )
        pair.compare(shows())
        if not removes and "xattr_args" not in row.arguments:
            pair.compare(
                packed(pair, row, **{**usual, "value": place, "size": size})
                for place in (*BAD_POINTERS, buffer(8))
                for size in (0, 1, 4, 5, garbled(0), 70000)
                if size in (0, 1) or row.operation != "listxattr"
            )
        if "path" in row.arguments:
            paths = (*POINTERS, "", "missing", "file/x", "loop/x", "dirlink/inside", "dangling")
            pair.compare(packed(pair, row, **{**usual, "path": path, "size": 0}) for path in paths)
        else:
            pair.compare(packed(pair, row, **{**usual, "fd": fd, "size": 0}) for fd in fds.values())
        if "flags" in row.arguments:
            pair.compare(
                packed(pair, row, **{**usual, "dirfd": fd, "path": path, "flags": flags, "size": 0})
                for fd in (AT_FDCWD, fds["file"], fds["dir"], 777)
                for path in ("", "link", "inside")
                for flags in (0, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, 1, 0x200)
                if path or fd != AT_FDCWD
            )
        pair.compare([*shows(), *pair.looks(WITH_NODES)])


@pytest.mark.parametrize("build", COMPARED)
def test_attributes_follow_owner_mode_and_contents(build: str, pair_of: PairOf) -> None:
    changes: list[tuple[Any, ...]] = [
        ("fchownat", AT_FDCWD, "file", 5, 6, 0),
        ("fchownat", AT_FDCWD, "file", -1, -1, 0),
        ("fchownat", AT_FDCWD, "dir", 5, 6, 0),
        ("chmod", "file", 0o600),
        ("chmod", "file", 0o2751),
        ("chmod", "file", 0),
        ("truncate", "file", 3),
        ("rename", "file", "moved"),
        ("linkat", AT_FDCWD, "file", AT_FDCWD, "second", 0),
        ("mknod", "dir/new", 0o100666, 0),
        ("mkdirat", AT_FDCWD, "dir/below", 0o777),
        ("mknod", "dir/device", 0o020666, 0x103),
    ]
    with pair_of(build) as pair:
        for change in changes:
            pair.prepare(
                [
                    ("lsetxattr", name, attribute, raw(VALUES[attribute][0]),
                     len(VALUES[attribute][0]), 0)
                    for name, attribute in (
                        ("file", "security.capability"), ("file", "trusted.one"),
                        ("file", "system.posix_acl_access"), ("dir", "system.posix_acl_default"),
                        ("dir", "system.posix_acl_access"), ("dir", "security.capability"),
                    )
                ]
            )  # fmt: skip
            pair.compare([change])
            names = ("file", "moved", "second", "dir", "dir/new", "dir/below", "dir/device")
            pair.compare([*shows(names), *pair.looks(names)])
            pair.compare([("rename", "moved", "file"), ("unlink", "second"), ("unlink", "dir/new")])


@pytest.mark.parametrize("build", RAW)
def test_who_has_left_root_is_held_to_the_rules(build: str, pair_of: PairOf) -> None:
    with pair_of(build) as pair:
        give(pair)
        pair.prepare(
            [
                ("fchownat", AT_FDCWD, "tool", 1000, 1000, 0),
                ("chmod", "tool", 0o644),
                ("fchownat", AT_FDCWD, "other", 5, 1000, 0),
                ("chmod", "other", 0o640),
                ("chmod", "file", 0o666),
                ("setresuid" + wide(pair), 1000, 1000, 1000),
            ]
        )
        times = Token("s:" + ("01" + "00" * 31 + "21"))
        for name in ("file", "tool", "other"):
            for attribute, values in VALUES.items():
                # Up to SELinux; or refused anyway, for one reason or another.
                if attribute.partition(".")[0] not in ("user", "trusted", "security", "system"):
                    continue
                if attribute in ("security.selinux", "system.other", "user"):
                    continue
                pair.compare(
                    [
                        ("setxattr", name, attribute, raw(values[0]), len(values[0]), 0),
                        ("getxattr", name, attribute, buffer(3100), 3100),
                        ("removexattr", name, attribute),
                        ("getxattr", name, attribute, buffer(3100), 3100),
                    ]
                )
            pair.compare([("utimensat", AT_FDCWD, name, one, 0) for one in (0, times)])
            pair.compare([("listxattr", name, 0, 0)])


@pytest.mark.parametrize(("build", "row"), table_rows("times"))
def test_times_are_set_as_for_real_root(build: str, row: Syscall, pair_of: PairOf) -> None:
    word = "q" if "64" in row.variant else "i"

    def times(*values: int) -> Token:
        return raw(struct.pack(f"<{len(values)}{word}", *values))

    now, omit = 2**30 - 1, 2**30 - 2
    with pair_of(build) as pair:
        adorn(pair)
        pair.prepare(
            [("setxattr", "file", "security.capability", raw(CAPABILITY), len(CAPABILITY), 0)]
        )
        for path in ("file", "dir", "link", "disk", "fifo", "missing", "", *POINTERS):
            for place in (
                0, times(1000, 5, 2000, 7), times(1, now, 2, omit), times(1, -1, 2, 2),
                times(1, 1_000_000, 1, 1), *BAD_POINTERS,
            ):  # fmt: skip
                for flags in (0, AT_SYMLINK_NOFOLLOW, 1) if "flags" in row.arguments else (0,):
                    pair.compare(
                        [arguments(row, dirfd=AT_FDCWD, path=path, times=place, flags=flags)]
                    )
            pair.compare([("getxattr", "file", "security.capability", buffer(20), 20)])
        if "dirfd" in row.arguments:
            fd = pair.open("file", os.O_RDONLY)
            pair.compare([arguments(row, dirfd=fd, path=0, times=times(1, 2, 3, 4), flags=0)])
            pair.compare([("getxattr", "file", "security.capability", buffer(20), 20)])


names = st.sampled_from(["a", "b", "d", "d/x", "l", "p", "n"])
attributes = st.sampled_from(
    ["user.one", "trusted.one", "security.capability", "system.posix_acl_access",
     "system.posix_acl_default"]
)  # fmt: skip
operations = st.one_of(
    st.tuples(st.just("set"), names, attributes, st.integers(0, 2), st.sampled_from([0, 0, 1, 2])),
    st.tuples(st.just("lremovexattr"), names, attributes),
    st.tuples(st.just("chmod"), names, st.sampled_from([0, 0o644, 0o755, 0o2711, 0o4755, 0o660])),
    st.tuples(st.just("fchownat"), st.just(AT_FDCWD), names, st.sampled_from([0, 5]),
              st.just(-1), st.just(AT_SYMLINK_NOFOLLOW)),
    st.tuples(st.just("truncate"), names, st.integers(0, 9)),
    st.tuples(st.just("utimensat"), st.just(AT_FDCWD), names, st.just(0), st.just(0)),
    st.tuples(st.just("rename"), names, names),
    st.tuples(st.just("unlink"), names),
    st.tuples(st.just("mknod"), names, st.sampled_from([0o100666, 0o10600]), st.just(259)),
)  # fmt: skip


@pytest.mark.parametrize("build", RAW)
@settings(
    max_examples=harness.examples(30),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(operations, min_size=3, max_size=20))
@example(
    steps=[
        ("set", "a", "security.capability", 0, 0),
        ("rename", "a", "n"),
        ("truncate", "n", 3),
        ("set", "n", "system.posix_acl_access", 1, 0),
        ("chmod", "n", 0o4755),
    ]
)
def test_any_sequence_agrees(build: str, pair_of: PairOf, steps: list[tuple[Any, ...]]) -> None:
    shown = ("a", "b", "d", "d/x", "l", "p", "n")
    with pair_of(build) as pair:
        for step in steps:
            if step[0] == "set":
                _, name, attribute, which, flags = step
                values = VALUES[attribute]
                value = values[which % min(len(values), 3)]
                step = ("lsetxattr", name, attribute, raw(value), len(value), flags)
            pair.compare([step, *shows(shown), *pair.looks(shown)])


ASKERS = ((1000, 50), (1000, 60), (7, 60), (7, 61), (8, 8), (1001, 1002), (0, 0))
"""Users and their groups."""
ACLS = (
    usual_acl(6, 6, 0, 6, 0), usual_acl(0, 7, 7, 5, 4), usual_acl(7, 0, 7, 7, 7),
    usual_acl(7, 7, 7, 0, 4),
    acl((1, 4, -1), (4, 1, -1), (8, 6, 60), (16, 7, -1), (32, 7, -1)),
    acl((1, 4, -1), (2, 2, 7), (2, 5, 8), (4, 0, -1), (8, 1, 60), (8, 4, 61), (16, 5, -1),
        (32, 6, -1)),
)  # fmt: skip


@pytest.mark.parametrize("build", COMPARED)
def test_acls_grant_what_they_grant_by_real_ids(build: str, pair_of: PairOf) -> None:
    w = "32" if BUILDS[build].abi is Abi.I386 else ""
    with pair_of(build) as pair:
        adorn(pair)
        pair.prepare([("chmod", ".", 0o755)])
        for value, mode in itertools.product(ACLS, (None, 0o670, 0o707)):
            for name in ("file", "tool", "dir"):
                pair.compare(
                    [("lsetxattr", name, "system.posix_acl_access", raw(value), len(value), 0)]
                )
                if mode is not None:
                    pair.compare([("chmod", name, mode)])
            for user, group in ASKERS:
                for side in (pair.real, pair.fake):
                    side.go_on_in_child()
                groups = raw(struct.pack("<I", 61))
                pair.prepare(
                    [
                        ("setgroups" + w, 1, groups),
                        ("setresgid" + w, group, group, group),
                        ("setresuid" + w, user, user, user),
                    ]
                )
                pair.compare(
                    ("faccessat", AT_FDCWD, name, right)
                    for name in ("file", "tool", "dir")
                    for right in range(8)
                )
                pair.compare(
                    [("lgetxattr", "file", "user.one", 0, 0), ("utimensat", AT_FDCWD, "tool", 0, 0)]
                )
                for side in (pair.real, pair.fake):
                    side.go_on_in_parent()
