# SPDX-License-Identifier: Apache-2.0
"""New names for what is there, and calls that go to the kernel, for real root and for fake root."""

from __future__ import annotations

import itertools
import os
import stat
import struct

import pytest
from differential import (
    COMPARED,
    PLAIN_PATHS,
    POINTERS,
    PairOf,
    adorn,
    arguments,
    descriptors,
    operation_rows,
)
from harness import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    LIBC_BUILDS,
    TREE,
    Token,
    buffer,
    garbled,
)

from fakeroot_sc.syscalls.row import AT_SYMLINK_FOLLOW, Syscall

pytestmark = pytest.mark.root

ODD_NAMES = (
    ".", "..", "/", "//", "./", "../", "", "dir/.", "dir/..", "dir/./", "missing/.", "missing/..",
    "file/.", "file/..", "file/", "new/", "link/", "dangling/", "link/.", "dirlink/.", "null/",
    "null/.", "./.", "dir//.//", "/.", "/..", "loop/.", "fifo/.", "n" * 256, "n" * 256 + "/.",
    "." * 3, "x/" * 2047 + ".",
)  # fmt: skip
KINDS = (0, stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR)
RAW = [build for build in COMPARED if build not in LIBC_BUILDS]
O_TMPFILE = 0o20200000
FLAGS = (
    AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_FOLLOW, AT_SYMLINK_FOLLOW, 0,
    AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH | 1, garbled(AT_EMPTY_PATH),
)  # fmt: skip


@pytest.mark.parametrize(("build", "row"), operation_rows("entries", "link"))
def test_what_is_open_gets_a_name_as_for_real_root(
    build: str, row: Syscall, pair_of: PairOf
) -> None:
    with pair_of(build) as pair:
        adorn(pair)
        fds = descriptors(pair)
        for name in ("null", "disk", "socket", "tool", "other"):
            fds[f"path to {name}"] = pair.open(name, os.O_PATH | os.O_NOFOLLOW)
        fds["nameless"] = pair.both("openat", AT_FDCWD, ".", O_TMPFILE | os.O_RDWR, 0)
        fds["named by nobody"] = pair.both(
            "openat", AT_FDCWD, ".", O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o644
        )
        del fds["huge"]
        given = {"new_dirfd": AT_FDCWD, "new_path": "named"}
        for fd, flags in itertools.product(fds.values(), FLAGS):
            pair.compare(
                [
                    arguments(row, dirfd=fd, path="", flags=flags, **given),
                    *pair.looks(["named"]),
                    ("unlink", "named"),
                ]
            )
        here = {"dirfd": AT_FDCWD, **given}
        for path in (*PLAIN_PATHS, *POINTERS, "null"):
            pair.compare(
                [
                    arguments(row, **{**here, "path": path, "flags": AT_EMPTY_PATH}),
                    *pair.looks(["named"]),
                    ("unlink", "named"),
                ]
            )
        for path in (*TREE, "missing/x", "new/", "", "file/x", *POINTERS):
            call = {"dirfd": fds["file"], "path": "", "flags": AT_EMPTY_PATH}
            pair.compare([arguments(row, **{**here, **call, "new_path": path}), ("unlink", "new")])
        for path, name in itertools.product(
            ODD_NAMES, ("file", "nameless", "null", "removed file")
        ):
            call = {"dirfd": fds[name] if name in fds else fds["path to null"], "path": ""}
            pair.compare(
                arguments(row, **{**here, **call, "new_path": path, "flags": flags})
                for flags in (AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_FOLLOW)
            )
        for path, name in itertools.product(ODD_NAMES, ("file", "nameless")):
            call = {"dirfd": AT_FDCWD, "path": f"/proc/self/fd/{fds[name]}", "new_path": path}
            pair.compare([arguments(row, **{**here, **call, "flags": AT_SYMLINK_FOLLOW})])
        pair.compare(pair.looks())


@pytest.mark.parametrize("build", COMPARED)
def test_names_that_end_oddly_are_answered_as_for_real_root(build: str, pair_of: PairOf) -> None:
    """Directories that are named by themselves, by others, by nothing, and with a slash behind."""
    with pair_of(build) as pair:
        adorn(pair)
        below = pair.open("dir", os.O_DIRECTORY)
        for path, directory in itertools.product(ODD_NAMES, (AT_FDCWD, below, 777)):
            pair.compare(
                [
                    ("mkdirat", directory, path, 0o755),
                    *(("mknodat", directory, path, kind | 0o600, 0x103) for kind in KINDS),
                    ("symlinkat", "file", directory, path),
                    ("linkat", AT_FDCWD, "file", directory, path, 0),
                    ("linkat", AT_FDCWD, "null", directory, path, 0),
                    ("linkat", directory, path, AT_FDCWD, "named", 0),
                    ("openat", directory, path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0),
                    ("unlinkat", directory, path, 0),
                ]
            )
            for flags in (0, 1, 2, 3, 4, 8):
                pair.compare(
                    [
                        ("renameat2", AT_FDCWD, "tool", directory, path, flags),
                        ("renameat2", AT_FDCWD, "empty", directory, path, flags),
                        ("renameat2", directory, path, AT_FDCWD, "disk", flags),
                    ]
                )
        pair.compare(pair.looks())


@pytest.mark.parametrize("build", RAW)
def test_a_child_names_what_its_parent_has_opened(build: str, pair_of: PairOf) -> None:
    with pair_of(build) as pair:
        adorn(pair)
        number = pair.both("openat", AT_FDCWD, ".", O_TMPFILE | os.O_RDWR, 0o4711)
        for side in (pair.real, pair.fake):
            side.go_on_in_child()
        pair.ok("linkat", number, "", AT_FDCWD, "named", AT_EMPTY_PATH)
        for side in (pair.real, pair.fake):
            side.go_on_in_parent()
        pair.compare(pair.looks(["named"]))


def handle(size: int) -> Token:
    """struct file_handle with room for so many bytes, which may differ."""
    return Token("s:" + (struct.pack("<Ii", size, 0) + b"\0" * 128 + b"!").hex())


@pytest.mark.parametrize("build", RAW)
def test_what_the_kernel_answers_alone_works_on_what_is_remembered(
    build: str, pair_of: PairOf
) -> None:
    with pair_of(build) as pair:
        adorn(pair)
        fds = descriptors(pair)
        names = (*TREE, "missing", "null/x", *POINTERS)
        for path, size in itertools.product(names, (0, 128, 129)):
            pair.compare(
                ("name_to_handle_at", AT_FDCWD, path, handle(size), buffer(4), flags)
                for flags in (0, AT_SYMLINK_FOLLOW, 1)
            )
        for path, size in itertools.product(names, (0, 8, 24, 4097)):
            pair.compare(
                ("file_getattr", AT_FDCWD, path, Token("s:" + ("00" * 4200)), size, flags)
                for flags in (0, AT_SYMLINK_NOFOLLOW, 1)
            )
        # FS_XFLAG_NODUMP, which an owner may set.
        attributes = struct.pack("<QIIII", 0x80, 0, 0, 0, 0)
        for path, at in itertools.product(("file", "dir", "tool", "link"), (0, 0x100)):
            pair.compare(
                ("file_setattr", AT_FDCWD, path, Token("s:" + (attributes + b"!").hex()), size, at)
                for size in (24, 8)
            )
        pair.compare(
            ("file_getattr", fd, "", buffer(24), 24, AT_EMPTY_PATH)
            for name, fd in fds.items()
            if name in ("file", "dir", "closed", "minus one")
        )
        pair.compare(pair.looks())
