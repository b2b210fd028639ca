# SPDX-License-Identifier: Apache-2.0
"""The supervisor does nothing for a target that the kernel would have refused it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import bare, fake_output, python

OTHER_USER = 54321
PROTECTED_SYMLINKS = Path("/proc/sys/fs/protected_symlinks")

# Mode 0400 is more than the kernel may be left alone with: the supervisor makes the file.
CREATE = """
import errno, os, sys
try:
    os.close(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o400))
    print("made")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@contextlib.contextmanager
def _protecting(value: str) -> Iterator[None]:
    """The setting is the machine's: tests beside this one wait for their turn."""
    with (Path(tempfile.gettempdir()) / "fakeroot-sc-setting").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        before = PROTECTED_SYMLINKS.read_text()
        PROTECTED_SYMLINKS.write_text(value)
        try:
            yield
        finally:
            PROTECTED_SYMLINKS.write_text(before)


@pytest.fixture
def sticky(tmp_path: Path) -> Path:
    """A directory as /tmp, with another user's links."""
    place = tmp_path / "sticky"
    place.mkdir()
    place.chmod(0o1777)
    (place / "dangling").symlink_to(tmp_path / "made")
    (place / "away").symlink_to(tmp_path)
    for link in place.iterdir():
        os.chown(link, OTHER_USER, OTHER_USER, follow_symlinks=False)
    return place


@pytest.mark.root
@pytest.mark.parametrize("start", [[], ["unshare", "--mount"]], ids=["plain", "walked"])
def test_another_users_link_in_a_sticky_directory_leads_to_no_new_file(
    sticky: Path, start: list[str]
) -> None:
    """protected_symlinks of proc_sys_fs(5)."""
    command = [*start, *python(CREATE), str(sticky / "dangling")]
    with _protecting("1"):
        assert fake_output(command) == "EACCES\n"
    assert not (sticky.parent / "made").exists()
    with _protecting("0"):
        assert fake_output(command) == "made\n"


@pytest.mark.root
def test_another_users_link_in_a_sticky_directory_is_followed_on_the_way(sticky: Path) -> None:
    """It is a path's last link alone that is protected."""
    with _protecting("1"):
        command = [*python(CREATE), str(sticky / "away" / "new")]
        assert fake_output(command) == "made\n"
        assert fake_output(["mkdir", "-m", "0", str(sticky / "away" / "directory")]) == ""


def test_a_link_through_the_own_process_leads_where_the_kernel_would_go(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc/self/cwd/new")
    assert fake_output([*python(CREATE), "link"], cwd=tmp_path) == "made\n"
    assert (tmp_path / "new").exists()


@pytest.mark.root
def test_a_mount_without_links_has_none_for_the_supervisor(tmp_path: Path) -> None:
    """MS_NOSYMFOLLOW, Linux 5.10."""
    where = tmp_path / "where"
    where.mkdir()
    mounted = bare(["mount", "-t", "tmpfs", "-o", "nosymfollow", "tmpfs", where])
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted so: {mounted.stderr.strip()}")
    try:
        (where / "link").symlink_to(tmp_path / "made")
        assert fake_output([*python(CREATE), str(where / "link")]) == "ELOOP\n"
        assert (
            fake_output(["unshare", "--mount", *python(CREATE), str(where / "link")]) == "ELOOP\n"
        )
    finally:
        bare(["umount", where])
