# SPDX-License-Identifier: Apache-2.0
"""Damaged input of every reader: one line that says what and where, and nothing is changed.

``FAKEROOT_SC_TEST_EXAMPLES=N`` tries N times as many.
"""

from __future__ import annotations

import io
import os
import random
import sqlite3
import stat
from pathlib import Path

import harness
import pytest
from commands import FAKEROOT_SC, bare

from fakeroot_sc import State, StateError
from fakeroot_sc.state import formats
from fakeroot_sc.state.tree import Walk, by_number
from fakeroot_sc.statetool.cli import main

SEED = int(os.environ.get("FAKEROOT_SC_TEST_SEED", "0"))
READERS = [name for name, form in formats.FORMATS.items() if form.reads]
LINES = {
    "mtree": b"#mtree\n/set type=file uid=0 gid=0 mode=644\n. type=dir\n    a\\040b size=1\n"
    b"/unset uid\nd type=dir \\\n mode=755\n..\n./c type=char device=native,1,3 link=x\n",
    "makedevs": b"/dev/tty c 666 0 5 4 0 0 1 4\n/etc r 644 0 0 - - - - -\n",
    "squashfs-pseudo": b'"a b" m 644 0 0\nd D 1700000000 755 1 2\ndev b 600 0 0 8 1\n',
    "tmpfiles": b'd /x 0755 0 0 -\nc+ "/dev/n\\x41" 0666 root root - 1:3\nZ /d ~0755 - 7\n'
    b"t /a - - - - user.a=b%%c\n",
}
TOKENS = [
    b"\n", b"\0", b"\\", b'"', b" ", b"=", b",", b"/", b"..", b"-1", b"%", b"\xff", b"\\x", b"null",
    b"99999999999999999999", b"4294967295", b"0x", b"1e999", b"{}", b"[]", b"#.xattr ", b"NaN",
    b"\xed\xa0\x80", b"9" * 5000, b"true", b'"\\ud800"', b"00000000",
]  # fmt: skip


def mutated(chance: random.Random, text: bytes) -> bytes:
    """Text with one to four damages."""
    data = bytearray(text)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(data))
        end = min(len(data), at + chance.choice([1, 1, 2, 8, 64, 600]))
        kind = chance.randrange(6)
        if kind == 0 and at < len(data):
            data[at] = chance.randrange(256)
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del data[at:end]
        elif kind == 3:
            data[at:at] = chance.choice(TOKENS)
        elif kind == 4:
            data[at:end] = chance.choice(TOKENS)
        elif chance.random() < 0.3:
            del data[at:]
        else:
            data[at:at] = data[chance.randint(0, len(data)) :][: end - at]
    return bytes(data)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree, a state of it and a sample of each format."""
    place = tmp_path_factory.mktemp("fuzz")
    root = place / "root"
    (root / "d").mkdir(parents=True)
    for name in ("a", "b c", "d/e", "n"):
        (root / name).touch()
    os.link(root / "a", root / "d/hard")
    (root / "link").symlink_to("a")
    with State.open(place / "s") as state:
        state.change(root / "a", uid=5, gid=6, mode=0o4755, xattrs={"trusted.a": b"\0x"})
        state.change(root / "b c", uid=3_000_000_000)
        state.change(root / "n", device=(stat.S_IFCHR, os.makedev(1, 3)))
        records = by_number(list(state))
    for name, form in formats.FORMATS.items():
        if form.writes:
            out = io.BytesIO()
            walk = Walk(root, records)
            # A table of makedevs has no names with blanks.
            wanted = (each for each in walk if name != "makedevs" or " " not in each.path)
            form.load().write(wanted, out)
            (place / f"{name}.sample").write_bytes(out.getvalue() + LINES.get(name, b""))
    make_pseudo(place / "pseudo.sample", root)
    return place


def make_pseudo(path: Path, root: Path) -> None:
    """As pseudo 1.9 makes it."""
    database = sqlite3.connect(path)
    database.executescript(
        "CREATE TABLE migrations (id INTEGER PRIMARY KEY, version INTEGER, stamp INTEGER);"
        "CREATE TABLE files (id INTEGER PRIMARY KEY, path VARCHAR, dev INTEGER, ino INTEGER,"
        " uid INTEGER, gid INTEGER, mode INTEGER, rdev INTEGER, deleting INTEGER);"
        "CREATE TABLE xattrs (id INTEGER PRIMARY KEY, dev INTEGER, ino INTEGER, name VARCHAR,"
        " value VARCHAR);"
    )
    for name in ("a", "b c", "d"):
        seen = (root / name).stat()
        values = (str(root / name), seen.st_dev, seen.st_ino, 5, 6, seen.st_mode, 0, 0)
        database.execute("INSERT INTO files VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        database.execute(
            "INSERT INTO xattrs VALUES (NULL, ?, ?, 'user.x', 'y')", (seen.st_dev, seen.st_ino)
        )
    database.commit()
    database.close()


@pytest.mark.parametrize("name", READERS)
def test_damaged_input_is_understood_or_refused(name: str, place: Path) -> None:
    form, chance = formats.FORMATS[name], random.Random(f"{name} {SEED}")
    sample = (place / f"{name}.sample").read_bytes()
    reader = form.load()
    damaged = place / f"{name}.damaged"
    assert list(reader.read(io.BytesIO(sample), str(place / f"{name}.sample")))
    for _ in range(harness.examples(40 if name == "pseudo" else 400)):
        text = mutated(chance, sample)
        if name == "pseudo":
            damaged.write_bytes(text)
        try:
            list(reader.read(io.BytesIO(text), str(damaged)))
        except StateError as error:
            assert str(error).startswith(str(damaged)), error
        except BaseException:
            damaged.write_bytes(text)  # to look at
            raise


def contents(state: Path) -> object:
    with State.open(state, read_only=True) as opened:
        return sorted(opened, key=lambda record: record.identity.ino), opened.generation


@pytest.mark.parametrize("name", READERS)
def test_an_import_that_fails_says_so_in_a_line_and_changes_nothing(
    name: str, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(f"import {name} {SEED}")
    sample = (place / f"{name}.sample").read_bytes()
    damaged, state = place / f"{name}.import", place / "s"
    before = contents(state)
    failed = 0
    for _ in range(harness.examples(25)):
        damaged.write_bytes(mutated(chance, sample))
        new = place / "new"
        new.unlink(missing_ok=True)
        rest = [str(place / "root"), str(damaged), "--format", name]
        status = main(["import", str(new), *rest])
        said = capfd.readouterr().err.splitlines()
        assert status in (0, 1, 2)
        if status == 2:
            failed += 1
            assert len(said) == 1, said
            assert said[0].startswith(f"fakeroot-sc-state: {damaged}: "), said
            assert (
                main(["import", str(state), str(place / "root"), str(damaged), "--format", name])
                == 2
            )
            assert contents(state) == before
            capfd.readouterr()
    assert failed


NUMBERS = {
    b"dev": [b"fe00", b"0", b"f" * 16, b"1" + b"0" * 16, b"FE", b"0" * 20 + b"1"],
    b"ino": [b"7", b"18446744073709551615", b"18446744073709551616", b""],
    b"mode": [b"100644", b"644", b"40755", b"177777", b"200000", b"120777", b"020600", b"8"],
    b"uid": [b"0", b"4294967294", b"4294967295", b"4294967296", b"-1", b"000000000000005"],
    b"gid": [b"0", b"4294967294", b"4294967295"],
    b"nlink": [b"1", b"18446744073709551615", b"99999999999999999999"],
    b"rdev": [b"0", b"259", b"4294967295", b"4294967296"],
}


def line_of(chance: random.Random) -> bytes:
    """A line of fakeroot's file, good but for a number or two."""
    values = {key: numbers[0] for key, numbers in NUMBERS.items()}
    for key in chance.sample(sorted(NUMBERS), 2):
        values[key] = chance.choice(NUMBERS[key])
    return b",".join(key + b"=" + value for key, value in values.items()) + b"\n"


def test_both_readers_of_fakeroot_s_file_take_the_same(place: Path) -> None:
    """``-i`` reads it in the core, the import in Python."""
    chance = random.Random(f"both {SEED}")
    sample = (place / "fakeroot.sample").read_bytes()
    reader = formats.FORMATS["fakeroot"].load()
    for turn in range(harness.examples(25)):
        text = mutated(chance, sample) if turn % 2 else line_of(chance)
        (place / "i").write_bytes(text)
        done = bare([FAKEROOT_SC, "-i", place / "i", "--", "true"], cwd=place)
        try:
            list(reader.read(io.BytesIO(text), "FILE"))
        except StateError as error:
            line = str(error).split(":")[1]
            assert done.returncode == 125, (text, error)
            assert done.stderr.startswith(f"fakeroot-sc: {place / 'i'}:{line}: "), (error, done)
            assert done.stderr.count("\n") == 1
        else:
            assert (done.returncode, done.stderr) == (0, ""), text
