# SPDX-License-Identifier: Apache-2.0
"""What the stat family shows, in every ABI and layout."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

import harness
import pytest
from harness import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    BAD_POINTERS,
    CLONE_FS,
    NAME_MAX,
    PATH_MAX,
    STATX_BASIC,
    STATX_BTIME,
    TREE,
    Probe,
    Session,
    across_pages,
    at_page_end,
    buffer,
    buffer_at_page_end,
    buffer_cut,
    buffer_read_only,
    garbled,
    layout_size,
    unterminated,
)

from fakeroot_sc.syscalls.row import Abi, Syscall

LOW_ID_OF_LARGE = 65534  # overflowuid(7)


def call_of(row: Syscall, path: str, fd: int) -> tuple[Any, ...]:
    """A stat call of a row on a path that is open as fd."""
    values = {
        "path": path,
        "fd": fd,
        "dirfd": AT_FDCWD,
        "flags": 0,
        "mask": STATX_BASIC,
        "buffer": buffer(layout_size(row.variant)),
    }
    return (row, *(values[name] for name in row.arguments))


def test_files_nobody_changed_belong_to_root(any_probe: Probe, tree: Path) -> None:
    with any_probe.session(tree) as fake:
        for name in TREE:
            real = (tree / name).lstat()
            shown = fake.stat(name)
            assert (shown["uid"], shown["gid"]) == (0, 0), name
            assert shown["mode"] == real.st_mode, name
            assert (shown["ino"], shown["nlink"]) == (real.st_ino, real.st_nlink), name
            assert (shown["size"], shown["blocks"]) == (real.st_size, real.st_blocks), name
            assert shown["mtime"] == int(real.st_mtime), name


def test_unknown_is_real_shows_the_real_owner(probe: Probe, tree: Path) -> None:
    with probe.session(tree, "-u") as fake:
        real = (os.getuid(), (tree / "file").stat().st_gid)
        assert fake.owner("file") == real
        fake.chown("file", 0, -1)
        assert fake.owner("file") == (0, real[1])
        fake.chown("dir", -1, 0)
        assert fake.owner("dir") == (real[0], 0)
        fake.chown("other", 5, 6)
        fake.chown("other", *real)
        assert fake.owner("other") == real


def test_every_stat_call_shows_the_remembered_owner(any_probe: Probe, tree: Path) -> None:
    with any_probe.session(tree) as fake:
        fake.chown("file", 1001, 1002)
        fd = fake.open("file")
        for row in harness.rows_of(fake.abi, "stat"):
            result = fake.call(*call_of(row, "file", fd))
            if row.variant == "i386_oldstat" and result.outcome == "EOVERFLOW":
                continue  # inode numbers above 16 bits, see the test on tmpfs
            shown = result.attributes
            assert result.intact, row.name
            assert (shown["uid"], shown["gid"]) == (1001, 1002), row.name
            assert shown["mode"] == stat.S_IFREG | 0o644, row.name
            assert (shown["size"], shown["nlink"]) == (5, 2), row.name


def test_old_stat_serves_small_inode_numbers(probe32: Probe) -> None:
    try:
        directory = Path(tempfile.mkdtemp(prefix="fsc-", dir="/dev/shm"))
    except OSError as error:
        pytest.skip(f"no file system with small inode numbers: /dev/shm: {error.strerror}")
    try:
        file = directory / "file"
        file.write_bytes(b"hello")
        file.chmod(0o640)
        if file.stat().st_ino > 0xFFFF:
            pytest.skip("no file system with small inode numbers: /dev/shm has large ones")
        with probe32.session(directory) as fake:
            fake.chown("file", 1001, 70000)
            fd = fake.open("file")
            fake.ok("mknod", "disk", stat.S_IFBLK | 0o660, harness.encode_device(259, 70000))
            old = harness.row_of(Abi.I386, "oldstat")
            assert old
            # old_encode_dev(): the sum is cut, not its parts.
            rdev = fake.call(*call_of(old, "disk", -1)).attributes["rdev"]
            assert rdev == (259 << 8 | 70000) & 0xFFFF
            for row in harness.rows_of(Abi.I386, "stat"):
                if row.variant != "i386_oldstat":
                    continue
                result = fake.call(*call_of(row, "file", fd))
                shown = result.attributes
                assert result.intact, row.name
                assert (shown["uid"], shown["gid"]) == (1001, LOW_ID_OF_LARGE), row.name
                assert (shown["mode"], shown["size"]) == (stat.S_IFREG | 0o640, 5), row.name
                assert (shown["ino"], shown["nlink"]) == (file.stat().st_ino, 1), row.name
    finally:
        shutil.rmtree(directory)


def test_layouts_with_16_bit_ids_show_larger_ones_as_overflow(fake32: Session) -> None:
    fake32.chown("file", 70001, 65535)
    shown = fake32.call("stat", "file", buffer(64))
    # The first row named stat is that of the 64-bit layout's elder brother.
    row = next(row for row in harness.rows_of(Abi.I386, "stat") if row.number(Abi.I386) == 106)
    shown = fake32.call(row, "file", buffer(64))
    assert (shown.attributes["uid"], shown.attributes["gid"]) == (LOW_ID_OF_LARGE, 65535)
    assert fake32.owner("file") == (70001, 65535)


def test_links_are_followed_only_where_asked(fake: Session) -> None:
    fake.chown("link", 3, 4)
    fake.chown("file", 5, 6)
    assert fake.owner("link") == (3, 4)
    assert fake.stat("link", flags=0)["uid"] == 5
    assert stat.S_ISLNK(fake.mode("link"))


def test_descriptors_of_every_kind_are_shown(fake: Session) -> None:
    fake.chown("file", 5, 6)
    fake.chown("link", 7, 8)
    assert fake.fstat(fake.open("file"))["uid"] == 5
    assert fake.fstat(fake.open("file", os.O_PATH))["uid"] == 5
    link = fake.open("link", os.O_PATH | os.O_NOFOLLOW)
    assert fake.fstat(link)["uid"] == 7
    assert fake.stat("", dirfd=link, flags=AT_EMPTY_PATH)["uid"] == 7
    assert fake.fstat(fake.open("dir", os.O_DIRECTORY))["uid"] == 0
    for number in (*fake.pipe(), *fake.socketpair()):
        assert fake.fstat(number)["uid"] == 0


def test_every_dirfd_is_a_base(fake: Session) -> None:
    fake.chown("dir/inside", 5, 6)
    for flags in (os.O_RDONLY, os.O_PATH):
        fd = fake.open("dir", flags | os.O_DIRECTORY)
        assert fake.stat("inside", dirfd=fd)["uid"] == 5
        assert fake.stat("../dir/inside", dirfd=garbled(fd))["uid"] == 5
    assert fake.stat("dir/inside", dirfd=garbled(AT_FDCWD))["uid"] == 5
    assert fake.stat(f"{fake.directory}/dir/inside", dirfd=-1)["uid"] == 5


def test_a_moved_working_directory_is_still_the_base(fake: Session) -> None:
    fake.chown("dir", 5, 6)
    fake.chown("dir/inside", 7, 8)
    fake.ok("chdir", "dir")
    (fake.directory / "dir").rename(fake.directory / "elsewhere")
    assert fake.owner(".") == (5, 6)
    assert fake.owner("inside") == (7, 8)


def test_a_removed_working_directory_is_still_shown(fake: Session) -> None:
    fake.chown("empty", 5, 6)
    fake.ok("chdir", "empty")
    fake.ok("rmdir", f"{fake.directory}/empty")
    shown = fake.stat(".")
    assert (shown["uid"], shown["gid"], shown["nlink"]) == (5, 6, 0)
    assert not fake.exists("file")


def test_a_thread_with_its_own_working_directory_is_asked_for_it(fake: Session) -> None:
    fake.chown("dir/inside", 5, 6)
    fake.go_on_in_thread()
    fake.ok("unshare", CLONE_FS)
    fake.ok("chdir", "dir")
    assert fake.owner("inside") == (5, 6)
    fake.chown("inside", 7, 8)
    assert fake.owner("inside") == (7, 8)
    assert not fake.exists("file")


def test_a_child_sees_what_its_parent_has_changed(fake: Session) -> None:
    fake.chown("file", 5, 6)
    fake.go_on_in_child()
    assert fake.owner("file") == (5, 6)


PATHS_OF_THE_OWN_PROCESS = (
    "/proc/self/fd/{file}",
    "/proc/thread-self/fd/{file}",
    "/dev/fd/{file}",
    "/dev/stdin",
    "/proc/self/fd/{dir}/inside",
    "/dev/fd/{dir}/inside",
    "/proc/self/cwd/file",
    "/proc/self/root{here}/file",
    "/dev/./fd/{file}",
    "/dev/../dev/fd/{file}",
    "/proc/../proc/self/fd/{file}",
    "//proc//self//fd/{file}",
    "to-fd/{file}",
    "to-stdin",
)


def test_a_path_through_the_own_process_is_that_of_the_program(probe: Probe, tree: Path) -> None:
    (tree / "to-fd").symlink_to("/proc/self/fd")
    (tree / "to-stdin").symlink_to("/dev/stdin")
    inodes = {(tree / "file").stat().st_ino, (tree / "dir" / "inside").stat().st_ino}
    with probe.session(tree) as fake:
        fake.chown("file", 5, 6)
        fake.chown("dir/inside", 5, 6)
        # Numbers that the supervisor uses for itself.
        for low in (fake.open("file"), fake.open("file"), fake.open("file"), fake.open("file")):
            fake.ok("dup3", low, 0, 0)
            fd = fake.open("dir", os.O_PATH)
            for path in PATHS_OF_THE_OWN_PROCESS:
                name = path.format(file=low, dir=fd, here=tree)
                shown = fake.stat(name, flags=0)
                assert (shown["uid"], shown["gid"], shown["size"]) in ((5, 6, 5), (5, 6, 1)), name
                assert shown["ino"] in inodes, name


def test_a_directory_that_is_searchable_to_root_only_can_be_searched(fake: Session) -> None:
    fake.ok("chmod", "dir", 0)
    assert fake.stat("dir/inside")["size"] == 1


def test_errors_come_in_the_kernel_s_order(fake: Session) -> None:
    name, size = ("newfstatat", 144) if fake.abi is Abi.X86_64 else ("fstatat64", 96)

    def fails(error: int, dirfd: int, path: str | int, flags: int = 0, room: int = size) -> None:
        fake.fails(error, name, dirfd, path, buffer(room), flags)

    for pointer in BAD_POINTERS:
        fails(errno.EFAULT, AT_FDCWD, pointer)
    fails(errno.EFAULT, 777, unterminated("file"))
    fails(errno.EFAULT, AT_FDCWD, unterminated("x" * (PATH_MAX - 1)))
    fails(errno.ENAMETOOLONG, AT_FDCWD, unterminated("x" * PATH_MAX))
    fails(errno.ENAMETOOLONG, 777, "./" * (PATH_MAX // 2))
    fails(errno.ENAMETOOLONG, AT_FDCWD, "n" * (NAME_MAX + 1))
    fails(errno.ENOENT, 777, "")
    fails(errno.EBADF, 777, "", AT_EMPTY_PATH)
    fails(errno.EBADF, 777, "file")
    fails(errno.EBADF, -1, "file")
    fails(errno.ENOTDIR, fake.open("file"), "x")
    fails(errno.ENOTDIR, AT_FDCWD, "file/")
    fails(errno.ELOOP, AT_FDCWD, "loop")
    fails(errno.ENOENT, AT_FDCWD, "dangling")
    fails(errno.EINVAL, 777, "file", 0x200)
    fails(errno.EINVAL, AT_FDCWD, 1, 1)
    fake.fails(errno.EBADF, "fstat" if fake.abi is Abi.X86_64 else "fstat64", 777, 1)


def test_paths_may_end_before_an_unmapped_page_and_be_as_long_as_path_max(fake: Session) -> None:
    fake.chown("file", 5, 6)
    longest = "./" * ((PATH_MAX - 5) // 2) + "/file"
    assert len(longest) == PATH_MAX - 1
    for path in (at_page_end("file"), across_pages("file"), longest, across_pages(longest)):
        assert fake.owner(path) == (5, 6)


def test_a_bad_buffer_is_efault_and_nothing_behind_it_is_touched(fake: Session) -> None:
    for row in harness.rows_of(fake.abi, "stat"):
        if row.variant == "i386_oldstat":
            continue  # most often EOVERFLOW comes first
        size = layout_size(row.variant)
        fd = fake.open("file")
        call = list(call_of(row, "file", fd))
        at = 1 + row.position("buffer")
        for bad in (*BAD_POINTERS, buffer_cut(size, size - 1), buffer_read_only(size)):
            call[at] = bad
            fake.fails(errno.EFAULT, *call)
        call[at] = buffer_at_page_end(size)
        fake.ok(*call)


def test_statx_says_it_gives_what_was_asked_for(fake: Session) -> None:
    fake.chown("file", 5, 6)
    for mask in (0, STATX_BASIC, STATX_BASIC | STATX_BTIME):
        shown = fake.call("statx", AT_FDCWD, "file", 0, mask, buffer(256)).attributes
        assert (shown["uid"], shown["gid"]) == (5, 6)
        if mask:
            assert shown["mask"] & mask == mask
        if not mask & STATX_BTIME:
            assert not shown["mask"] & STATX_BTIME
            assert shown["btime"] == bytes(16)
    fake.fails(errno.EINVAL, "statx", AT_FDCWD, "file", 0, 0x8000_0000, buffer(256))


def test_flags_that_only_statx_refuses_do_not_show_the_real_owner(fake: Session) -> None:
    name, size = ("newfstatat", 144) if fake.abi is Abi.X86_64 else ("fstatat64", 96)
    fake.chown("file", 5, 6)
    both = 0x6000  # AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC
    result = fake.call(name, AT_FDCWD, "file", buffer(size), both)
    assert result.error == errno.EINVAL or result.attributes["uid"] == 5
    fake.fails(errno.EINVAL, "statx", AT_FDCWD, "file", both, STATX_BASIC, buffer(256))


def test_garbage_in_the_high_half_of_flags_is_ignored(fake64: Session) -> None:
    fake64.chown("link", 5, 6)
    assert fake64.stat("link", flags=garbled(AT_SYMLINK_NOFOLLOW))["uid"] == 5
