# SPDX-License-Identifier: Apache-2.0
"""Started by real root, fakeroot-sc fakes all the same, also behind chroot(2) and mounts."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Run

from fakeroot_sc import _core

pytestmark = pytest.mark.root

BUSYBOX = shutil.which("busybox")
PACKAGE = Path(_core.__file__).parent


@pytest.fixture
def jail(tmp_path: Path) -> Path:
    """A root directory with a static busybox, a file and an absolute link to it."""
    if BUSYBOX is None or "statically linked" not in _kind(BUSYBOX):
        pytest.skip("a static busybox is not installed: Debian package busybox-static")
    (tmp_path / "bin").mkdir()
    shutil.copy(BUSYBOX, tmp_path / "bin" / "busybox")
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("/file")
    return tmp_path


def _kind(program: str) -> str:
    """Says "statically linked" for a program without an interpreter (PT_INTERP)."""
    return "dynamic" if b"/ld-linux" in Path(program).read_bytes()[:4096] else "statically linked"


def test_owners_are_faked_and_the_real_ones_stay(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    done = run("sh", "-c", "chown 5:6 file && chmod 4711 file && stat -c %u:%g:%a file")
    assert (done.stdout, done.stderr) == ("5:6:4711\n", "")
    real = (tmp_path / "file").stat()
    assert (real.st_uid, real.st_gid, stat.S_IMODE(real.st_mode)) == (0, 0, 0o711)


def test_devices_are_faked_though_root_could_make_them(run: Run, tmp_path: Path) -> None:
    done = run("sh", "-c", "mknod disk b 8 1 && stat -c '%F %t %T' disk")
    assert done.stdout == "block special file 8 1\n"
    assert stat.S_ISREG((tmp_path / "disk").stat().st_mode)


@pytest.mark.parametrize("path", ["/file", "../file", "../../file", "bin/../file"])
def test_paths_in_a_chroot_start_at_its_root(run: Run, jail: Path, path: str) -> None:
    script = f"chown 5:6 file && chroot . /bin/busybox stat -c %u:%g {path}"
    assert run("sh", "-c", script, cwd=jail).stdout == "5:6\n"


def test_absolute_links_in_a_chroot_lead_to_its_own_files(run: Run, jail: Path) -> None:
    script = "chroot . /bin/busybox chown 7:8 /link && stat -c %u:%g file"
    assert run("sh", "-c", script, cwd=jail).stdout == "7:8\n"


def test_removing_in_a_chroot_forgets_the_record(run: Run, jail: Path) -> None:
    script = (
        "chown 5 file && chroot . /bin/busybox rm /file && "
        "chroot . /bin/busybox touch /file && stat -c %u file"
    )
    assert run("sh", "-c", script, cwd=jail).stdout == "0\n"


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[Path]:
    """A mounted overlay whose lower layer holds a file and a symbolic link."""
    layers = {name: tmp_path / name for name in ("lower", "upper", "work", "merged")}
    for layer in layers.values():
        layer.mkdir()
    (layers["lower"] / "file").write_text("text")
    (layers["lower"] / "link").symlink_to("file")
    options = "lowerdir={lower},upperdir={upper},workdir={work}".format(**layers)
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(layers["merged"])]
    done = subprocess.run(mount, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        pytest.skip(f"overlayfs cannot be mounted here: {done.stderr.strip()}")
    yield layers["merged"]
    subprocess.run(["umount", str(layers["merged"])], check=True, timeout=30)


def test_records_on_overlayfs_survive_copying_up(run: Run, overlay: Path) -> None:
    script = (
        "chown 5:6 file; chown -h 7:8 link; echo more >> file; chmod 4711 file; "
        "stat -c %u:%g:%a file; stat -c %u:%g link"
    )
    assert run("sh", "-c", script, cwd=overlay).stdout == "5:6:4711\n7:8\n"


def test_a_read_only_mount_refuses_as_it_refuses_real_root(run: Run, tmp_path: Path) -> None:
    where = tmp_path / "where"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(where)], check=True, timeout=30)
    try:
        (where / "file").touch()
        subprocess.run(["mount", "-o", "remount,ro", str(where)], check=True, timeout=30)
        for call in ("chown 1 file", "chmod 600 file", "mknod node p"):
            done = run("sh", "-c", f"LC_ALL=C {call}", cwd=where)
            assert "Read-only file system" in done.stderr, call
    finally:
        subprocess.run(["umount", str(where)], check=True, timeout=30)


def test_an_immutable_file_refuses_as_it_refuses_real_root(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    if subprocess.run(["chattr", "+i", "file"], cwd=tmp_path, check=False, timeout=30).returncode:
        pytest.skip("the file system has no immutable files")
    try:
        done = run("sh", "-c", "LC_ALL=C chown 1 file; LC_ALL=C chmod 600 file")
        assert done.stderr.count("Operation not permitted") == 2
    finally:
        subprocess.run(["chattr", "-i", "file"], cwd=tmp_path, check=True, timeout=30)


def test_the_supervisor_keeps_no_mount_busy(run: Run, tmp_path: Path) -> None:
    where = tmp_path / "where"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(where)], check=True, timeout=30)
    done = run("sh", "-c", f"touch file; chown 1 file; cd /; umount {where}", cwd=where)
    if done.returncode:
        subprocess.run(["umount", str(where)], check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert not os.path.ismount(where)


def test_credentials_are_fake_for_real_root_as_well(run: Run, tmp_path: Path) -> None:
    """Who has left root is told so, and keeps root's rights over files."""
    (tmp_path / "secret").write_text("text\n")
    (tmp_path / "secret").chmod(0o600)
    script = "setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'id -u; cat secret'"
    done = run("sh", "-c", f"{script}; grep Uid: /proc/self/status", cwd=tmp_path)
    assert done.stdout.split() == ["65534", "text", "Uid:", "0", "0", "0", "0"], done.stderr
