# SPDX-License-Identifier: Apache-2.0
"""access and its kin: root may do everything but execute what nobody may execute."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
from commands import fake_output, fake_script, need
from harness import (
    AT_EACCESS,
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    BAD_POINTERS,
    PATH_MAX,
    Probe,
    Session,
    encode_device,
)

R, W, X = os.R_OK, os.W_OK, os.X_OK


def asks(fake: Session, path: Any, mode: int) -> Iterator[tuple[Any, ...]]:
    """Every call of the family that asks this of a path."""
    values = {"path": path, "dirfd": AT_FDCWD, "flags": 0, "mode": mode}
    for row in harness.rows_of(fake.abi, "access"):
        yield (row, *(values[name] for name in row.arguments))


def granted(fake: Session, path: Any) -> int:
    """Which of R, W and X root is granted, alone and together, by every call alike."""
    answers = []
    for mode in range(8):
        (outcome,) = {fake.call(*ask).outcome for ask in asks(fake, path, mode)}
        assert outcome in ("0", "EACCES"), (path, mode, outcome)
        answers.append(outcome == "0")
    bits = sum(bit for bit in (R, W, X) if answers[bit])
    assert answers == [mode & bits == mode for mode in range(8)], path
    return bits


def test_every_file_can_be_read_and_written_and_what_has_an_x_executed(
    any_probe: Probe, tree: Path
) -> None:
    with any_probe.session(tree) as fake:
        for mode in (0, 0o1, 0o10, 0o100, 0o222, 0o444, 0o611, 0o666, 0o755, 0o7666):
            for name in ("file", "fifo", "dir"):
                fake.ok("chmod", name, mode)
                executable = name == "dir" or mode & 0o111
                assert granted(fake, name) == R | W | (X if executable else 0), (name, mode)


def test_a_file_that_does_not_belong_to_the_user_is_root_s_as_well(fake: Session) -> None:
    foreign = [
        path
        for path in ("/etc/shadow", "/etc/passwd", "/root", "/usr/bin", "/usr/bin/env", "/")
        if Path(path).exists()
        and not os.access(path, W)
        and not os.statvfs(path).f_flag & (os.ST_RDONLY | os.ST_NOEXEC)
    ]
    if not foreign:
        pytest.skip("all files here belong to the user, or cannot be written at all")
    for path in foreign:
        mode = fake.stat(path)["mode"]
        expected = X if stat.S_ISDIR(mode) or mode & 0o111 else 0
        assert granted(fake, path) == R | W | expected, path


def test_the_remembered_mode_counts_where_the_real_one_could_not_be_changed(fake: Session) -> None:
    path = "/usr/bin/env"
    if Path(path).stat().st_uid == os.getuid():
        pytest.skip(f"{path} belongs to the user")
    fake.ok("chmod", path, 0o644)
    for ask in asks(fake, path, X):
        fake.fails(errno.EACCES, *ask)
    fake.ok("chmod", path, 0o4)
    assert granted(fake, path) & (R | X) == R
    fake.ok("chmod", path, 0o10)
    for ask in asks(fake, path, R | X):
        fake.ok(*ask)


def test_the_remembered_mode_counts_whatever_has_become_of_the_real_one(
    fake: Session, tree: Path
) -> None:
    fake.ok("chmod", "file", 0o4644)
    (tree / "file").chmod(0o755)
    assert granted(fake, "file") == R | W
    fake.ok("chmod", "tool", 0o4755)
    (tree / "tool").chmod(0)
    assert granted(fake, "tool") == R | W | X


def test_a_device_is_asked_as_the_device_it_shows(fake: Session) -> None:
    for kind in (stat.S_IFCHR, stat.S_IFBLK):
        for mode in (0, 0o100, 0o660, 0o755):
            fake.ok("mknod", "node", kind | mode, encode_device(1, 3))
            assert granted(fake, "node") == R | W | (X if mode & 0o111 else 0)
            fake.ok("unlink", "node")


def test_links_are_followed_unless_forbidden(fake: Session) -> None:
    fake.ok("chmod", "file", 0)
    assert granted(fake, "link") == R | W
    fake.fails(errno.EACCES, "faccessat2", AT_FDCWD, "link", X, 0)
    for name in ("link", "dangling", "loop"):
        fake.ok("faccessat2", AT_FDCWD, name, R | W | X, AT_SYMLINK_NOFOLLOW | AT_EACCESS)
    fake.fails(errno.ENOENT, "faccessat2", AT_FDCWD, "dangling", R, 0)
    fake.fails(errno.ELOOP, "access", "loop", R)


def test_descriptors_can_be_asked_of(fake: Session) -> None:
    fake.ok("chmod", "file", 0o200)
    removed = fake.open("tool", os.O_PATH)
    fake.ok("chmod", "tool", 0o611)
    fake.ok("unlink", "tool")
    for number, answer in ((fake.open("file", os.O_PATH), False), (removed, True)):
        fake.ok("faccessat2", number, "", R | W, AT_EMPTY_PATH)
        for path, flags in (("", AT_EMPTY_PATH), (f"/proc/self/fd/{number}", 0)):
            outcome = fake.call("faccessat2", number, path, X, flags).outcome
            assert outcome == ("0" if answer else "EACCES")
    directory = fake.open("dir", os.O_DIRECTORY)
    fake.ok("chmod", "dir/inside", 0)
    fake.ok("faccessat", directory, "inside", R | W)
    fake.fails(errno.EACCES, "faccessat", directory, "inside", X)
    fake.ok("faccessat2", directory, "", R | W | X, AT_EMPTY_PATH | AT_EACCESS)


def test_a_directory_that_the_user_cannot_search_is_open_to_root(fake: Session, tree: Path) -> None:
    (tree / "dir").chmod(0)
    for ask in asks(fake, "dir/inside", R | W):
        fake.ok(*ask)
    assert fake.mode("dir") & 0o7777 == 0


def test_what_is_wrong_is_named_in_the_kernel_s_order(fake: Session) -> None:
    for mode in (*range(1, 8), 0):
        for pointer in BAD_POINTERS:
            fake.fails(errno.EFAULT, "access", pointer, mode)
        fake.fails(errno.ENOENT, "access", "missing", mode)
        fake.fails(errno.ENOENT, "access", "", mode)
        fake.fails(errno.ENOTDIR, "access", "file/", mode)
        fake.fails(errno.ENAMETOOLONG, "access", "x" * PATH_MAX, mode)
        fake.fails(errno.EBADF, "faccessat", 777, "file", mode)
        fake.fails(errno.EBADF, "faccessat2", 777, "", mode, AT_EMPTY_PATH)
        fake.fails(errno.ENOENT, "faccessat2", AT_FDCWD, "", mode, 0)
        fake.fails(errno.EINVAL, "faccessat2", 777, 1, mode, 1)
    for mode in (8, 12, 0o100, -1):
        fake.fails(errno.EINVAL, "access", 1, mode)
        fake.fails(errno.EINVAL, "faccessat2", 777, "missing", mode, 0)


def test_unknown_is_real_takes_no_rights_away(probe: Probe, tree: Path) -> None:
    (tree / "file").chmod(0)
    with probe.session(tree, "-u") as fake:
        assert granted(fake, "file") == R | W


ANSWERS = """
umask 022; touch closed open tool; mkdir dir; mknod device c 1 3
chmod 000 closed; chmod 644 open; chmod 611 tool; chmod 100 dir
[ -r closed ] && [ -w closed ] && [ ! -x closed ]
for file in closed open tool dir device; do
    for right in e r w x; do
        if test -$right $file; then printf %s $right; else printf -- -; fi
    done
    printf ' '
done
"""


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh", "sh with programs"])
def test_every_shell_finds_the_rights_of_root(tmp_path: Path, shell: str) -> None:
    program, *more = shell.split()
    script = ANSWERS
    if "with" in more:  # test(1) and [(1) of coreutils
        script, more = script.replace("test ", "env test ").replace("[ -", "env [ -"), []
    package = {"busybox": "busybox-static"}.get(program, program)
    output = fake_output([need(program, package), *more, "-euc", script], cwd=tmp_path)
    assert output == "erw- erw- erwx erwx erw- "


def test_python_finds_the_rights_of_root(tmp_path: Path) -> None:
    program = (
        "import os; print(*(os.access('file', mode) for mode in range(8)),"
        " os.access('file', 4, effective_ids=True), os.access('link', 7, follow_symlinks=False))"
    )
    script = f'touch file; ln -s missing link; chmod 0 file; python3 -I -S -c "{program}"'
    need("python3", "python3")
    wanted = "True False True False True False True False True True\n"
    assert fake_script(script, tmp_path) == wanted
