# SPDX-License-Identifier: Apache-2.0
"""mknod and mknodat: every type of node, without following, opening or waiting."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import harness
import pytest
from conftest import Run
from harness import (
    AT_FDCWD,
    BAD_POINTERS,
    NAME_MAX,
    PATH_MAX,
    Probe,
    Session,
    encode_device,
    garbled,
)

from fakeroot_sc.syscalls.row import Abi

TYPES = (stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK)


def test_every_type_of_node_can_be_made_by_both_calls(any_probe: Probe, tree: Path) -> None:
    with any_probe.session(tree) as fake:
        for number, kind in enumerate((0, *TYPES)):
            fake.ok("mknod", f"a{number}", kind | 0o640, encode_device(1, 3))
            fake.ok("mknodat", AT_FDCWD, f"b{number}", kind | 0o640, encode_device(1, 3))
            for name in (f"a{number}", f"b{number}"):
                shown = fake.stat(name)
                assert shown["mode"] == (kind or stat.S_IFREG) | 0o640
                assert (shown["uid"], shown["gid"], shown["size"]) == (0, 0, 0)
                device = kind in (stat.S_IFCHR, stat.S_IFBLK)
                assert shown["rdev"] == (encode_device(1, 3) if device else 0)


def test_a_device_is_an_empty_regular_file_for_real(fake: Session, tree: Path) -> None:
    fake.ok("mknod", "null", stat.S_IFCHR | 0o4666, encode_device(1, 3))
    real = (tree / "null").stat()
    assert stat.S_ISREG(real.st_mode)
    assert stat.S_IMODE(real.st_mode) == 0o644
    assert (real.st_size, real.st_uid) == (0, os.getuid())
    assert fake.mode("null") == stat.S_IFCHR | 0o4644


def test_a_device_that_was_written_to_shows_no_size(fake: Session) -> None:
    """As a device's inode does, whatever has gone through it."""
    for name, kind in (("null", stat.S_IFCHR), ("disk", stat.S_IFBLK)):
        fake.ok("mknod", name, kind | 0o666, encode_device(1, 3))
        fd = fake.open(name, os.O_RDWR)
        before = fake.stat(name)
        assert fake.ok("write", fd, harness.at_page_end("x" * 9000), 9000) == 9000
        fake.ok("fsync", fd)
        for seen in (fake.stat(name), fake.fstat(fd)):
            assert [seen[field] for field in ("size", "blocks", "blksize", "rdev")] == [
                before[field] for field in ("size", "blocks", "blksize", "rdev")
            ]
            assert (seen["size"], seen["blocks"]) == (0, 0)
        shown = fake.call("statx", AT_FDCWD, name, 0, 0x7FF, harness.buffer(256)).attributes
        assert (shown["size"], shown["blocks"]) == (0, 0)


def test_programs_see_no_size_of_a_device_that_was_written_to(run: Run, tree: Path) -> None:
    done = run(
        "sh", "-c",
        "mknod null c 1 3; mknod disk b 8 1; echo x >null; cat tool >disk;"
        " stat -c '%n %s %b' null disk; find . -size +0 -name '[nd][ui][ls]*';"
        " tar cf - null disk | tar tvf - | tr -s ' ' | cut -d' ' -f3,6; du --apparent-size null;"
        " ls -l null | cut -c1",
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "null 0 0", "disk 0 0", "1,3 null", "8,1 disk", "0\tnull", "c",
    ]  # fmt: skip


def test_device_numbers_are_shown_whole(fake: Session) -> None:
    for major, minor in ((0, 0), (1, 3), (8, 300), (259, 70000), (0xFFF, 0xFFFFF)):
        name, number = f"disk{minor}", encode_device(major, minor)
        fake.ok("mknod", name, stat.S_IFBLK | 0o660, number)
        assert fake.stat(name)["rdev"] == number
        shown = fake.call("statx", AT_FDCWD, name, 0, 0x7FF, harness.buffer(256)).attributes
        assert (shown["rdev_major"], shown["rdev_minor"]) == (major, minor)


@pytest.mark.parametrize(
    "name", ["file", "dir", "fifo", "socket", "link", "dangling", "loop", "empty"]
)
def test_an_existing_name_is_eexist_without_waiting(name: str, fake64: Session, tree: Path) -> None:
    before = fake64.stat(name)
    for kind in (0, *TYPES):
        fake64.fails(errno.EEXIST, "mknod", name, kind | 0o600, 5)
        assert fake64.stat(name) == before, oct(kind)
        assert not (tree / "missing").exists(), oct(kind)


def test_an_existing_device_is_eexist(fake: Session) -> None:
    fake.ok("mknod", "null", stat.S_IFCHR | 0o666, 5)
    fake.fails(errno.EEXIST, "mknod", "null", stat.S_IFBLK | 0o600, 6)
    assert fake.stat("null")["rdev"] == 5
    assert stat.S_ISCHR(fake.mode("null"))


def test_the_umask_of_the_program_counts(fake: Session) -> None:
    for umask in (0, 0o022, 0o077, 0o777):
        fake.ok("umask", umask)
        for kind in TYPES:
            fake.ok("mknod", f"n{kind}{umask}", kind | 0o7777, 5)
            assert fake.mode(f"n{kind}{umask}") == kind | (0o7777 & ~umask), oct(umask)


def test_a_node_without_permissions_stays_usable(fake: Session) -> None:
    fake.ok("mknod", "new", stat.S_IFREG, 0)
    assert fake.mode("new") == stat.S_IFREG
    fake.ok("close", fake.open("new", os.O_RDWR))


def test_wrong_types_are_refused_before_the_path_is_read(fake: Session) -> None:
    fake.fails(errno.EPERM, "mknod", "new", stat.S_IFDIR | 0o755, 0)
    fake.fails(errno.EINVAL, "mknod", "new", stat.S_IFLNK | 0o755, 0)
    fake.fails(errno.EINVAL, "mknod", "new", 0o170000, 0)
    fake.fails(errno.EPERM, "mknod", 1, stat.S_IFDIR | 0o755, 0)
    assert not fake.exists("new")


def test_errors_are_those_of_the_kernel(fake: Session) -> None:
    mode = stat.S_IFCHR | 0o600
    for pointer in BAD_POINTERS:
        fake.fails(errno.EFAULT, "mknod", pointer, mode, 5)
    fake.fails(errno.ENOENT, "mknod", "", mode, 5)
    fake.fails(errno.ENOENT, "mknod", "missing/x", mode, 5)
    fake.fails(errno.ENOENT, "mknod", "new/", mode, 5)
    fake.fails(errno.ENOTDIR, "mknod", "file/x", mode, 5)
    fake.fails(errno.EEXIST, "mknod", "dir/.", mode, 5)
    fake.fails(errno.EEXIST, "mknod", "..", mode, 5)
    fake.fails(errno.EEXIST, "mknod", "/", mode, 5)
    fake.fails(errno.ENAMETOOLONG, "mknod", "x" * PATH_MAX, mode, 5)
    fake.fails(errno.ENAMETOOLONG, "mknod", "x" * (NAME_MAX + 1), mode, 5)
    fake.fails(errno.EBADF, "mknodat", 777, "new", mode, 5)
    fake.fails(errno.EBADF, "mknodat", -1, "new", mode, 5)
    fake.fails(errno.ENOTDIR, "mknodat", fake.open("file"), "new", mode, 5)
    removed = fake.open("empty", os.O_DIRECTORY)
    fake.ok("rmdir", "empty")
    fake.fails(errno.ENOENT, "mknodat", removed, "new", mode, 5)


def test_a_node_is_made_below_any_dirfd(fake: Session) -> None:
    mode = stat.S_IFCHR | 0o600
    for number, flags in enumerate((os.O_RDONLY, os.O_PATH)):
        fd = fake.open("dir", flags | os.O_DIRECTORY)
        fake.ok("mknodat", fd, f"new{number}", mode, 5)
        fake.ok("mknod", f"/proc/self/fd/{fd}/own{number}", mode, 6)
        fake.ok("mknod", f"/dev/./fd/{fd}/dot{number}", mode, 6)
        assert fake.stat(f"dir/new{number}")["rdev"] == 5
        assert fake.stat(f"dir/own{number}")["rdev"] == 6
        assert fake.stat(f"dir/dot{number}")["rdev"] == 6
    fake.ok("mknodat", -1, f"{fake.directory}/absolute", mode, 7)
    assert fake.stat("absolute")["rdev"] == 7


def test_garbage_in_the_high_halves_is_ignored(fake64: Session) -> None:
    assert fake64.abi is Abi.X86_64
    fake64.ok("mknodat", garbled(AT_FDCWD), "new", garbled(stat.S_IFCHR | 0o640), garbled(0x105))
    shown = fake64.stat("new")
    assert (shown["mode"], shown["rdev"]) == (stat.S_IFCHR | 0o640, 0x105)


def test_a_device_takes_an_owner_and_a_mode_and_stays_one_under_every_name(
    fake: Session, tree: Path
) -> None:
    fake.ok("mknod", "null", stat.S_IFCHR | 0o600, 5)
    fake.chown("null", 3, 4)
    fake.ok("chmod", "null", 0o4666)
    fake.ok("linkat", AT_FDCWD, "null", AT_FDCWD, "again", 0)
    fake.ok("rename", "null", "dir/moved")
    for name in ("again", "dir/moved"):
        shown = fake.stat(name)
        assert (shown["mode"], shown["rdev"]) == (stat.S_IFCHR | 0o4666, 5)
        assert (shown["uid"], shown["gid"], shown["nlink"]) == (3, 4, 2)
    assert stat.S_IMODE((tree / "again").stat().st_mode) == 0o666


def test_a_file_made_after_a_device_was_removed_is_a_file(fake: Session) -> None:
    for _ in range(20):
        fake.ok("mknod", "null", stat.S_IFCHR | 0o600, 5)
        fake.ok("unlink", "null")
        fake.ok("close", fake.open("null", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        assert fake.mode("null") == stat.S_IFREG | 0o644
        fake.ok("unlink", "null")


def test_a_node_in_a_set_group_id_directory_takes_its_group(fake: Session) -> None:
    fake.chown("dir", 3, 7)
    fake.ok("chmod", "dir", 0o2775)
    for kind in TYPES:
        fake.ok("mknod", f"dir/n{kind}", kind | 0o644, 5)
        assert fake.owner(f"dir/n{kind}") == (0, 7)
