# SPDX-License-Identifier: Apache-2.0
"""The time of last change moves with what is only remembered, as with what is real."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
from harness import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, Session

CLOCK_REALTIME_COARSE = 5
IN_ATTRIB = 4
IN_NONBLOCK = 0o4000
PATIENCE = 10.0

NAMES = ("file", "dir", "link", "fifo", "socket", "tool", "other")


def a_tick_later(path: Path) -> int:
    """Waits until a change moves the file's time of last change; returns that."""
    before = path.lstat().st_ctime_ns
    end = time.monotonic() + PATIENCE
    while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) <= before:
        assert time.monotonic() < end
    return before


CHANGES: dict[str, list[tuple[Any, ...]]] = {
    "owner": [("fchownat", AT_FDCWD, "{}", 5, -1, AT_SYMLINK_NOFOLLOW)],
    "owner again": [("fchownat", AT_FDCWD, "{}", 5, -1, AT_SYMLINK_NOFOLLOW)],
    "group": [("fchownat", AT_FDCWD, "{}", -1, 6, AT_SYMLINK_NOFOLLOW)],
    "nothing": [("fchownat", AT_FDCWD, "{}", -1, -1, AT_SYMLINK_NOFOLLOW)],
    "attribute": [("lsetxattr", "{}", "trusted.one", harness.at_page_end("x"), 1, 0)],
    "attribute again": [("lsetxattr", "{}", "trusted.one", harness.at_page_end("y"), 1, 0)],
    "security": [("lsetxattr", "{}", "security.one", harness.at_page_end("y"), 1, 0)],
    "removal": [("lremovexattr", "{}", "trusted.one")],
}


def test_what_is_remembered_moves_the_time_of_change(fake: Session, tree: Path) -> None:
    for name in NAMES:
        kept = (tree / name).lstat()
        for change, calls in CHANGES.items():
            before = a_tick_later(tree / name)
            for call in calls:
                fake.ok(*(name if argument == "{}" else argument for argument in call))
            now = (tree / name).lstat()
            assert now.st_ctime_ns > before, f"{change} of {name}"
            assert (now.st_mtime_ns, now.st_mode) == (kept.st_mtime_ns, kept.st_mode)
            assert (now.st_uid, now.st_gid) == (kept.st_uid, kept.st_gid)


def test_a_descriptor_s_file_moves_its_time_of_change(fake: Session, tree: Path) -> None:
    for name in ("file", "dir", "tool"):
        fd, mere = fake.open(name), fake.open(name, os.O_PATH)
        wide = "fchown32" if fake.abi is harness.Abi.I386 else "fchown"
        for call in (
            (wide, fd, 5, 6),
            (wide, fd, 5, 6),
            ("fchownat", fd, "", 7, 8, AT_EMPTY_PATH),
            ("fchownat", mere, "", 5, 6, AT_EMPTY_PATH),
            ("fsetxattr", fd, "trusted.one", harness.at_page_end("x"), 1, 0),
        ):
            before = a_tick_later(tree / name)
            fake.ok(*call)
            assert (tree / name).stat().st_ctime_ns > before, f"{call[0]} of {name}"


def test_what_fails_moves_nothing(fake: Session, tree: Path) -> None:
    before = a_tick_later(tree / "file")
    fake.call("fchownat", AT_FDCWD, "file", 5, 6, 1)
    fake.call("setxattr", "file", "trusted.", harness.at_page_end("x"), 1, 0)
    fake.call("setxattr", "file", "trusted.one", harness.at_page_end("x"), 1, 2)
    assert (tree / "file").stat().st_ctime_ns == before


def test_real_set_id_bits_stay(fake: Session, tree: Path) -> None:
    """They are cleared to those who look from inside, as for real root."""
    for name in ("tool", "file"):
        (tree / name).chmod(0o4755)
        a_tick_later(tree / name)
        fake.chown(name, 5, 6)
        assert fake.mode(name) == stat.S_IFREG | 0o755
        assert stat.S_IMODE((tree / name).stat().st_mode) == 0o4755


@pytest.fixture
def watch(tree: Path) -> Iterator[int]:
    """A descriptor that tells of changes of the files in the tree."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(IN_NONBLOCK)
    assert fd >= 0
    assert libc.inotify_add_watch(fd, os.fsencode(tree), IN_ATTRIB) >= 0
    yield fd
    os.close(fd)


def told(fd: int) -> list[str]:
    try:
        data = os.read(fd, 4096)
    except BlockingIOError:
        return []
    names = []
    while data:
        (length,) = struct.unpack_from("I", data, 12)
        names.append(os.fsdecode(data[16 : 16 + length].rstrip(b"\0")))
        data = data[16 + length :]
    return names


def test_who_watches_a_directory_hears_of_a_new_owner(
    fake: Session, tree: Path, watch: int
) -> None:
    for name in ("file", "dir", "link", "fifo"):
        a_tick_later(tree / name)
        told(watch)
        fake.chown(name, 5, 6)
        assert told(watch) == [name]
