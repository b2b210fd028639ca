# SPDX-License-Identifier: Apache-2.0
"""Changes that the shim makes by itself count for everybody from the moment that they return."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import harness
import installed
import pytest
from harness import Probe, Session

pytestmark = pytest.mark.skipif(not installed.has_shim(), reason="the shim is turned off")

AT_FDCWD = -100
PLACES = 4096
"""PENDING_PLACES of native/pending.h."""

Probes = Callable[[str], Probe]


@pytest.fixture
def pair(probes: Probes, tree: Path) -> Iterator[tuple[Session, Session]]:
    """A dynamic program, which has joined the shared memory, and a static one beside it."""
    chosen = [probes("x86-64-libc"), probes("x86-64-static")]
    with harness.sessions_of_one_run(chosen, tree) as (shim, other):
        (tree / "first").touch()
        for _ in range(2):
            shim.chown("first", 1, 1)
        yield shim, other


def test_a_static_program_sees_each_change_at_once(
    pair: tuple[Session, Session], tree: Path
) -> None:
    shim, other = pair
    for number in range(1, 50):
        (tree / f"f{number}").touch()
        shim.chown(f"f{number}", number, number + 1)
        assert other.owner(f"f{number}") == (number, number + 1)
        other.chown(f"f{number}", 7, 0xFFFFFFFF)
        assert shim.owner(f"f{number}") == (7, number + 1)
        shim.chown(f"f{number}", 8, 0xFFFFFFFF)
        shim.chown(f"f{number}", 0xFFFFFFFF, 9)
        assert other.owner(f"f{number}") == shim.owner(f"f{number}") == (8, 9)


def test_another_dynamic_program_sees_them_without_the_supervisor(
    probes: Probes, tree: Path
) -> None:
    libc = probes("x86-64-libc")
    with harness.sessions_of_one_run([libc, libc], tree) as (one, two):
        for name in ("file", "dir", "hard"):
            one.chown(name, 5, 6)
        assert [two.owner(name) for name in ("file", "hard", "dir")] == [(5, 6)] * 3
        two.chown("file", 9, 0xFFFFFFFF)
        two.chown("dir", 9, 0xFFFFFFFF)
        assert [one.owner(name) for name in ("file", "hard", "dir")] == [(9, 6)] * 3


def test_an_i386_program_sees_them(probes: Probes, tree: Path) -> None:
    chosen = [probes("x86-64-libc"), probes("i386-libc")]
    with harness.sessions_of_one_run(chosen, tree) as (shim, other):
        for name in ("dir", "link", "file", "fifo"):
            shim.ok("lchown", name, 5, 6)
        shim.ok("mknod", "node", stat.S_IFCHR | 0o640, 5)
        assert [other.owner(name) for name in ("dir", "file")] == [(5, 6)] * 2
        assert other.mode("node") == stat.S_IFCHR | 0o640


def test_more_changes_than_places_are_all_kept(pair: tuple[Session, Session], tree: Path) -> None:
    shim, other = pair
    many = range(PLACES + 500)
    for number in many:
        (tree / f"m{number}").touch()
    shim.calls([("lchown", f"m{number}", number + 1, 3) for number in many])
    for number in many[::97]:
        assert shim.owner(f"m{number}") == (number + 1, 3)
    for number in many[::89]:
        assert other.owner(f"m{number}") == (number + 1, 3)


def test_a_device_has_no_name_before_it_is_one(pair: tuple[Session, Session], tree: Path) -> None:
    shim, other = pair
    for number in range(1, 5):
        shim.ok("mknod", f"n{number}", stat.S_IFBLK | 0o660, number)
        shown = other.stat(f"n{number}")
        assert (shown["mode"], shown["rdev"]) == (stat.S_IFBLK | 0o640, number)
        assert stat.S_ISREG((tree / f"n{number}").stat().st_mode)
    shim.fails(errno.EEXIST, "mknod", "n1", stat.S_IFCHR | 0o600, 9)
    shim.fails(errno.EEXIST, "mknod", "dir", stat.S_IFCHR | 0o600, 9)
    shim.fails(errno.ENOENT, "mknod", "none/n", stat.S_IFCHR | 0o600, 9)
    shim.fails(errno.ENOTDIR, "mknod", "file/n", stat.S_IFCHR | 0o600, 9)
    shim.fails(errno.ENOENT, "mknod", "", stat.S_IFCHR | 0o600, 9)
    shim.fails(errno.ENOENT, "mknod", "n9/", stat.S_IFCHR | 0o600, 9)
    shim.fails(errno.ENAMETOOLONG, "mknod", "n" * 256, stat.S_IFCHR | 0o600, 9)
    assert other.stat("n1")["rdev"] == 1
    (tree / "new").touch()
    assert other.mode("new") == stat.S_IFREG | 0o644


def test_a_removed_file_takes_its_change_along(pair: tuple[Session, Session], tree: Path) -> None:
    shim, other = pair
    for turn in range(20):
        shim.ok("close", shim.open("new", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        assert shim.owner("new") == other.owner("new") == (0, 0)
        shim.chown("new", 5, 6)
        fd = shim.open("new", os.O_RDONLY)
        remover = shim if turn % 3 else other
        remover.ok("unlink", "new")
        assert shim.fstat(fd)["uid"] == 5
        shim.ok("close", fd)


def test_a_file_that_keeps_a_link_keeps_its_change(pair: tuple[Session, Session]) -> None:
    shim, other = pair
    shim.chown("file", 5, 6)
    shim.ok("unlink", "file")
    assert shim.owner("hard") == other.owner("hard") == (5, 6)
    shim.chown("dir", 7, 8)
    shim.fails(errno.ENOTEMPTY, "rmdir", "dir")
    assert other.owner("dir") == (7, 8)


def test_what_is_not_plain_is_the_supervisors(pair: tuple[Session, Session], tree: Path) -> None:
    """A set-user-ID bit goes with the owner, and a descriptor opened with O_PATH is none."""
    shim, other = pair
    (tree / "tool").touch(mode=0o755)
    shim.ok("chmod", "tool", 0o4755)
    shim.chown("tool", 5, 6)
    assert other.mode("tool") == stat.S_IFREG | 0o755
    fd = shim.open("tool", os.O_PATH)
    shim.fails(errno.EBADF, "fchown", fd, 9, 9)
    assert other.owner("tool") == (5, 6)


def test_who_has_left_root_changes_nothing(pair: tuple[Session, Session]) -> None:
    shim, other = pair
    shim.chown("file", 5, 6)
    shim.ok("setresuid", 7, 7, 0)
    shim.fails(errno.EPERM, "chown", "file", 7, 7)
    shim.fails(errno.EPERM, "mknod", "node", stat.S_IFCHR | 0o600, 5)
    shim.ok("setresuid", 0, 0, 0)
    shim.chown("file", 7, 7)
    assert other.owner("file") == (7, 7)
