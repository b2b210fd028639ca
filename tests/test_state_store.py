# SPDX-License-Identifier: Apache-2.0
"""``fakeroot_sc.State``: records from Python, against a model, in transactions, after kills."""

from __future__ import annotations

import doctest
import multiprocessing
import os
import random
import re
import signal
import stat
import textwrap
from pathlib import Path
from typing import Any

import pytest
from commands import PATIENCE
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeroot_sc import FileIdentity, InodeRecord, State, StateError
from fakeroot_sc.state import store

pytestmark = pytest.mark.pure

IDENTITIES = st.builds(
    FileIdentity,
    st.sampled_from([1, 65024, 2**63 + 5]),
    st.integers(1, 6) | st.sampled_from([2**64 - 1]),
    st.none() | st.integers(1, 3) | st.just(1_795_496_563_858_167_580),
)
NAMES = st.sampled_from(["trusted.a", "security.capability", "user.\udcff", "system.x"])
RECORDS = st.builds(
    InodeRecord,
    IDENTITIES,
    st.none() | st.integers(0, 2**32 - 2),
    st.none() | st.integers(0, 2**32 - 2),
    st.none() | st.integers(0, 0o7777),
    st.none(),
    st.just(0),
    st.dictionaries(NAMES, st.none() | st.binary(max_size=20), max_size=3),
    st.none() | st.sampled_from(["/a", "/b\udcfe"]),
) | st.builds(
    InodeRecord,
    IDENTITIES,
    kind=st.sampled_from([stat.S_IFCHR, stat.S_IFBLK]),
    rdev=st.builds(os.makedev, st.integers(0, 4095), st.integers(0, 2**20 - 1)),
)
STEPS = st.lists(
    st.tuples(st.just("put"), RECORDS)
    | st.tuples(st.just("remove"), IDENTITIES)
    | st.tuples(st.sampled_from(["fail", "nest", "clear", "reopen", "forget memory"]), st.none()),
    max_size=12,
)


class Model(dict[tuple[int, int], InodeRecord]):
    def put(self, record: InodeRecord) -> None:
        key = (record.identity.dev, record.identity.ino)
        known = self.pop(key, None)
        if record.shows_nothing():
            return
        if record.path is None and known and known.identity == record.identity:
            record = store.attrs.evolve(record, path=known.path)
        self[key] = record

    def remove(self, identity: FileIdentity) -> bool:
        known = self.get((identity.dev, identity.ino))
        births = {known.identity.birth if known else 0, identity.birth}
        if known is None or (None not in births and len(births) == 2):
            return False
        del self[identity.dev, identity.ino]
        return True


class Undone(Exception):
    pass


def step(state: State, model: Model, what: str, value: Any) -> None:
    if what == "put":
        state.put(value)
        model.put(value)
    elif what == "remove":
        assert state.remove(value) == model.remove(value)
    elif what == "clear":
        state.clear()
        model.clear()
    elif what == "fail":
        with pytest.raises(Undone), state.transaction():
            state.put(InodeRecord(FileIdentity(1, 1), uid=99))
            state.remove(FileIdentity(65024, 2))
            raise Undone
    elif what == "nest":
        inner = InodeRecord(FileIdentity(1, 2, 2), gid=5)
        with state.transaction():
            with pytest.raises(Undone), state.transaction():
                state.clear()
                raise Undone
            state.put(inner)
            assert state.lookup(inner.identity) is not None
        model.put(inner)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_a_state_holds_what_was_put_into_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("state") / "s"
    model = Model()
    state = State.open(path)
    try:
        for what, value in steps:
            if what in ("reopen", "forget memory"):
                state.close()
                if what == "forget memory":
                    assert not path.with_name("s-live").exists()
                state = State.open(path, create=False)
            else:
                step(state, model, what, value)
            assert list(state) == [model[key] for key in sorted(model)]
            assert len(state) == len(model)
            for record in model.values():
                assert state.lookup(record.identity) == record
    finally:
        state.close()


def test_what_no_file_can_show_is_refused(tmp_path: Path) -> None:
    here = FileIdentity(1, 2)
    with State.open(tmp_path / "s") as state:
        for wrong in (
            InodeRecord(here, uid=2**32 - 1),
            InodeRecord(here, gid=-1),
            InodeRecord(here, mode=0o10000),
            InodeRecord(here, kind=stat.S_IFREG),
            InodeRecord(here, uid=1, xattrs={"": b""}),
            InodeRecord(here, uid=1, xattrs={"user." + "a" * 300: b""}),
            InodeRecord(here, uid=1, xattrs={"user.a": bytes(65537)}),
            InodeRecord(FileIdentity(2**64, 1), uid=1),
        ):
            with pytest.raises(ValueError):
                state.put(wrong)
        with pytest.raises(ValueError, match="regular file"):
            state.change(tmp_path, device=(stat.S_IFCHR, 1))
        assert list(state) == []


def test_a_change_is_of_the_file_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.touch()
    with State.open(tmp_path / "s") as state:
        state.change(file, uid=5)
        with file.open() as opened:
            record = state.change(opened.fileno(), gid=6, xattrs={"trusted.a": b"1"})
            assert state.lookup_fd(opened.fileno()) == record
        assert (record.uid, record.gid, record.path) == (5, 6, str(file))
        changed = state.last_change(record.identity)
        assert changed and changed.time and changed.program is None
        file.unlink()
        with pytest.raises(FileNotFoundError):
            state.lookup_path(file)
        (tmp_path / "g").touch()
        assert state.lookup_path(tmp_path / "g") is None


def test_a_state_that_is_only_read_is_left_alone(tmp_path: Path) -> None:
    with State.open(tmp_path / "s") as state:
        state.put(InodeRecord(FileIdentity(1, 2), uid=5))
    assert not (tmp_path / "s-live").exists()
    (tmp_path / "s").chmod(0o400)
    with State.open(tmp_path / "s", read_only=True) as state:
        assert [record.uid for record in state] == [5]
        with pytest.raises(StateError, match="reading only"):
            state.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    with pytest.raises(StateError, match="no such file"):
        State.open(tmp_path / "none", read_only=True)
    with pytest.raises(StateError, match="no such file"):
        State.open(tmp_path / "none", create=False)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def write_for_ever(path: Path, told: Any) -> None:
    with State.open(path) as state:
        for number in range(10**6):
            with state.transaction():
                for ino in range(5):
                    state.put(InodeRecord(FileIdentity(1, ino), uid=number + 1))
                if number % 3 == 0:
                    state.put(InodeRecord(FileIdentity(2, number), uid=7))
            told.send(number)


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_writer_leaves_whole_transactions(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    spawn = multiprocessing.get_context("fork")
    least = 0
    for _ in range(10):
        ours, theirs = spawn.Pipe(duplex=False)
        writer = spawn.Process(target=write_for_ever, args=(tmp_path / "s", theirs))
        writer.start()
        theirs.close()
        told = -1
        for _ in range(dice.randrange(20)):
            assert ours.poll(PATIENCE)
            told = ours.recv()
        assert writer.pid
        os.kill(writer.pid, signal.SIGKILL)
        writer.join(PATIENCE)
        while ours.poll(PATIENCE):
            try:
                told = ours.recv()
            except EOFError:
                break
        with State.open(tmp_path / "s") as state:
            values = {record.uid for record in state if record.identity.dev == 1}
            if told >= 0:
                assert len(values) == 1
                assert values.pop() in (told + 1, told + 2)
            others = sum(1 for record in state if record.identity.dev == 2)
        assert others >= max(least, told // 3 + 1)
        least = others


def test_the_examples_of_the_documentation_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = Path(__file__).parent.parent / "docs/state.rst"
    blocks = document.read_text().split(".. code-block:: python\n")[1:]
    examples = [textwrap.dedent(re.split(r"\n(?=\S)", block)[0]) for block in blocks]
    assert examples
    monkeypatch.chdir(tmp_path)
    for name in ("etc/shadow", "bin/ping", "bin/mount"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).touch()
    for example in examples:
        exec(compile(example, str(document), "exec"), {})
    assert f"{tmp_path}/tree/etc/shadow 0 42" in capsys.readouterr().out


def test_the_examples_hold(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    names = {"directory": tmp_path, "State": State}
    for module in (store,):
        done = doctest.testmod(module, extraglobs=names)
        assert done.attempted > 0
        assert done.failed == 0
