# SPDX-License-Identifier: Apache-2.0
"""chmod and its kin: done for real as far as the user stays able to work."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import harness
from harness import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    BAD_POINTERS,
    PATH_MAX,
    Probe,
    Session,
    garbled,
)

from fakeroot_sc.syscalls.row import Abi, Syscall

MODES = (0, 0o1, 0o111, 0o222, 0o444, 0o644, 0o755, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777)


def call_of(row: Syscall, path: str, fd: int, mode: int) -> tuple[Any, ...]:
    """A chmod call of a row on a path that is open as fd."""
    values = {"path": path, "fd": fd, "dirfd": AT_FDCWD, "flags": 0, "mode": mode}
    return (row, *(values[name] for name in row.arguments))


def test_every_chmod_call_shows_the_mode_that_was_asked_for(any_probe: Probe, tree: Path) -> None:
    with any_probe.session(tree) as fake:
        for name, kind in (("file", stat.S_IFREG), ("dir", stat.S_IFDIR), ("fifo", stat.S_IFIFO)):
            fd = fake.open(name, os.O_RDWR if name == "fifo" else os.O_RDONLY)
            for row in harness.rows_of(fake.abi, "chmod"):
                for mode in MODES:
                    fake.ok(*call_of(row, name, fd, mode))
                    assert fake.mode(name) == kind | mode, row.name


def test_the_real_mode_leaves_the_user_able_to_work_and_has_no_set_id_bits(
    fake: Session, tree: Path
) -> None:
    for name, least in (("file", 0o600), ("dir", 0o700), ("fifo", 0o600)):
        for mode in MODES:
            fake.ok("chmod", name, mode)
            assert stat.S_IMODE((tree / name).stat().st_mode) == mode & 0o1777 | least


def test_a_file_of_mode_0_stays_usable(fake: Session) -> None:
    fake.ok("chmod", "file", 0)
    fake.ok("close", fake.open("file", os.O_RDWR))
    fake.ok("chmod", "dir", 0)
    fake.ok("close", fake.open("dir/new", os.O_CREAT | os.O_WRONLY))
    fake.ok("unlink", "dir/new")
    assert (fake.mode("file"), fake.mode("dir")) == (stat.S_IFREG, stat.S_IFDIR)


def test_a_mode_that_was_changed_back_from_outside_is_not_remembered_as_special(
    fake: Session,
) -> None:
    fake.ok("chmod", "file", 0o4755)
    fake.ok("chmod", "file", 0o644)
    assert fake.mode("file") == stat.S_IFREG | 0o644


def test_owner_and_mode_are_remembered_side_by_side(fake: Session) -> None:
    fake.chown("file", 5, 6)
    fake.ok("chmod", "file", 0o4755)
    assert (fake.owner("file"), fake.mode("file")) == ((5, 6), stat.S_IFREG | 0o4755)
    fake.ok("chmod", "hard", 0)
    assert (fake.owner("file"), fake.mode("file")) == ((5, 6), stat.S_IFREG)


def test_only_the_low_bits_of_a_mode_count(fake: Session) -> None:
    for mode in (0o100640, 0o177640, garbled(0o640), 0xFFFF_F000 | 0o640):
        fake.ok("chmod", "file", mode)
        assert fake.mode("file") == stat.S_IFREG | (mode & 0o7777)


def test_chmod_follows_links_and_cannot_change_one(fake: Session) -> None:
    fake.ok("chmod", "link", 0o604)
    assert fake.mode("file") == stat.S_IFREG | 0o604
    fake.fails(errno.EOPNOTSUPP, "fchmodat2", AT_FDCWD, "link", 0o600, AT_SYMLINK_NOFOLLOW)
    link = fake.open("link", os.O_PATH | os.O_NOFOLLOW)
    fake.fails(errno.EOPNOTSUPP, "fchmodat2", link, "", 0o600, AT_EMPTY_PATH)
    fake.ok("fchmodat2", AT_FDCWD, "file", 0o4600, AT_SYMLINK_NOFOLLOW)
    assert fake.mode("file") == stat.S_IFREG | 0o4600
    assert fake.mode("link") == stat.S_IFLNK | 0o777


def test_fchmod_takes_open_files_but_not_a_mere_path(fake: Session, probe: Probe) -> None:
    for path in ("file", "dir"):
        fd = fake.open(path, os.O_PATH)
        if probe.changes_mere_paths:
            fake.ok("fchmod", fd, 0o4777)
            assert stat.S_IMODE(fake.mode(path)) == 0o4777
        else:
            fake.fails(errno.EBADF, "fchmod", fd, 0o4777)
    for number in (777, -1, AT_FDCWD):
        fake.fails(errno.EBADF, "fchmod", number, 0o4777)
    fake.ok("fchmodat2", fake.open("file", os.O_PATH), "", 0o4711, AT_EMPTY_PATH)
    assert fake.mode("file") == stat.S_IFREG | 0o4711
    for number in (fake.pipe()[0], fake.socketpair()[0]):
        fake.ok("fchmod", number, 0o640)
        assert stat.S_IMODE(fake.fstat(number)["mode"]) == 0o640


def test_a_removed_but_open_file_takes_a_mode(fake: Session) -> None:
    fd = fake.open("tool")
    fake.ok("chmod", "tool", 0o4755)
    fake.ok("unlink", "tool")
    assert stat.S_IMODE(fake.fstat(fd)["mode"]) == 0o4755
    fake.ok("fchmod", fd, 0o2711)
    assert stat.S_IMODE(fake.fstat(fd)["mode"]) == 0o2711


def test_a_change_that_fails_changes_nothing(fake: Session, tree: Path) -> None:
    fake.ok("chmod", "file", 0o4640)
    for pointer in BAD_POINTERS:
        fake.fails(errno.EFAULT, "chmod", pointer, 0o777)
    fake.fails(errno.ENOENT, "chmod", "", 0o777)
    fake.fails(errno.ENOENT, "chmod", "missing", 0o777)
    fake.fails(errno.ENOTDIR, "chmod", "file/", 0o777)
    fake.fails(errno.ELOOP, "chmod", "loop", 0o777)
    fake.fails(errno.ENAMETOOLONG, "chmod", "x" * PATH_MAX, 0o777)
    fake.fails(errno.EBADF, "fchmodat", 777, "file", 0o777)
    fake.fails(errno.EINVAL, "fchmodat2", AT_FDCWD, "file", 0o777, 0x200)
    fake.fails(errno.EFAULT, "fchmodat2", fake.open("file"), 0, 0o777, AT_EMPTY_PATH)
    assert fake.mode("file") == stat.S_IFREG | 0o4640
    assert stat.S_IMODE((tree / "file").stat().st_mode) == 0o640


def test_a_path_through_the_own_process_is_that_of_the_program(fake: Session) -> None:
    for number, path in enumerate(["/proc/self/fd/{}", "/dev/fd/{}", "/dev/./fd/{}"] * 12):
        fd = fake.open("file", os.O_PATH)
        fake.ok("chmod", path.format(fd), 0o4600 + number)
        assert fake.mode("file") == stat.S_IFREG | (0o4600 + number), path


def test_a_read_only_descriptor_is_enough(fake64: Session) -> None:
    assert fake64.abi is Abi.X86_64
    fd = fake64.open("file", os.O_RDONLY)
    fake64.ok("fchmod", fd, 0)
    assert fake64.mode("file") == stat.S_IFREG
