# SPDX-License-Identifier: Apache-2.0
"""chown and its kin: remembered, shown, never done for real."""

from __future__ import annotations

import errno
import itertools
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
    TREE,
    Probe,
    Session,
    garbled,
)

from fakeroot_sc.syscalls.row import Abi, Syscall


def call_of(row: Syscall, path: str, fd: int, uid: int, gid: int) -> tuple[Any, ...]:
    """A chown call of a row on a path that is open as fd."""
    values = {"path": path, "fd": fd, "dirfd": AT_FDCWD, "flags": 0, "uid": uid, "gid": gid}
    return (row, *(values[name] for name in row.arguments))


def test_every_chown_call_is_remembered_and_nothing_real_changes(
    any_probe: Probe, tree: Path
) -> None:
    before = (tree / "file").stat()
    with any_probe.session(tree) as fake:
        fd = fake.open("file")
        for number, row in enumerate(harness.rows_of(fake.abi, "chown")):
            fake.ok(*call_of(row, "file", fd, 100 + number, 200 + number))
            assert fake.owner("file") == (100 + number, 200 + number), row.name
            fake.ok(*call_of(row, "file", fd, 0, 0))
            assert fake.owner("file") == (0, 0), row.name
    after = (tree / "file").stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_mode == before.st_mode


def test_minus_one_leaves_an_id(fake: Session) -> None:
    fd = fake.open("file")
    for row in harness.rows_of(fake.abi, "chown"):
        minus_one = 0xFFFF if row.variant == "ids16" else 0xFFFF_FFFF
        fake.chown("file", 5, 6)
        fake.ok(*call_of(row, "file", fd, minus_one, 7))
        assert fake.owner("file") == (5, 7), row.name
        fake.ok(*call_of(row, "file", fd, 8, -1))
        assert fake.owner("file") == (8, 7), row.name
        fake.ok(*call_of(row, "file", fd, garbled(-1), garbled(-1)))
        assert fake.owner("file") == (8, 7), row.name


def test_ids_keep_all_their_32_bits(fake: Session) -> None:
    for uid, gid in ((65535, 65536), (0x7FFF_FFFF, 0x8000_0000), (0xFFFF_FFFE, 0xFFFF_FFFE)):
        fake.chown("file", uid, gid)
        assert fake.owner("file") == (uid, gid)
    fake.chown("file", garbled(9), garbled(10))
    assert fake.owner("file") == (9, 10)


def test_a_call_with_16_bit_ids_reads_16_bits(fake32: Session) -> None:
    fd = fake32.open("file")
    for row in harness.rows_of(Abi.I386, "chown"):
        if row.variant == "ids16":
            fake32.ok(*call_of(row, "file", fd, 0x5_0007, 0x5_0008))
            assert fake32.owner("file") == (7, 8), row.name
            fake32.ok(*call_of(row, "file", fd, 65534, 65534))
            assert fake32.owner("file") == (65534, 65534), row.name


LEFT_BY_CHOWN = {
    0o6755: 0o755,
    0o4711: 0o711,
    0o2755: 0o755,
    0o2745: 0o2745,  # without group execution it means mandatory locking
    0o6745: 0o2745,
    0o1777: 0o1777,
    0o4000: 0,
}


def test_a_file_loses_its_set_id_bits(fake: Session) -> None:
    for mode, left in LEFT_BY_CHOWN.items():
        for uid, gid in ((5, 6), (0, 0), (-1, 7)):
            fake.ok("chmod", "file", mode)
            fake.chown("file", uid, gid)
            assert fake.mode("file") == stat.S_IFREG | left, oct(mode)


def test_a_directory_keeps_its_set_id_bits(fake: Session) -> None:
    fake.ok("chmod", "dir", 0o6755)
    fake.chown("dir", 5, 6)
    assert fake.mode("dir") == stat.S_IFDIR | 0o6755


def test_a_device_loses_its_set_id_bits(fake: Session) -> None:
    fake.ok("mknod", "null", stat.S_IFCHR | 0o6777, 0x103)
    fake.ok("chmod", "null", 0o6777)
    fake.chown("null", 5, 6)
    assert fake.mode("null") == stat.S_IFCHR | 0o777


def test_hard_links_share_their_owner(fake: Session) -> None:
    fake.chown("hard", 5, 6)
    assert fake.owner("file") == (5, 6)
    fake.ok("linkat", AT_FDCWD, "file", AT_FDCWD, "third", 0)
    assert fake.owner("third") == (5, 6)


def test_a_symbolic_link_and_its_file_have_owners_of_their_own(fake: Session) -> None:
    fake.ok("lchown" if fake.abi is Abi.X86_64 else "lchown32", "link", 5, 6)
    assert (fake.owner("link"), fake.owner("file")) == ((5, 6), (0, 0))
    fake.ok("chown" if fake.abi is Abi.X86_64 else "chown32", "link", 7, 8)
    assert (fake.owner("link"), fake.owner("file")) == ((5, 6), (7, 8))
    fake.chown("dangling", 9, 10)
    assert fake.owner("dangling") == (9, 10)
    fake.fails(errno.ENOENT, "fchownat", AT_FDCWD, "dangling", 9, 10, 0)


def test_fchown_takes_any_open_file_but_not_a_mere_path(fake: Session, probe: Probe) -> None:
    fchown = "fchown" if fake.abi is Abi.X86_64 else "fchown32"
    fake.ok(fchown, fake.open("file"), 5, 6)
    fake.ok(fchown, fake.open("dir", os.O_DIRECTORY), 5, 6)
    fake.ok(fchown, fake.open("fifo", os.O_RDWR), 5, 6)
    assert [fake.owner(name) for name in ("file", "dir", "fifo")] == [(5, 6)] * 3
    for path in ("file", "dir", "fifo"):
        fd = fake.open(path, os.O_PATH)
        if probe.changes_mere_paths:
            fake.ok(fchown, fd, 7, 8)
            assert fake.owner(path) == (7, 8)
        else:
            fake.fails(errno.EBADF, fchown, fd, 7, 8)
            assert fake.owner(path) == (5, 6)
    for number in (777, -1, AT_FDCWD):
        fake.fails(errno.EBADF, fchown, number, 9, 10)
    assert (9, 10) not in [fake.owner(name) for name in (*TREE, "..")]


def test_a_pipe_and_a_socket_take_an_owner(fake: Session) -> None:
    fchown = "fchown" if fake.abi is Abi.X86_64 else "fchown32"
    for number in (fake.pipe()[0], fake.socketpair()[0]):
        fake.ok(fchown, number, 5, 6)
        shown = fake.fstat(number)
        assert (shown["uid"], shown["gid"]) == (5, 6)


def test_an_empty_path_means_the_descriptor_only_where_asked(fake: Session) -> None:
    link = fake.open("link", os.O_PATH | os.O_NOFOLLOW)
    file = fake.open("file", os.O_PATH)
    fake.ok("fchownat", link, "", 5, 6, AT_EMPTY_PATH)
    fake.ok("fchownat", file, "", 7, 8, AT_EMPTY_PATH)
    assert (fake.owner("link"), fake.owner("file")) == ((5, 6), (7, 8))
    fake.ok("fchownat", AT_FDCWD, "", 9, 10, AT_EMPTY_PATH)
    assert fake.owner(".") == (9, 10)
    fake.fails(errno.ENOENT, "fchownat", file, "", 7, 8, 0)
    fake.fails(errno.ENOENT, "fchownat", 777, "", 7, 8, AT_SYMLINK_NOFOLLOW)
    fake.fails(errno.EBADF, "fchownat", 777, "", 7, 8, AT_EMPTY_PATH)


def test_a_removed_but_open_file_keeps_and_takes_an_owner(fake: Session) -> None:
    fake.chown("file", 5, 6)
    fd = fake.open("file")
    fake.ok("unlink", "hard")
    fake.ok("unlink", "file")
    assert fake.fstat(fd)["uid"] == 5
    fake.ok("fchown", fd, 7, 8)
    shown = fake.fstat(fd)
    assert (shown["uid"], shown["gid"], shown["nlink"]) == (7, 8, 0)


def test_a_path_through_the_own_process_is_that_of_the_program(fake: Session) -> None:
    paths = ("/proc/self/fd/{}", "/dev/fd/{}", "/dev/./fd/{}", "/dev/../proc/self/fd/{}")
    for number, path in itertools.product(range(12), paths):
        fd = fake.open("file", os.O_PATH)
        fake.ok("fchownat", AT_FDCWD, path.format(fd), 100 + fd, 0, 0)
        assert fake.owner("file") == (100 + fd, 0), (number, path)
    fake.ok("dup3", fd, 0, 0)
    fake.ok("fchownat", AT_FDCWD, "/dev/stdin", 5, 6, 0)
    assert fake.owner("file") == (5, 6)


def test_a_change_that_fails_changes_nothing(fake: Session) -> None:
    fake.chown("file", 5, 6)
    for pointer in BAD_POINTERS:
        fake.fails(errno.EFAULT, "fchownat", AT_FDCWD, pointer, 7, 8, 0)
    fake.fails(errno.ENOENT, "fchownat", AT_FDCWD, "missing", 7, 8, 0)
    fake.fails(errno.ENOTDIR, "fchownat", AT_FDCWD, "file/", 7, 8, 0)
    fake.fails(errno.EINVAL, "fchownat", AT_FDCWD, "file", 7, 8, 0x800)
    fake.fails(errno.EINVAL, "fchownat", 777, 1, 7, 8, 1)
    fake.fails(errno.EBADF, "fchownat", 777, "file", 7, 8, 0)
    fake.fails(errno.ENAMETOOLONG, "fchownat", 777, "x" * PATH_MAX, 7, 8, 0)
    assert fake.owner("file") == (5, 6)


def test_a_null_path_is_efault_even_with_an_empty_path_allowed(fake: Session) -> None:
    fd = fake.open("file", os.O_PATH)
    fake.fails(errno.EFAULT, "fchownat", fd, 0, 7, 8, AT_EMPTY_PATH)
    assert fake.owner("file") == (0, 0)


def test_a_changed_file_stays_usable(fake: Session, tree: Path) -> None:
    fake.chown("file", 12345, 12345)
    fake.ok("close", fake.open("file", os.O_RDWR))
    fake.ok("truncate", "file", 3)
    assert (tree / "file").read_bytes() == b"hel"
    assert fake.owner("file") == (12345, 12345)
