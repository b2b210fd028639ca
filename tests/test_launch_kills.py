"""Whoever is killed while a run starts, and wherever: every process of it comes to its end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commands import FAKEROOT_SC, PATIENCE, bare, compile_c
from harness import examples
from installed import is_traced

SOURCE = Path(__file__).parent / "programs" / "kill_launch.c"
ROLES = {"front": "f", "supervisor": "s", "launched": "c"}
VICTIMS = {"front": "f", "supervisor": "s", "both": "fs", "launched": "c"}
BEYOND = "1000000"


@pytest.fixture
def killer(tmp_path: Path) -> Path:
    return compile_c(tmp_path, "kill_launch", SOURCE.read_text())


def run_and_kill(killer: Path, role: str, step: int | str, victims: str) -> str:
    environment = dict(os.environ)
    if is_traced():  # by the supervisor, and a process has one tracer
        environment["KILL_LAUNCH_FOLLOWS_NOT"] = "1"
    command = [killer, ROLES[role], str(step), victims, FAKEROOT_SC, "--", "true"]
    done = bare(command, env=environment, timeout=3 * PATIENCE)
    if done.returncode == 77:
        pytest.skip("ptrace(2) does not work here (kernel.yama.ptrace_scope, a sandbox)")
    assert done.returncode == 0, f"step {step} of {role}: {done.stdout}"
    return done.stdout


@pytest.mark.parametrize("victims", VICTIMS)
@pytest.mark.parametrize("role", ROLES)
def test_nothing_is_left_of_a_run_killed_while_it_starts(
    killer: Path, role: str, victims: str
) -> None:
    """FAKEROOT_SC_TEST_EXAMPLES=100: at every step."""
    if role == "launched" and is_traced():
        pytest.skip("the launched process has its tracer")
    steps = int(run_and_kill(killer, role, BEYOND, "x"))
    assert steps > 30
    tried = min(examples(8), steps)
    for number in range(tried):
        run_and_kill(killer, role, 1 + number * steps // tried, VICTIMS[victims])
