# SPDX-License-Identifier: Apache-2.0
"""What a name's removal or move does to what is remembered of its file."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import harness
import pytest
from harness import AT_FDCWD, AT_REMOVEDIR, BAD_POINTERS, PATH_MAX, Probe, Session, buffer, garbled

from fakeroot_sc.syscalls.row import Abi

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
ROUNDS = 50
TRIES = 20


def reborn(directory: Path, make: Callable[[str], None], rounds: int = ROUNDS) -> str:
    """Has a file made, removes it from outside, and makes one on its inode number.

    Other processes of the machine are after freed numbers too, hence the rounds.
    """
    for round_number in range(rounds):
        make(f"victim{round_number}")
        victim = directory / f"victim{round_number}"
        inode = victim.lstat().st_ino
        victim.unlink()
        for number in range(TRIES):
            path = directory / f"reborn{round_number}-{number}"
            path.write_bytes(b"new")
            path.chmod(0o644)
            if path.stat().st_ino == inode:
                return path.name
    pytest.skip("this file system does not hand out a freed inode number again soon")


def test_a_file_removed_outside_takes_its_record_along(any_probe: Probe, tree: Path) -> None:
    with any_probe.session(tree) as fake:

        def make(name: str) -> None:
            fake.ok("mknod", name, stat.S_IFREG | 0o4711, 0)
            fake.chown(name, 5, 6)
            fake.ok("chmod", name, 0o4711)

        name = reborn(tree, make)
        assert (fake.owner(name), fake.mode(name)) == ((0, 0), stat.S_IFREG | 0o644)


def test_a_file_that_was_seen_often_and_is_removed_outside_takes_its_record_along(
    probes: Callable[[str], Probe], tree: Path
) -> None:
    """The shim looks at a birth time once, and from then on at the last change."""
    (tree / "trial").mkdir()
    reborn(tree / "trial", lambda name: (tree / "trial" / name).touch())
    with probes("x86-64-libc").session(tree) as fake:

        def make(name: str) -> None:
            (tree / name).touch(mode=0o644)
            fake.chown(name, 5, 6)
            end = (tree / name).stat().st_ctime + 2.5
            while time.time() < end:
                assert fake.owner(name) == (5, 6)

        assert fake.owner(reborn(tree, make, rounds=8)) == (0, 0)


def test_a_device_removed_outside_takes_its_record_along(fake: Session, tree: Path) -> None:
    def make(name: str) -> None:
        fake.ok("mknod", name, stat.S_IFCHR | 0o600, 5)

    name = reborn(tree, make)
    shown = fake.stat(name)
    assert (shown["mode"], shown["rdev"]) == (stat.S_IFREG | 0o644, 0)
    fake.ok("chmod", name, 0o4755)
    assert fake.mode(name) == stat.S_IFREG | 0o4755


@pytest.mark.parametrize("call", ["unlink", "unlinkat"])
def test_a_removed_file_takes_its_record_along(call: str, fake: Session, tree: Path) -> None:
    for _ in range(10):
        fake.ok("close", fake.open("new", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        assert fake.owner("new") == (0, 0)
        fake.chown("new", 5, 6)
        if call == "unlink":
            fake.ok("unlink", "new")
        else:
            fake.ok("unlinkat", AT_FDCWD, "new", 0)
        assert not (tree / "new").exists()


def test_a_removed_directory_takes_its_record_along(fake: Session) -> None:
    for number in range(10):
        fake.ok("mkdirat", AT_FDCWD, "new", 0o755)
        assert fake.owner("new") == (0, 0)
        fake.chown("new", 5, 6)
        if number % 2:
            fake.ok("rmdir", "new")
        else:
            fake.ok("unlinkat", AT_FDCWD, "new", garbled(AT_REMOVEDIR))


def test_a_file_keeps_its_record_until_its_last_link_is_removed(fake: Session) -> None:
    fake.chown("file", 5, 6)
    fake.ok("unlink", "file")
    assert fake.owner("hard") == (5, 6)
    fd = fake.open("hard", os.O_PATH)
    fake.ok("unlink", "hard")
    assert fake.fstat(fd)["uid"] == 5


def test_a_removal_that_fails_forgets_nothing(fake: Session) -> None:
    fake.chown("dir", 5, 6)
    fake.chown("file", 7, 8)
    fake.fails(errno.ENOTEMPTY, "rmdir", "dir")
    fake.fails(errno.EISDIR, "unlink", "dir")
    fake.fails(errno.ENOTDIR, "rmdir", "file")
    fake.fails(errno.ENOTDIR, "unlink", "file/")
    fake.fails(errno.EINVAL, "rmdir", "dir/.")
    fake.fails(errno.ENOTEMPTY, "rmdir", "dir/..")
    fake.fails(errno.EINVAL, "unlinkat", AT_FDCWD, "file", 1)
    fake.fails(errno.EBADF, "unlinkat", 777, "file", 0)
    assert (fake.owner("dir"), fake.owner("file")) == ((5, 6), (7, 8))


def test_errors_are_those_of_the_kernel_whether_something_is_remembered_or_not(
    fake: Session,
) -> None:
    for _ in range(2):
        for pointer in BAD_POINTERS:
            fake.fails(errno.EFAULT, "unlink", pointer)
            fake.fails(errno.EFAULT, "rmdir", pointer)
            fake.fails(errno.EFAULT, "rename", pointer, "file")
            fake.fails(errno.EFAULT, "rename", "file", pointer)
        fake.fails(errno.ENOENT, "unlink", "")
        fake.fails(errno.ENOENT, "unlink", "missing")
        fake.fails(errno.ENOTDIR, "unlink", "file/x")
        fake.fails(errno.ENAMETOOLONG, "unlink", "x" * PATH_MAX)
        fake.fails(errno.ENOENT, "rename", "missing", "file")
        fake.fails(errno.EISDIR, "rename", "file", "dir")
        fake.fails(errno.ENOTDIR, "rename", "dir", "file")
        fake.fails(errno.ENOTEMPTY, "rename", "empty", "dir")
        fake.fails(errno.EINVAL, "rename", "dir", "dir/below")
        fake.fails(errno.EBUSY, "rename", "file", "..")
        for name in ("file", "dir", "link"):
            fake.chown(name, 5, 6)
    assert [fake.owner(name) for name in ("file", "dir", "link")] == [(5, 6)] * 3


def test_a_symbolic_link_is_removed_and_not_its_file(fake: Session) -> None:
    fake.chown("file", 5, 6)
    fake.chown("link", 7, 8)
    fake.ok("unlink", "link")
    assert fake.owner("file") == (5, 6)
    fake.ok("symlinkat", "file", AT_FDCWD, "link")
    assert fake.owner("link") == (0, 0)


def test_a_renamed_file_takes_its_record_along(fake: Session) -> None:
    fake.chown("tool", 5, 6)
    fake.ok("chmod", "tool", 0o4755)
    fake.ok("rename", "tool", "dir/moved")
    fake.ok("renameat", fake.open("dir"), "moved", AT_FDCWD, "here")
    fake.ok("renameat2", AT_FDCWD, "here", fake.open("empty", os.O_PATH), "there", 0)
    assert (fake.owner("empty/there"), fake.mode("empty/there")) == ((5, 6), stat.S_IFREG | 0o4755)


def test_a_file_renamed_over_is_forgotten(fake: Session, tree: Path) -> None:
    for number in range(10):
        fake.chown("other", 100 + number, 7)
        fd = fake.open("other", os.O_PATH)
        fake.ok("close", fake.open("new", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        assert fake.owner("new") == (0, 0)
        if number % 2:
            fake.ok("rename", "new", "other")
        else:
            fake.ok("renameat2", AT_FDCWD, "new", AT_FDCWD, "other", garbled(0))
        assert fake.owner("other") == (0, 0)
        assert fake.fstat(fd)["uid"] == 100 + number
        fake.ok("close", fd)


def test_a_file_renamed_over_keeps_its_record_for_its_other_links(fake: Session) -> None:
    fake.chown("file", 5, 6)
    fake.ok("rename", "other", "file")
    assert (fake.owner("file"), fake.owner("hard")) == ((0, 0), (5, 6))


def test_renaming_one_link_over_another_does_nothing(fake: Session) -> None:
    fake.chown("file", 5, 6)
    fake.ok("rename", "file", "hard")
    assert (fake.owner("file"), fake.owner("hard")) == ((5, 6), (5, 6))


def test_an_exchange_forgets_nothing(fake: Session) -> None:
    fake.chown("file", 5, 6)
    fake.chown("dir", 7, 8)
    fake.ok("renameat2", AT_FDCWD, "file", AT_FDCWD, "dir", RENAME_EXCHANGE)
    assert (fake.owner("dir"), fake.owner("file")) == ((5, 6), (7, 8))
    assert stat.S_ISDIR(fake.mode("file"))


def test_a_rename_that_must_not_replace_forgets_nothing(fake: Session) -> None:
    fake.chown("file", 5, 6)
    call = ("renameat2", AT_FDCWD, "other", AT_FDCWD, "file")
    fake.fails(errno.EEXIST, *call, RENAME_NOREPLACE)
    fake.fails(errno.EINVAL, *call, RENAME_NOREPLACE | RENAME_EXCHANGE)
    fake.fails(errno.EINVAL, *call, 0x80)
    assert fake.owner("file") == (5, 6)


def test_entries_are_found_below_every_dirfd_and_through_the_own_process(fake: Session) -> None:
    fd = fake.open("dir", os.O_PATH)
    paths = [f"/proc/self/fd/{fd}/x", f"/dev/fd/{fd}/x", f"/dev/./fd/{fd}/x",
             "/proc/self/cwd/dir/x", f"{fake.directory}/dir/x"]  # fmt: skip
    for path in paths:
        fake.ok("mknod", "dir/x", 0o644, 0)
        fake.chown("dir/x", 5, 6)
        fake.ok("unlink", path)
        fake.ok("mknod", "dir/x", 0o644, 0)
        assert fake.owner("dir/x") == (0, 0), path
        fake.chown("dir/x", 5, 6)
        fake.ok("rename", "dir/inside", path)
        fake.ok("rename", path, "dir/inside")
        assert fake.owner("dir/inside") == (0, 0), path
    fake.chown("dir/inside", 5, 6)
    fake.ok("unlinkat", fd, "inside", 0)
    assert not fake.exists("dir/inside")


def test_names_in_a_removed_directory_are_enoent(fake: Session) -> None:
    fake.chown("empty", 5, 6)
    fd = fake.open("empty", os.O_DIRECTORY)
    fake.ok("rmdir", "empty")
    fake.fails(errno.ENOENT, "unlinkat", fd, "x", 0)
    fake.fails(errno.ENOENT, "renameat", AT_FDCWD, "file", fd, "x")
    assert fake.fstat(fd)["uid"] == 5


def test_many_open_removed_files_keep_their_owners_to_themselves(fake64: Session) -> None:
    assert fake64.abi is Abi.X86_64
    fds = []
    for number in range(150):  # below SCRIPT_FD of the probe
        fds.append(fake64.open("one", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        fake64.chown("one", 1000 + number, 5)
        fake64.ok("unlink", "one")
    results = fake64.calls([("fstat", fd, buffer(harness.layout_size("stat"))) for fd in fds])
    assert [result.attributes["uid"] for result in results] == [1000 + n for n in range(150)]
