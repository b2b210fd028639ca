# SPDX-License-Identifier: Apache-2.0
"""The installed command, in the way that this run of the tests shall start it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FAKEROOT_SC = str(Path(sys.executable).parent / "fakeroot-sc")
"""The command (sys.executable is not resolved: it may be a link out of the venv)."""

STATE_TOOL = str(Path(sys.executable).parent / "fakeroot-sc-state")

OPTIONS: list[str] = []
"""What FAKEROOT_SC adds to its arguments; to be given where it is started in other ways."""

SOURCE = Path(__file__).parent / "programs" / "with_option.c"


def always_with(option: str, directory: Path) -> None:
    """From now on FAKEROOT_SC adds an option.  OSError or CalledProcessError without cc.

    It is then a program in ``directory``, and must be set before others import it.
    """
    global FAKEROOT_SC
    target = directory / "fakeroot-sc"
    strings = (f'-DCOMMAND="{FAKEROOT_SC}"', f'-DOPTION="{option}"')
    subprocess.run(
        ["cc", "-O1", *strings, "-o", target, SOURCE],
        env={**os.environ, "TMPDIR": str(directory)},
        check=True,
    )
    target.chmod(0o755)
    FAKEROOT_SC = str(target)
    OPTIONS.append(option)
