# SPDX-License-Identifier: Apache-2.0
"""Damaged states: whatever is in a file, it is read, or one line says what is wrong with it."""

from __future__ import annotations

import random
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import harness
import pytest
from commands import FAKEROOT_SC, bare

from fakeroot_sc import FileIdentity, InodeRecord, State, StateError
from fakeroot_sc.statetool import cli

pytestmark = pytest.mark.pure

ROUNDS = harness.examples(60)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "s"
    records = [
        InodeRecord(
            FileIdentity(65024, number, number + 1),
            uid=number,
            mode=0o640,
            xattrs={"trusted.a": bytes(number), "user.gone": None},
            path=f"/tree/{number}",
            links=(f"/tree/link-{number}",),
        )
        for number in range(60)
    ]
    records.append(InodeRecord(FileIdentity(1, 1), kind=stat.S_IFCHR, rdev=5, path="/tree/c"))
    with State.open(path) as state:
        state.put_many(records)
    return path


def damage(raw: bytearray, dice: random.Random) -> None:
    """A few bytes, a stretch of zeros, a page in the place of another, or the end cut off."""
    what = dice.randrange(5)
    if what <= 1:
        # Most damage to headers is told at once: further inside there is more to go wrong.
        first = dice.choice((0, 16, 100, 4096))
        for _ in range(dice.randrange(1, 12)):
            raw[dice.randrange(first, len(raw))] = dice.randrange(256)
    elif what == 2:
        at = dice.randrange(len(raw))
        size = min(dice.randrange(1, 4096), len(raw) - at)
        raw[at : at + size] = bytes(size)
    elif what == 3:
        pages = len(raw) // 4096
        one, other = dice.randrange(pages) * 4096, dice.randrange(pages) * 4096
        raw[one : one + 4096] = raw[other : other + 4096]
    else:
        del raw[dice.randrange(len(raw)) :]


def assert_read_or_refused(
    path: Path, capsys: pytest.CaptureFixture[str], only: tuple[str, ...] = ()
) -> None:
    tree = path.parent / "tree"
    tree.mkdir(exist_ok=True)
    commands: list[list[Any]] = [
        ["show", path],
        ["diff", path, path],
        ["verify", path, tree],
        ["prune", path],
        ["repair", path, tree, "--was", "/tree"],
        ["export", path, tree, "--format", "mtree"],
        ["merge", path.parent / "into", path],
    ]
    for command in commands:
        if only and command[0] not in only:
            continue
        path.with_name("s-live").unlink(missing_ok=True)
        capsys.readouterr()
        status = cli.main([str(argument) for argument in command])
        told = capsys.readouterr().err
        assert status in (0, 1, 2), command
        if status == 2:
            assert len(told.splitlines()) == 1, (command, told)
            assert told.startswith("fakeroot-sc-state: "), (command, told)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_damaged_file_is_read_or_refused(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    dice = random.Random(seed)
    sample = Path(__file__).parent / "states/version-1"
    raw = bytearray((sample if seed % 5 == 0 else sound).read_bytes())
    damage(raw, dice)
    path = tmp_path / "s"
    path.write_bytes(raw)
    if seed % 10 == 0:
        done = bare([FAKEROOT_SC, "-p", "s", "--", "true"], cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) in ((0, 0), (125, 1))
        path.write_bytes(raw)
        path.with_name("s-live").unlink(missing_ok=True)
    assert_read_or_refused(path, capsys)


WRONG: list[Any] = [None, -1, 2**63 - 1, -(2**63), 1.5, "text", b"\xff\0", "", b"", 2**32]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("inodes", name) for name in ("dev", "ino", "birth", "type", "uid", "gid", "mode")),
        *(("inodes", name) for name in ("rdev", "path", "changed", "program")),
        *(("xattrs", name) for name in ("dev", "name", "value")),
        *(("links", name) for name in ("ino", "path")),
        *(("meta", name) for name in ("key", "value")),
    ],
)
def test_a_value_of_another_kind_is_read_or_refused(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, column: str
) -> None:
    for number, wrong in enumerate(WRONG):
        directory = tmp_path / str(number)
        directory.mkdir()
        path = Path(shutil.copy(sound, directory / "s"))
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            try:
                where = "" if table == "meta" else "WHERE ino = 7"
                database.execute(f"UPDATE {table} SET {column} = ? {where}", (wrong,))
            except sqlite3.IntegrityError:
                continue
        only = () if harness.TIMES else ("show", "prune")
        assert_read_or_refused(path, capsys, only)


def test_an_error_that_quotes_no_text_is_told_in_one_line(tmp_path: Path) -> None:
    raw = bytearray((Path(__file__).parent / "states/version-1").read_bytes())
    damage(raw, random.Random(220))
    (tmp_path / "s").write_bytes(raw)
    with pytest.raises(StateError, match="it is damaged"):
        State.open(tmp_path / "s")


def test_a_schema_with_text_that_is_none_is_refused(sound: Path, tmp_path: Path) -> None:
    raw = sound.read_bytes()
    path = tmp_path / "s"
    path.write_bytes(raw.replace(b"xattrs", b"\xff\xfe\xfd\xff\xfe\xfd"))
    for read_only in (False, True):
        with pytest.raises(StateError):
            State.open(path, read_only=read_only)
