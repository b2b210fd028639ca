# SPDX-License-Identifier: Apache-2.0
"""File systems of every kind, mounted by real root: each in a mount namespace of its own for one
script, which an ordinary user runs there under fakeroot-sc; or one in memory, for a test."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import installed
import pytest
from differential import unprivileged
from harness import PATIENCE

MOUNT = {
    "fuse-overlayfs": "mkdir low up work; chmod 777 low up work;"
    " fuse-overlayfs -o allow_other,lowerdir=low,upperdir=up,workdir=work m",
    "bindfs": "mkdir up; chmod 777 up; bindfs -o allow_other up m",
    "fuse2fs": "truncate -s 16M image; mke2fs -q -t ext4 image;"
    " fuse2fs -o allow_other,fakeroot image m; chmod 777 m",
    "ramfs": "mount -t ramfs none m; chmod 777 m",
}
"""How to mount each at ``m``; those named like a program take the Debian package of that name."""

FUSE = [kind for kind in MOUNT if kind != "ramfs"]
UNAVAILABLE = ("/dev/fuse", "fuse: device not found", "mount: m:", "unshare failed")


@contextlib.contextmanager
def memory_at(where: Path, options: str) -> Iterator[Path]:
    """A tmpfs, mounted with those options at a directory that is made.  Skips where it may not
    be."""
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", where]
    mounted = subprocess.run(mount, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted so: {mounted.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", where], capture_output=True, timeout=PATIENCE, check=False)


@contextlib.contextmanager
def _base() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="fsc-mounted-"))
    base.chmod(0o755)
    try:
        yield base
    finally:
        shutil.rmtree(base, ignore_errors=True)


def run_on(kind: str, script: str, *options: str) -> list[str]:
    """The lines that the script says.  Skips where such a file system cannot be had."""
    if kind in FUSE and not shutil.which(kind):
        pytest.skip(f"{kind} is missing: install the Debian package {kind}")
    user = str(unprivileged())
    drop = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
    command = (installed.FAKEROOT_SC, *options, "--", "bash", "-ec", script)
    with _base() as base:
        prepare = f'set -e; cd {base}; mkdir m; {MOUNT[kind]}; cd m; exec "$@"'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", prepare, "sh", *drop, *command],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    if any(word in done.stderr for word in UNAVAILABLE):
        pytest.skip(f"no {kind} here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
