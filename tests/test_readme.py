# SPDX-License-Identifier: Apache-2.0
"""The README's commands, as far as they can be tried without installing anything."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from commands import bare, need

README = Path(__file__).parent.parent / "README.rst"
PACKAGES = "build-essential git libseccomp2 python3-dev python3-venv"

pytestmark = pytest.mark.pure


def block(number: int) -> str:
    """A shell block of the README, counted from 1."""
    found = re.findall(
        r"^\.\. code-block:: sh\n\n((?: {4}.*\n)+)", README.read_text(), re.MULTILINE
    )
    return re.sub("^ {4}", "", found[number - 1], flags=re.MULTILINE)


@pytest.mark.parametrize("has_sudo", [False, True])
def test_the_prerequisites_are_installed_with_and_without_sudo(
    has_sudo: bool, tmp_path: Path
) -> None:
    """A container's root has no sudo, and no lists of packages either."""
    shell = need("sh", "dash")
    (tmp_path / "sh").symlink_to(shell)
    programs = {"apt-get": f'echo "$SUDO$@" >>{tmp_path}/log'}
    if has_sudo:
        programs["sudo"] = 'SUDO="sudo " exec "$@"'
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!{shell}\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = bare([shell, "-euc", block(1)], env={**os.environ, "PATH": str(tmp_path), "SUDO": ""})
    assert (done.returncode, done.stderr) == (0, "")
    prefix = "sudo " if has_sudo else ""
    assert (tmp_path / "log").read_text().splitlines() == [
        f"{prefix}update",
        f"{prefix}install --yes {PACKAGES}",
    ]
