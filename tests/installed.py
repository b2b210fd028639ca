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

BUILT = "FAKEROOT_SC_TEST_BUILT"
"""In the environment: the directory of programs that all workers of a run share."""

OPTIONS: list[str] = []
"""What FAKEROOT_SC adds to its arguments; to be given where it is started in other ways."""


def has_shim() -> bool:
    return "--no-shim" not in OPTIONS


def is_traced() -> bool:
    """Whether calls come by ptrace."""
    return any(option.startswith("--mode=ptrace") for option in OPTIONS)


def stops_every_call() -> bool:
    return "--mode=ptrace-all" in OPTIONS


SOURCE = Path(__file__).parent / "programs" / "with_option.c"


def always_with(options: list[str], directory: Path) -> None:
    """From now on FAKEROOT_SC adds options.  OSError or CalledProcessError without cc.

    It is then a program in ``directory``, and must be set before others import it.
    """
    global FAKEROOT_SC
    target = directory / "fakeroot-sc"
    literals = ", ".join(f'"{option}"' for option in options)
    strings = (f'-DCOMMAND="{FAKEROOT_SC}"', f"-DOPTIONS={literals}")
    subprocess.run(
        ["cc", "-O1", *strings, "-o", target, SOURCE],
        env={**os.environ, "TMPDIR": str(directory)},
        check=True,
    )
    target.chmod(0o755)
    FAKEROOT_SC = str(target)
    OPTIONS.extend(options)
