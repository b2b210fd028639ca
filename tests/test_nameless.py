# SPDX-License-Identifier: Apache-2.0
"""Files without a name: what is remembered of them goes with them, unless they are given one."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

import harness
import pytest
from harness import AT_EMPTY_PATH, AT_FDCWD, Session

from fakeroot_sc.syscalls.row import AT_SYMLINK_FOLLOW

O_TMPFILE = 0o20200000
ROUNDS = 20

Naming = Callable[[Session, int, str], tuple[int, str, int, str, int]]


def nameless(fake: Session) -> int:
    return fake.open(".", O_TMPFILE | os.O_RDWR, 0o600)


def unlinked(fake: Session) -> int:
    fd = fake.open("gone", os.O_CREAT | os.O_EXCL | os.O_RDWR)
    fake.ok("unlink", "gone")
    return fd


def give(fake: Session, fd: int) -> None:
    fake.ok("fchownat", fd, "", 5, 6, AT_EMPTY_PATH)
    fake.ok("fchmod", fd, 0o4711)


def shown(fake: Session, fd: int) -> tuple[int, int, int]:
    seen = fake.fstat(fd)
    return seen["uid"], seen["gid"], stat.S_IMODE(seen["mode"])


CREATE = os.O_CREAT | os.O_EXCL | os.O_RDWR | 0o100000
WITHOUT_A_NAME = {
    "temporary": [("openat", AT_FDCWD, ".", O_TMPFILE | os.O_RDWR | 0o100000, 0o600)],
    "temporary for good": [
        ("openat", AT_FDCWD, ".", O_TMPFILE | os.O_EXCL | os.O_RDWR | 0o100000, 0o600)
    ],
    "removed": [("openat", AT_FDCWD, "gone", CREATE, 0o644), ("unlink", "gone")],
}


@pytest.mark.parametrize("make", list(WITHOUT_A_NAME))
def test_a_file_closed_without_a_name_hands_nothing_on(make: str, fake: Session) -> None:
    """All within one tick of the clock, or the birth times tell."""
    fd = nameless(fake)
    fake.ok("close", fd)
    changes = [
        [("fchownat", fd, "", 5, 6, AT_EMPTY_PATH)],
        [("fchmod", fd, 0o4711)],
        [("fsetxattr", fd, "trusted.of", harness.at_page_end("x"), 1, 0)],
    ]
    for number in range(3 * ROUNDS):
        *made, closed, new = fake.calls(
            [
                *WITHOUT_A_NAME[make],
                *changes[number % 3],
                ("close", fd),
                ("openat", AT_FDCWD, "new", CREATE, 0o644),
            ]
        )
        assert [result.error for result in (*made, closed)] == [0] * (len(made) + 1)
        assert (made[0].value, new.value) == (fd, fd)
        assert fake.owner("new") == (0, 0)
        assert shown(fake, fd) == (0, 0, 0o644)
        fake.fails(errno.ENODATA, "getxattr", "new", "trusted.of", 0, 0)
        fake.ok("close", fd)
        fake.ok("unlink", "new")


def by_descriptor(fake: Session, fd: int, name: str) -> tuple[int, str, int, str, int]:
    return fd, "", AT_FDCWD, name, AT_EMPTY_PATH


def by_proc(fake: Session, fd: int, name: str) -> tuple[int, str, int, str, int]:
    return AT_FDCWD, f"/proc/self/fd/{fd}", AT_FDCWD, name, AT_SYMLINK_FOLLOW


@pytest.mark.parametrize("naming", [by_descriptor, by_proc])
def test_a_file_that_is_given_a_name_keeps_its_owner_and_mode(
    naming: Naming, fake: Session
) -> None:
    for number in range(ROUNDS):
        fd = nameless(fake)
        give(fake, fd)
        fake.ok("linkat", *naming(fake, fd, f"new{number}"))
        assert shown(fake, fd) == (5, 6, 0o4711)
        assert fake.owner(f"new{number}") == (5, 6)
        fake.ok("close", fd)
        assert fake.owner(f"new{number}") == (5, 6)
        assert fake.mode(f"new{number}") == stat.S_IFREG | 0o4711


@pytest.mark.parametrize("naming", [by_descriptor, by_proc])
def test_a_name_that_is_not_to_be_had_leaves_the_file_without(
    naming: Naming, fake: Session
) -> None:
    for _ in range(ROUNDS):
        fd = nameless(fake)
        give(fake, fd)
        fake.fails(errno.ENOENT, "linkat", *naming(fake, fd, "missing/new"))
        assert shown(fake, fd) == (5, 6, 0o4711)
        fake.ok("close", fd)
        made, _, _, refused, _, new = fake.calls(
            [
                *WITHOUT_A_NAME["temporary"],
                ("fchownat", fd, "", 5, 6, AT_EMPTY_PATH),
                ("fchmod", fd, 0o4711),
                ("linkat", *naming(fake, fd, "file")),
                ("close", fd),
                ("openat", AT_FDCWD, "new", CREATE, 0o644),
            ]
        )
        assert (made.value, refused.outcome, new.value) == (fd, "EEXIST", fd)
        assert (fake.owner("new"), shown(fake, fd)) == ((0, 0), (0, 0, 0o644))
        fake.ok("close", fd)
        fake.ok("unlink", "new")


@pytest.mark.parametrize("naming", [by_descriptor, by_proc])
def test_a_removed_file_is_given_no_name_and_keeps_what_it_had(
    naming: Naming, fake: Session
) -> None:
    fd = unlinked(fake)
    give(fake, fd)
    fake.fails(errno.ENOENT, "linkat", *naming(fake, fd, "new"))
    assert shown(fake, fd) == (5, 6, 0o4711)


def test_a_pipe_and_a_memory_file_keep_their_owners_to_themselves(fake: Session) -> None:
    for _ in range(ROUNDS):
        reader, writer = fake.pipe()
        memory = fake.ok("memfd_create", "memory", 0)
        for fd in (reader, memory):
            assert fake.fstat(fd)["uid"] == 0
            fake.ok("fchownat", fd, "", 5, 6, AT_EMPTY_PATH)
            assert fake.fstat(fd)["uid"] == 5
        for fd in (reader, writer, memory):
            fake.ok("close", fd)
