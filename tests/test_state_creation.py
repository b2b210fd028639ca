# SPDX-License-Identifier: Apache-2.0
"""How a state begins: by several runs at once, killed at any moment, from an empty file."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import harness
import pytest
from commands import FAKEROOT_SC, PATIENCE, bare, compile_c, started
from installed import STATE_TOOL

from fakeroot_sc import FileIdentity, InodeRecord, State

CREATES = """
import contextlib, importlib, json, os
from fakeroot_sc import State
importlib.import_module("fakeroot_sc.state.database")
with contextlib.suppress(ProcessLookupError):
    os.getpgid(0x6B696C6C)
State.open("s").close()
"""


def assert_usable(state: Path) -> None:
    """A run keeps something in it, and State finds it."""
    script = "touch f; chown 5:6 f"
    done = bare([FAKEROOT_SC, "-p", state.name, "--", "sh", "-euc", script], cwd=state.parent)
    assert (done.returncode, done.stderr) == (0, "")
    with State.open(state, create=False) as opened:
        assert [(record.uid, record.gid) for record in opened] == [(5, 6)]


def test_an_empty_file_is_a_new_state(tmp_path: Path) -> None:
    made = Path(bare(["mktemp", "-p", tmp_path]).stdout.strip())
    shown = bare([STATE_TOOL, "show", made])
    assert (shown.returncode, shown.stderr) == (0, "")
    made.write_bytes(b"")
    assert_usable(made)
    for create in (True, False):
        empty = tmp_path / f"empty-{create}"
        empty.touch()
        with State.open(empty, create=create) as state:
            state.put(InodeRecord(FileIdentity(1, 2), uid=3))
            assert len(state) == 1
    only_read = tmp_path / "only-read"
    only_read.touch()
    with State.open(only_read, read_only=True) as state:
        assert list(state) == []
    assert only_read.read_bytes() == b""


@pytest.mark.parametrize("number", range(harness.examples(6)))
def test_several_first_runs_at_once_share_one_state(tmp_path: Path, number: int) -> None:
    if number % 2:
        (tmp_path / "s").touch()
    with ExitStack() as stack:
        runs = [
            stack.enter_context(
                started(
                    [FAKEROOT_SC, "-p", "s", "--", "sh", "-euc", f"touch f{n}; chown {n} f{n}"],
                    cwd=tmp_path,
                    stderr=subprocess.PIPE,
                )
            )
            for n in range(1, 5)
        ]
        for each in runs:
            assert (each.wait(PATIENCE), each.stderr and each.stderr.read()) == (0, "")
    with State.open(tmp_path / "s") as state:
        assert sorted(record.uid or 0 for record in state) == [1, 2, 3, 4]


def test_a_creation_killed_at_any_call_is_no_trouble_for_the_next(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    top = tmp_path_factory.mktemp("creation")
    source = Path(__file__).parent / "programs/kill_at.c"
    kill_at = compile_c(top, "kill_at", source.read_text())
    step = max(17 // harness.examples(1), 1)
    for number in range(1, 5000, step):
        directory = top / str(number)
        directory.mkdir()
        killed = bare([kill_at, str(number), sys.executable, "-P", "-c", CREATES], cwd=directory)
        assert killed.returncode in (0, 3), killed
        with State.open(directory / "s") as state:
            state.put(InodeRecord(FileIdentity(1, 2), uid=3))
        with State.open(directory / "s", create=False) as state:
            assert [record.uid for record in state] == [3]
        left = {path.name for path in directory.iterdir()} - {"s", "s-live"}
        assert not left
        if killed.returncode == 3:
            assert number > 50
            return
    raise AssertionError("the creation never ended")
