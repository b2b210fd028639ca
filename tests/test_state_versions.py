# SPDX-License-Identifier: Apache-2.0
"""States of earlier versions, as those have left them (``tests/states``): read, or refused.

The device and inode numbers in them are made up.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from commands import FAKEROOT_SC, bare
from installed import STATE_TOOL

from fakeroot_sc import FileIdentity, InodeRecord, State, StateError

pytestmark = pytest.mark.pure

SAMPLES = Path(__file__).parent / "states"
BIRTH = 1_795_496_563_858_167_580
CAPABILITY = bytes.fromhex("0100000200240000000000000000000000000000")


def identity(number: int) -> FileIdentity:
    return FileIdentity(65024, 11 + number, BIRTH + number)


RECORDS = [
    InodeRecord(identity(0), uid=5, gid=6, path="/tree/file"),
    InodeRecord(identity(1), mode=0o4755, path="/tree/tool"),
    InodeRecord(
        identity(2),
        uid=7,
        mode=0o600,
        kind=stat.S_IFCHR,
        rdev=os.makedev(1, 3),
        path="/tree/dev/null",
    ),
    InodeRecord(
        identity(3),
        mode=0o660,
        kind=stat.S_IFBLK,
        rdev=os.makedev(700, 70000),
        path=os.fsdecode(b"/tree/dev/\xff\n"),
    ),
    InodeRecord(
        identity(4),
        xattrs={"security.capability": CAPABILITY, "trusted.a": b"1", "user.gone": None},
        path="/tree/ping",
    ),
    InodeRecord(FileIdentity(2**63 + 5, 2**64 - 1), uid=0, gid=2**32 - 2),
]


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return Path(shutil.copy(SAMPLES / "version-1", tmp_path / "s"))


def test_a_state_of_version_1_has_all_that_it_had(sample: Path) -> None:
    before = sample.read_bytes()
    with State.open(sample, read_only=True) as state:
        assert list(state) == RECORDS
        assert state.lookup(identity(3)) == RECORDS[3]
    assert sample.read_bytes() == before
    with State.open(sample) as state:
        assert list(state) == RECORDS
        change = state.last_change(identity(0))
        assert change is not None
        assert change.time is not None
    assert version(sample) == 2
    with State.open(sample) as state:
        state.put(InodeRecord(identity(1), gid=9))
        assert list(state)[1:2] == [InodeRecord(identity(1), gid=9, path="/tree/tool")]


def test_a_run_uses_a_state_of_version_1(sample: Path) -> None:
    script = "touch f; chown 8:9 f"
    done = bare([FAKEROOT_SC, "-p", "s", "--", "sh", "-euc", script], cwd=sample.parent)
    assert (done.returncode, done.stderr) == (0, "")
    with State.open(sample) as state:
        assert [record for record in state if record.uid != 8] == RECORDS


def test_changes_that_only_an_earlier_version_can_read_are_refused_by_name(tmp_path: Path) -> None:
    state = Path(shutil.copy(SAMPLES / "version-1-unsaved", tmp_path / "s"))
    live = tmp_path / "s-live"
    live.write_bytes(gzip.decompress((SAMPLES / "version-1-unsaved-live.gz").read_bytes()))
    before = state.read_bytes(), live.read_bytes()
    for command in ([FAKEROOT_SC, "-p", "s", "--", "true"], [STATE_TOOL, "prune", "s"]):
        done = bare(command, cwd=tmp_path)
        assert done.returncode in (2, 125)
        assert "s-live: another version of fakeroot-sc" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert (state.read_bytes(), live.read_bytes()) == before
    live.unlink()
    with State.open(state) as opened:
        assert [record.uid for record in opened] == [5]


def test_a_version_of_the_future_is_refused_by_name(sample: Path) -> None:
    with closing(sqlite3.connect(sample)) as database:
        database.execute("PRAGMA user_version = 99")
    for read_only in (False, True):
        with pytest.raises(StateError, match="version 99"):
            State.open(sample, read_only=read_only)
