# SPDX-License-Identifier: Apache-2.0
"""Random calls with random arguments: the supervisor answers on.

``FAKEROOT_SC_TEST_EXAMPLES=N`` makes N times as many, 500 so ten million of each build; with
``--mode`` in each mode. ``FAKEROOT_SC_TEST_SEED`` makes the calls of a failure again.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import harness
import installed
import pytest
from harness import BUILDS

from fakeroot_sc.syscalls.row import Abi, Syscall
from fakeroot_sc.syscalls.table import TABLE

CALLS = harness.examples(20_000)
SEED = int(os.environ.get("FAKEROOT_SC_TEST_SEED", "1"), 0)
PATIENCE = 120 + CALLS // 500

LEFT_OUT = {"clone", "clone3", "ptrace", "setns"}
"""Who makes these at random stops itself, or leaves processes behind."""

PATHS = {"path", "new_path", "link_target", "xattr_name"}
DESCRIPTORS = {"fd", "dirfd", "new_dirfd"}
PLACES = {
    "buffer", "value", "times", "list", "limits", "old_limits", "header", "data", "xattr_args",
    "arguments", "environment", "how", "address", "socket_args", "real", "effective", "saved",
}  # fmt: skip


def kind(argument: str) -> str:
    if argument in PATHS:
        return "p"
    if argument in DESCRIPTORS:
        return "f"
    return "b" if argument in PLACES else "i"


def described(row: Syscall, abi: Abi) -> str:
    return f"{row.number(abi)}:{''.join(map(kind, row.arguments)) or 'i'}"


@pytest.mark.timeout(PATIENCE + 30)
@pytest.mark.parametrize("build", ["x86-64-static", "i386-static", "x86-64-libc"])
def test_random_calls_leave_the_supervisor_answering(build: str, tmp_path: Path) -> None:
    program = tmp_path / "random_calls"
    try:
        harness.compile_for(BUILDS[build], program, harness.PROGRAMS / "random_calls.c")
    except harness.CannotBuild as error:
        pytest.skip(str(error))
    abi = BUILDS[build].abi
    calls = [
        described(row, abi)
        for row in TABLE
        if row.number(abi) is not None and row.name not in LEFT_OUT
    ]
    done = subprocess.run(
        [installed.FAKEROOT_SC, "--", program, str(SEED), str(CALLS), *calls],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert int(done.stdout.split()[0]) >= CALLS
