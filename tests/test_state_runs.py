# SPDX-License-Identifier: Apache-2.0
"""``--state``: what a run remembers is shared by all that use the file, now and later."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import harness
import pytest
from commands import (
    FAKEROOT_SC,
    PATIENCE,
    Watched,
    bare,
    compile_c,
    need,
    parent_of,
    read_line,
    started,
    waiting,
)
from installed import STATE_TOOL
from mounted import memory_at

import fakeroot_sc
from fakeroot_sc import State, StateError, _core

MAKE = """
mkdir root; cd root
touch file plain later tool; ln file hard; ln -s file link; mkfifo fifo; mkdir dir
chown 5:6 file; chown -h 7:8 link; chown 9 dir fifo; chmod 4755 tool
mknod block b 700 70000; mknod char c 5 1; chown 1:2 char; chmod 600 char
chown 3 later; chmod 640 later; setfattr -n trusted.a -v 1 plain
"""
LIST = "cd root && stat -c '%n %f %u:%g %t:%T' * | sort; getfattr -dm- plain"


def run(*options: str, script: str, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return bare([FAKEROOT_SC, *options, "--", "sh", "-euc", script], cwd=cwd, **more)


def good(*options: str, script: str, cwd: Path) -> str:
    done = run(*options, script=script, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return str(done.stdout)


def refusal(*options: str, cwd: Path, status: int = 125) -> str:
    done = run(*options, script="echo ran", cwd=cwd)
    assert (done.returncode, done.stdout) == (status, "")
    assert "Traceback" not in done.stderr
    return str(done.stderr)


@pytest.fixture
def attributes() -> None:
    need("setfattr", "attr")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    good("-p", "s", script="touch f g; chown 5 f", cwd=tmp_path)
    yield tmp_path


@pytest.mark.usefixtures("attributes")
@pytest.mark.parametrize("shim", ["--no-shim", "--state=s"])
def test_the_next_run_shows_what_the_last_one_remembered(tmp_path: Path, shim: str) -> None:
    shown = good("--state", "s", shim, script=f"({MAKE}); {LIST}", cwd=tmp_path)
    assert "block 61a4 0:0 2bc:11170" in shown
    assert 'trusted.a="1"' in shown
    assert good("-p", "s", script=LIST, cwd=tmp_path) == shown
    assert good("--no-shim", "-p", "s", script=LIST, cwd=tmp_path) == shown
    static = LIST.replace("stat", f"{need('busybox', 'busybox-static')} stat", 1)
    assert good("-p", "s", script=static, cwd=tmp_path) == shown


@pytest.mark.usefixtures("attributes")
def test_the_file_alone_holds_everything(tmp_path: Path) -> None:
    shown = good("-p", "s", script=f"({MAKE}); {LIST}", cwd=tmp_path)
    shutil.copy(tmp_path / "s", tmp_path / "copy")
    wait_until_gone(tmp_path / "s-live")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "root", "s"]
    assert good("-p", "copy", script=LIST, cwd=tmp_path) == shown
    assert good("-p", "s", script=LIST, cwd=tmp_path) == shown


def test_what_is_undone_is_not_in_the_file(tmp_path: Path) -> None:
    good("-p", "s", script="touch a b c; chown 5 a b; mknod n c 1 3", cwd=tmp_path)
    good("-p", "s", script="chown 0:0 a; rm b n", cwd=tmp_path)
    with closing(sqlite3.connect(tmp_path / "s")) as database:
        assert database.execute("SELECT * FROM inodes").fetchall() == []
    assert good("-p", "s", script="stat -c %u a; touch b; stat -c %u b", cwd=tmp_path) == "0\n0\n"


def test_capabilities_are_kept_until_the_file_is_written_to(tmp_path: Path) -> None:
    need("setcap", "libcap2-bin")
    sbin = "PATH=$PATH:/usr/sbin:/sbin; "
    good(
        "-p", "s", script=sbin + "touch a b; setcap cap_net_raw+ep a cap_net_raw+ep b", cwd=tmp_path
    )
    (tmp_path / "b").write_text("changed")
    shown = good("-p", "s", script=sbin + "getcap a b", cwd=tmp_path)
    assert shown == "a cap_net_raw=ep\n"


SETCAP = "PATH=$PATH:/usr/sbin:/sbin; setcap cap_net_raw+ep"


@pytest.mark.parametrize("option", ["-ps", "--no-shim"])
def test_capabilities_are_kept_when_only_times_have_changed(tmp_path: Path, option: str) -> None:
    need("setcap", "libcap2-bin")
    shutil.copy("/bin/true", tmp_path / "a")
    shutil.copy("/bin/true", tmp_path / "b")
    good("-p", "s", option, script=f"{SETCAP} a {SETCAP.split()[-1]} b", cwd=tmp_path)
    os.utime(tmp_path / "a", (1, 1))
    with (tmp_path / "b").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    script = "PATH=$PATH:/usr/sbin:/sbin; getcap a b; touch a; getcap a"
    kept = "a cap_net_raw=ep\n"
    assert good("-p", "s", option, script=script, cwd=tmp_path) == 2 * kept
    # Without a call that we would see, and then with one that takes the mark over.
    (tmp_path / "a").touch()
    assert good("-p", "s", option, script="./a; " + script, cwd=tmp_path) == 2 * kept
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("a", "b"):
        (tmp_path / name).rename(tree / name)
    told = bare([STATE_TOOL, "export", "s", "tree", "--format", "mtree"], cwd=tmp_path)
    capable = [line for line in told.stdout.splitlines() if "security.capability" in line]
    assert len(capable) == 1


def test_capabilities_by_python_are_kept_when_only_times_have_changed(tmp_path: Path) -> None:
    need("getcap", "libcap2-bin")
    (tmp_path / "a").write_text("program")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    with State.open(tmp_path / "s") as state:
        state.change(tmp_path / "a", xattrs={"security.capability": capability})
    os.utime(tmp_path / "a", (1, 1))
    script = "PATH=$PATH:/usr/sbin:/sbin; getcap a"
    assert good("-p", "s", script=script, cwd=tmp_path) == "a cap_net_raw=ep\n"
    (tmp_path / "a").write_text("another")
    assert good("-p", "s", script=script, cwd=tmp_path) == ""


@pytest.mark.parametrize("other", [[], ["--no-shim"]])
def test_runs_at_the_same_time_see_each_others_changes(tmp_path: Path, other: list[str]) -> None:
    script = "touch a; chown 5 a; echo made; read x; stat -c %u:%g a b; stat -c %F n; ls n gone"
    with started(
        [FAKEROOT_SC, "-p", "s", *other, "--", "sh", "-uc", script],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as first:
        assert first.stdin and first.stdout and first.stderr
        assert read_line(first.stdout.fileno()) == "made"
        change = "stat -c %u a; chown :7 a; touch b; chown 8:9 b; mknod n b 1 2; mknod gone c 1 1"
        assert good("-p", "s", script=change, cwd=tmp_path) == "5\n"
        assert good("-p", "s", script="rm gone", cwd=tmp_path) == ""
        out, err = first.communicate("go\n", PATIENCE)
    assert out == "5:7\n8:9\nblock special file\nn\n"
    assert "gone" in err
    assert good("-p", "s", script="stat -c %u:%g a b", cwd=tmp_path) == "5:7\n8:9\n"


def test_many_runs_at_once_lose_nothing(tmp_path: Path) -> None:
    def script(number: int) -> str:
        return f"for i in 1 2 3 4 5 6; do touch r{number}-$i; chown $i:{number} r{number}-$i; done"

    with ExitStack() as stack:
        runs = [
            stack.enter_context(
                started(
                    [FAKEROOT_SC, "-p", "s", "--", "sh", "-euc", script(number)],
                    cwd=tmp_path,
                    stderr=subprocess.PIPE,
                )
            )
            for number in range(1, 9)
        ]
        for each in runs:
            assert (each.wait(PATIENCE), each.stderr and each.stderr.read()) == (0, "")
    shown = good("-p", "s", script="stat -c '%n %u:%g' r*", cwd=tmp_path).split("\n")
    assert shown[:-1] == [f"r{n}-{i} {i}:{n}" for n in range(1, 9) for i in range(1, 7)]


@pytest.mark.parametrize(
    "program",
    [
        "touch a; chown 5 a",
        "touch a; exec busybox chown 5 a",
        "mknod a c 1 3",
        "mkdir a; chown 5 a",
    ],
)
@pytest.mark.parametrize("flag", ["--no-shim", "-ps"])
def test_records_know_where_their_files_are(tmp_path: Path, program: str, flag: str) -> None:
    need("busybox", "busybox-static")
    (tmp_path / "below").mkdir()
    good("-p", "s", flag, script=f"cd below; {program}", cwd=tmp_path)
    with State.open(tmp_path / "s") as state:
        assert [record.path for record in state] == [str(tmp_path / "below/a")]


def test_an_archive_unpacked_elsewhere_is_found(tmp_path: Path) -> None:
    tree, there = tmp_path / "tree", tmp_path / "there"
    (tree / "a/b").mkdir(parents=True)
    there.mkdir()
    for number in range(20):
        (tree / f"a/b/{number}").touch()
    good("-p", "t", script="chown -R 5:5 tree; tar cf t.tar -C tree .", cwd=tmp_path)
    good("-p", "s", script=f"cd /; tar xpf {tmp_path}/t.tar -C {there}", cwd=tmp_path)
    with State.open(tmp_path / "s") as state:
        paths = {record.path for record in state}
    expected = {str(path) for path in there.rglob("*")} | {str(there)}
    assert paths == expected


def paths(state_path: Path) -> list[str | None]:
    with State.open(state_path) as state:
        return [record.path and Path(record.path).name for record in state]


def test_paths_are_known_whoever_ends_first(tmp_path: Path) -> None:
    script = "cd below; touch a new; chown 5 a new; echo made; read x; mv new b; echo done; read x"
    (tmp_path / "below").mkdir()
    with waiting(
        [FAKEROOT_SC, "-p", "s", "--", "sh", "-euc", script], "made", cwd=tmp_path
    ) as first:
        good("-p", "s", script="stat s", cwd=tmp_path)
        with closing(sqlite3.connect(tmp_path / "s")) as database:
            found = {path for (path,) in database.execute("SELECT path FROM inodes")}
        assert found == {os.fsencode(tmp_path / "below" / name) for name in ("a", "new")}
        first.stdin.write("go\n")
        first.stdin.flush()
        assert read_line(first.stdout.fileno()) == "done"
        first.communicate("go\n", PATIENCE)
    assert sorted(map(str, paths(tmp_path / "s"))) == ["a", "b"]


def test_paths_are_found_below_a_place_that_is_too_large_to_walk(tmp_path: Path) -> None:
    """Standard error lies in a directory far above the work."""
    crowd = [tmp_path / "a" / str(number) for number in range(8)]
    for directory in crowd:
        directory.mkdir(parents=True)
        for name in range(5000):
            os.mknod(directory / str(name))
    (tmp_path / "z" / "below").mkdir(parents=True)
    with (tmp_path / "log").open("wb") as log:
        script = "touch old new; chown 5 old new"
        below = tmp_path / "z" / "below"
        command = [FAKEROOT_SC, "-p", "../../s", "--", "sh", "-euc", script]
        assert bare(command, cwd=below, stdout=log, stderr=log).returncode == 0
    assert sorted(map(str, paths(tmp_path / "s"))) == ["new", "old"]


def test_paths_of_a_killed_run_are_known(tmp_path: Path) -> None:
    kill_a_run(tmp_path, "mkdir below; cd below; touch a; chown 5 a")
    assert paths(tmp_path / "s") == ["a"]


def test_a_file_with_several_names_has_several_paths(tmp_path: Path) -> None:
    script = "mkdir x y; touch x/a; ln x/a x/b; ln x/a y/c; chown 5 x/b"
    good("-p", "s", script=script, cwd=tmp_path)
    names = [str(tmp_path / name) for name in ("x/a", "x/b", "y/c")]
    with State.open(tmp_path / "s") as state:
        (record,) = state
        assert sorted([str(record.path), *record.links]) == names
    good("-p", "s", script="mv y/c z; rm x/a; chown 6 z", cwd=tmp_path)
    with State.open(tmp_path / "s") as state:
        (record,) = state
        assert {record.path, *record.links} == {str(tmp_path / name) for name in ("x/b", "z")}
        changed = state.change(tmp_path / "z", gid=3)
        assert (changed.path, changed.links) == (str(tmp_path / "z"), (str(tmp_path / "x/b"),))
        assert state.lookup(changed.identity) == changed


def test_a_transaction_undoes_nothing_that_a_run_does_meanwhile(tmp_path: Path) -> None:
    need("setfattr", "attr")
    names = ("owned", "freed", "forgotten", "gone", "marked", "new", "path")
    for name in names:
        (tmp_path / name).touch()
    before = "chown 5:5 *; setfattr -n trusted.a -v 1 marked; setfattr -n trusted.b -v 1 marked"
    good("-p", "../s", script=f"cd {tmp_path}; {before}; chown 0:0 new", cwd=tmp_path)
    state_path = tmp_path.parent / "s"
    script = (
        "read x; chown 6 owned marked forgotten new path; chown 0:0 freed; rm gone;"
        "setfattr -n trusted.a -v 2 marked; setfattr -x trusted.b marked; echo done; read x"
    )
    with started(
        [FAKEROOT_SC, "-p", str(state_path), "--", "sh", "-uc", script],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as running:
        assert running.stdin and running.stdout
        with State.open(state_path) as state, state.transaction():
            forgotten = state.lookup_path(tmp_path / "forgotten")
            assert forgotten is not None
            for name in ("owned", "freed", "marked", "new"):
                state.change(tmp_path / name, gid=9)
            state.change(tmp_path / "marked", xattrs={"trusted.c": b"3"})
            state.change(tmp_path / "gone", gid=9)
            state.change(tmp_path / "path", mode=0o640)
            state.remove(forgotten.identity)
            running.stdin.write("go\n")
            running.stdin.flush()
            assert read_line(running.stdout.fileno()) == "done"
        shown = "stat -c '%n %u:%g %a' owned freed forgotten marked new path; getfattr -dm- marked"
        expected = [
            "owned 6:9 644",
            "freed 0:9 644",
            "forgotten 6:5 644",
            "marked 6:9 644",
            "new 6:9 644",
            "path 6:5 640",
            "# file: marked",
            'trusted.a="2"',
            'trusted.c="3"',
        ]
        at_once = good("-p", str(state_path), script=shown, cwd=tmp_path)
        assert at_once.split("\n")[:9] == expected
        running.communicate("go\n", PATIENCE)
    wait_until_gone(tmp_path.parent / "s-live")
    from_file = good("-p", str(state_path), script=shown, cwd=tmp_path)
    assert from_file == at_once
    with State.open(state_path) as state:
        assert len(state) == 6


# ---- kills ----


class Changer:
    """A run of programs/changer.c, and the changes that it was told were done."""

    def __init__(self, process: subprocess.Popen[str], prefix: str) -> None:
        assert process.stdout
        self._process = process
        self._out = process.stdout.fileno()
        self.prefix = prefix
        pid = int(read_line(self._out))
        self._target, self._supervisor = Watched(pid), Watched(parent_of(pid))
        self.told: list[tuple[int, str, int]] = []
        self._rest = b""

    def _more(self) -> bool:
        piece = os.read(self._out, 65536)
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            file, what, value = line.split()
            self.told.append((int(file), what.decode(), int(value)))
        return bool(piece)

    def read(self, count: int) -> None:
        while len(self.told) < count and self._more():
            pass

    def kill(self, what: str) -> None:
        if what != "target":
            self._supervisor.kill()
        if what != "supervisor":
            self._process.kill()
            self._target.kill()

    def end(self) -> None:
        self._target.kill()
        while self._more():
            pass
        assert self._supervisor.ended()
        self._target.close()
        self._supervisor.close()


FILES = 12
Known = dict[int, dict[str, int | None]]


def expect(known: Known, told: list[tuple[int, str, int]]) -> None:
    for file, what, value in told:
        if what == "rename":
            known[value] = known[file]
        if what in ("fresh", "rename"):
            known[file] = {"uid": None, "gid": None, "device": None, "xattr": None}
        if what in ("fresh", "rename", "passing"):
            continue
        if what == "device":
            known[file] = {}
        if what in ("uid", "gid") and (known[file].get("mode") or 0) & 0o6000:
            known[file].pop("mode")  # which bits stay is another test's
        known[file][what] = value


def differences(state: State, known: Known, root: Path, prefix: str) -> list[str]:
    wrong = []
    for file, expected in known.items():
        name = f"{prefix}/f{file}"
        if not (root / name).exists():
            wrong.append(f"{name}: is missing")
            continue
        record = state.lookup_path(root / name)
        shown: dict[str, int | None] = {"mode": stat.S_IMODE((root / name).lstat().st_mode)}
        if record is not None:
            value = record.xattrs.get("trusted.value")
            shown = {
                "uid": record.uid,
                "gid": record.gid,
                "mode": shown["mode"] if record.mode is None else record.mode,
                "device": os.minor(record.rdev) if record.kind else None,
                "xattr": int(value) if value else None,
            }
        wrong += [
            f"{name}: {what}: {shown.get(what)} instead of {value}"
            for what, value in expected.items()
            if shown.get(what) != value
        ]
    return wrong


@pytest.mark.parametrize(("seed", "shim"), [(n, n % 2 == 0) for n in range(harness.examples(6))])
def test_no_kill_loses_what_was_answered(
    tmp_path_factory: pytest.TempPathFactory, seed: int, shim: bool
) -> None:
    root = tmp_path_factory.mktemp("kills")
    source = Path(__file__).parent / "programs/changer.c"
    program = compile_c(root, "changer", source.read_text())
    dice = random.Random(seed)
    known: dict[str, Known] = {}
    for prefix in ("one", "two"):
        (root / prefix).mkdir()
        known[prefix] = {file: {} for file in range(FILES)}
        for file in range(FILES):
            (root / f"{prefix}/f{file}").touch()
    options = ["-p", "s"] if shim else ["-p", "s", "--no-shim"]
    for _ in range(40):
        for prefix, files in known.items():
            for file in range(FILES):
                if not (root / f"{prefix}/f{file}").exists():
                    (root / f"{prefix}/f{file}").touch()
                    files[file] = {}
        with ExitStack() as stack:
            runs: list[Changer] = []
            for prefix in ("one", "two")[: dice.choice((1, 2))]:
                arguments = [str(dice.randrange(1 << 30)), prefix, str(FILES)]
                process = stack.enter_context(
                    started(
                        [FAKEROOT_SC, *options, "--", program, *arguments],
                        cwd=root,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL,
                        stdin=subprocess.DEVNULL,
                    )
                )
                runs.append(Changer(process, prefix))
            for changer in runs:
                changer.read(dice.randrange(60))
            for changer in runs:
                changer.kill(dice.choice(("supervisor", "all", "all", "target")))
            for changer in runs:
                changer.end()
        with State.open(root / "s") as state:
            for changer in runs:
                # The last one may be done and not told.
                assert_kept(state, known[changer.prefix], changer, root)


def assert_kept(state: State, known: Known, changer: Changer, root: Path) -> None:
    expect(known, changer.told)
    wrong = differences(state, known, root, changer.prefix)
    files = {line.split(":")[0] for line in wrong}
    assert len(files) <= 2, wrong  # those of a rename
    for file in files:
        # As it is now is what counts from here on.
        known[int(file.rpartition("f")[2])] = {}


# ---- what cannot be used ----


def damage_header(path: Path) -> None:
    path.write_bytes(b"not SQLite at all" * 100)


def damage_pages(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[4096:] = bytes(len(raw) - 4096)
    path.write_bytes(raw)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def pragma(text: str) -> Any:
    return lambda path: execute(path, f"PRAGMA {text}")


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def another_program(path: Path) -> None:
    path.unlink()
    execute(path, "CREATE TABLE theirs (a)")


def drop_a_table(path: Path) -> None:
    execute(path, "DROP TABLE xattrs")


def spoil_a_row(path: Path) -> None:
    execute(path, "UPDATE inodes SET uid = 'five'", "UPDATE meta SET value = 77")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (damage_header, "no SQLite file"),
        (damage_pages, "damaged"),
        (truncate, "damaged"),
        (pragma("user_version = 99"), "version 99"),
        (pragma("application_id = 7"), "another program's"),
        (another_program, "another program's"),
        (drop_a_table, "tables are missing"),
        (spoil_a_row, "damaged: a row"),
    ],
)
def test_what_is_no_state_is_refused_and_left_alone(kept: Path, harm: Any, said: str) -> None:
    wait_until_gone(kept / "s-live")
    harm(kept / "s")
    before = (kept / "s").read_bytes()
    text = refusal("-p", "s", cwd=kept)
    assert text.startswith("fakeroot-sc: ")
    assert said in text
    assert (kept / "s").read_bytes() == before
    with pytest.raises(StateError, match=said.replace("(", ".")):
        State.open(kept / "s")


def test_a_file_that_cannot_be_written_to_is_refused(kept: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write to everything")
    (kept / "s").chmod(0o400)
    assert "Permission denied" in refusal("-p", "s", cwd=kept)
    (kept / "s").chmod(0o600)
    wait_until_gone(kept / "s-live")
    kept.chmod(0o500)
    try:
        assert "s-live: cannot be opened: Permission denied" in refusal("-p", "s", cwd=kept)
        assert "cannot be opened" in refusal("-p", "new", cwd=kept)
    finally:
        kept.chmod(0o700)
    assert "cannot be opened" in refusal("-p", "no/such/directory", cwd=kept)
    assert "is a directory" in refusal("-p", ".", cwd=kept)


@pytest.mark.root
@pytest.mark.parametrize("shim", ["--no-shim", "-ps"])
def test_a_state_on_a_read_only_file_system_is_read(tmp_path: Path, shim: str) -> None:
    with memory_at(tmp_path / "disk", "size=20m") as disk:
        good("-p", "s", script="touch a b; chown 5 a; mknod n c 1 3", cwd=disk)
        assert remounts_read_only(disk)
        script = "stat -c '%u %F' a n; touch ../here; chown 7 ../here; stat -c %u ../here"
        done = run(shim, "-p", "s", script=script, cwd=disk)
        shown = "5 regular empty file\n0 character special file\n7\n"
        assert (done.returncode, done.stdout) == (0, shown)
        (line,) = done.stderr.splitlines()
        assert "s: on a read-only file system: what changes is forgotten" in line
        assert "Read-only file system" in refusal("-p", "new", cwd=disk)


@pytest.mark.root
def test_records_are_bound_again_when_their_file_system_is_mounted_anew(tmp_path: Path) -> None:
    disk, tree, other = (tmp_path / name for name in ("disk", "tree", "other"))
    for directory in (disk, tree, other):
        directory.mkdir()
    overlay = "lowerdir=disk/lower,upperdir=disk/upper,workdir=disk/work"
    mount_tree = ["mount", "-t", "overlay", "-o", overlay, "overlay", tree]
    with ExitStack() as stack:
        if bare(["mount", "-t", "tmpfs", "tmpfs", disk]).returncode:
            pytest.skip("tmpfs cannot be mounted")
        stack.callback(bare, ["umount", disk])
        for name in ("lower", "upper", "work"):
            (disk / name).mkdir()
        if bare(mount_tree, cwd=tmp_path).returncode:
            pytest.skip("overlay cannot be mounted")
        stack.callback(bare, ["umount", tree])
        make = "cd tree; mkdir d; touch a b d/e; ln a link; chown 5 a b d/e; mknod n c 1 3"
        good("-p", "s", script=make, cwd=tmp_path)
        wait_until_unused(tmp_path / "s-live")
        before = tree.stat().st_dev
        for number in range(50):
            bare(["umount", tree])
            # Its number, or a lower one that others have given back, goes to this one.
            taken = other / str(number)
            taken.mkdir()
            assert bare(["mount", "-t", "tmpfs", "tmpfs", taken]).returncode == 0
            stack.callback(bare, ["umount", taken])
            assert bare(mount_tree, cwd=tmp_path).returncode == 0
            if tree.stat().st_dev != before:
                break
        assert tree.stat().st_dev != before
        (tree / "b").rename(tree / "moved")
        script = "cd tree; stat -c '%n %u %F' a link d/e n"
        shown = "a 5 regular empty file\nlink 5 regular empty file\nd/e 5 regular empty file\n"
        shown += "n 0 character special file\n"
        done = run("-p", "s", script=script, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, shown)
        (line,) = done.stderr.splitlines()
        assert f"s: {tree}: mounted anew, with another device number: 3 records are" in line
        assert "1 are not" in line
        for _ in range(2):
            wait_until_unused(tmp_path / "s-live")
            done = run("-p", "s", script=script, cwd=tmp_path)
            assert (done.returncode, done.stdout, done.stderr) == (0, shown, "")
            (tmp_path / "s-live").unlink(missing_ok=True)


def test_a_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    script = f"mkdir d; cd d; rmdir ../d; exec {FAKEROOT_SC} -p s -- echo ran"
    done = bare(["sh", "-c", script], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (125, "")
    said = "fakeroot-sc: s: the current directory does not exist any more\n"
    assert done.stderr == said


def test_what_is_lost_with_the_memory_is_not_said_to_be_kept(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    done = run("-p", "below/s", script="touch f; chown 5 f; rm -r below", cwd=tmp_path)
    assert done.returncode == 125
    assert "s-live is gone, and with it what has changed" in done.stderr
    assert "kept until then" not in done.stderr


def test_a_run_that_joins_an_empty_state_leaves_others_their_pass(tmp_path: Path) -> None:
    script = "echo up; read x; exec stat -c %u f"
    (tmp_path / "f").touch()
    with waiting([FAKEROOT_SC, "-p", "s", "--", "sh", "-euc", script], "up", cwd=tmp_path) as first:
        live = _core.Live(os.fsencode(tmp_path / "s-live"), 0o600, 1)
        before = live.session_pass
        assert before != 1
        good("-p", "s", script="true", cwd=tmp_path)
        assert live.session_pass == before
        live.leave()
        assert first.communicate("go\n", PATIENCE)[0] == "0\n"


def test_the_memory_is_as_open_to_others_as_the_file(kept: Path) -> None:
    for mode in (0o664, 0o600):
        (kept / "s").chmod(mode)
        with State.open(kept / "s"):
            for name in ("s-live", "s-live-pending"):
                assert stat.S_IMODE((kept / name).stat().st_mode) == mode


def test_a_damaged_memory_is_refused(kept: Path) -> None:
    live = kept / "s-live"
    wait_until_gone(live)
    live.write_bytes(b"some other file")
    assert "not what a fakeroot-sc has left" in refusal("-p", "s", cwd=kept)
    assert live.read_bytes() == b"some other file"
    live.unlink()
    kill_a_run(kept, "chown 5 f")
    os.truncate(live, 4096)
    assert "not what a fakeroot-sc has left" in refusal("-p", "s", cwd=kept)
    live.unlink()
    live.mkdir()
    assert "cannot be opened: Is a directory" in refusal("-p", "s", cwd=kept)


LAYOUT = 584
"""Where the memory says which version's it is (native/session_page.h)."""
CLEAN = 668
LAYOUT_NOW = 4


def set_word(live: Path, place: int, number: int) -> None:
    with live.open("r+b") as file:
        file.seek(place)
        file.write(number.to_bytes(4, "little"))


def set_layout(live: Path, number: int) -> None:
    set_word(live, LAYOUT, number)


def test_another_version_s_memory_is_used_only_if_nothing_is_lost(kept: Path) -> None:
    with State.open(kept / "s"):
        shutil.copy(kept / "s-live", kept / "left")
    (kept / "left").rename(kept / "s-live")
    set_word(kept / "s-live", CLEAN, 1)
    set_layout(kept / "s-live", 99)
    assert good("-p", "s", script="stat -c %u f", cwd=kept) == "5\n"
    kill_a_run(kept, "chown 6 f")
    set_layout(kept / "s-live", 99)
    assert "another version" in refusal("-p", "s", cwd=kept)
    set_layout(kept / "s-live", LAYOUT_NOW)
    assert good("-p", "s", script="stat -c %u f", cwd=kept) == "6\n"


def boot_place() -> int:
    """Where the memory says which boot it is of: it is there in every memory of this one."""
    text = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    words = int(text[:16], 16).to_bytes(8, "little"), int(text[16:], 16).to_bytes(8, "little")
    with State.open(Path("look")) as state:
        del state
        found = Path("look-live").read_bytes().find(words[0] + words[1])
    assert found > 0
    return found


def test_a_memory_of_another_boot_is_not_believed(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kept)
    place = boot_place()
    many = "mkdir many; cd many; seq 1 1500 | xargs touch; chown -R 6 ."
    good("-p", "s", script=many, cwd=kept)
    kill_a_run(kept, "chown 7 f g")
    live = kept / "s-live"
    whole = live.read_bytes()
    # Pages that never reached the disk, and whichever boot.
    zeros = bytes(4096)
    with live.open("r+b") as file:
        file.seek(place)
        file.write(bytes(16))
        for page in range(12, len(whole) // 4096, 2):
            file.seek(page * 4096)
            file.write(zeros)
    count = "find many -uid 6 | wc -l; stat -c %u f"
    done = run("-p", "s", script=count, cwd=kept)
    assert (done.returncode, done.stdout) == (0, "1501\n5\n")
    assert done.stderr.startswith("fakeroot-sc: s: ")
    assert "lost in a crash of the machine" in done.stderr
    assert done.stderr.count("\n") == 1
    assert good("-p", "s", script=count, cwd=kept) == "1501\n5\n"


def test_two_versions_do_not_use_a_memory_at_once(kept: Path) -> None:
    with State.open(kept / "s"):
        set_layout(kept / "s-live", 99)
        assert "another version" in refusal("-p", "s", cwd=kept)
        set_layout(kept / "s-live", LAYOUT_NOW)


def test_a_killed_first_run_loses_nothing(tmp_path: Path) -> None:
    kill_a_run(tmp_path, "touch f; chown 5 f")
    (tmp_path / "s").chmod(0o640)
    assert good("-p", "s", script="stat -c %u f", cwd=tmp_path) == "5\n"


def test_what_a_killed_run_has_changed_is_written_by_those_that_go_on(kept: Path) -> None:
    with waiting(
        [FAKEROOT_SC, "-p", "s", "--", "sh", "-c", "echo made; read x"], "made", cwd=kept
    ) as first:
        kill_a_run(kept, "chown 6 f")
        first.communicate("go\n", PATIENCE)
    with closing(sqlite3.connect(kept / "s")) as database:
        assert database.execute("SELECT uid FROM inodes").fetchall() == [(6,)]


class Deadly:
    """The memory of a state, for who is killed as soon as it is asked for something."""

    def __init__(self, live: Any, deadly: str) -> None:
        self._live, self._deadly = live, deadly

    def __getattr__(self, name: str) -> Any:
        if name == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return getattr(self._live, name)

    def note(self, edits: bytes) -> None:
        if self._deadly == ("note" if edits else "note done"):
            os.kill(os.getpid(), signal.SIGKILL)
        self._live.note(edits)

    def edit(self, edits: list[Any]) -> None:
        if self._deadly == "edit one":
            self._live.edit(edits[:1])
        if self._deadly.startswith("edit"):
            os.kill(os.getpid(), signal.SIGKILL)
        self._live.edit(edits)


def change_and_be_killed(path: Path, deadly: str) -> None:
    with State.open(path / "s") as state, state.transaction():
        assert state._sync
        gone = state.lookup_path(path / "gone")
        assert gone is not None
        state.remove(gone.identity)
        state.change(path / "f", uid=7)
        state._sync.live = Deadly(state._sync.live, deadly)  # type: ignore[assignment]


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize(
    ("deadly", "all_done"),
    [
        ("note", False),
        ("edit", True),
        ("edit one", True),
        ("collect", True),
        ("finish", True),
        ("note done", True),
    ],
)
def test_a_killed_transaction_is_finished_or_has_not_begun(
    kept: Path, deadly: str, all_done: bool, goes_on: bool
) -> None:
    good("-p", "s", script="touch gone; chown 5 g gone", cwd=kept)
    script = "echo up; read x; chown 8 g" if goes_on else "chown 8 g; echo up"
    with waiting([FAKEROOT_SC, "-p", "s", "--", "sh", "-c", script], "up", cwd=kept) as running:
        if not goes_on:
            running.communicate("", PATIENCE)
        writer = multiprocessing.get_context("fork").Process(
            target=change_and_be_killed, args=(kept, deadly)
        )
        writer.start()
        writer.join(PATIENCE)
        assert writer.exitcode == -signal.SIGKILL
        if goes_on:
            running.communicate("go\n", PATIENCE)
        assert running.returncode == 0
    shown = "7\n8\n0\n" if all_done else "5\n8\n5\n"
    for _ in range(2):
        assert good("-p", "s", script="stat -c %u f g gone", cwd=kept) == shown
        wait_until_gone(kept / "s-live")


def test_an_earlier_copy_of_the_file_counts_as_it_is(kept: Path) -> None:
    shutil.copy(kept / "s", kept / "earlier")
    good("-p", "s", script="chown 6 f; chown 7 g", cwd=kept)
    shutil.copy(kept / "earlier", kept / "s")
    assert good("-p", "s", script="stat -c %u f g", cwd=kept) == "5\n0\n"
    (kept / "s").unlink()
    assert good("-p", "s", script="stat -c %u f g", cwd=kept) == "0\n0\n"


def kill_a_run(directory: Path, script: str) -> None:
    with started(
        [FAKEROOT_SC, "-p", "s", "--", "sh", "-c", f"{script}; echo $$; exec sleep 100"],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout
        pid = int(read_line(process.stdout.fileno()))
        target, supervisor = Watched(pid), Watched(parent_of(pid))
        for each in (supervisor, target):
            each.kill(signal.SIGKILL)
            assert each.ended()
            each.close()


def test_changes_of_a_killed_run_are_never_given_to_another_file(kept: Path) -> None:
    shutil.copy(kept / "s", kept / "earlier")
    kill_a_run(kept, "chown 6 f")
    shutil.copy(kept / "s", kept / "later")
    good("-p", "later", script="chown 8 f", cwd=kept)
    (kept / "s").rename(kept / "aside")
    shutil.copy(kept / "later", kept / "s")
    assert "was replaced, but" in refusal("-p", "s", cwd=kept)
    (kept / "s").unlink()
    assert "was removed, but" in refusal("-p", "s", cwd=kept)
    (kept / "aside").rename(kept / "s")
    assert good("-p", "s", script="stat -c %u f", cwd=kept) == "6\n"


def test_runs_that_differ_in_their_rules_are_kept_apart(kept: Path) -> None:
    with waiting(
        [FAKEROOT_SC, "-p", "s", "--", "sh", "-c", "echo made; read x"], "made", cwd=kept
    ) as first:
        assert "differ from this one in -u" in refusal("-u", "-p", "s", cwd=kept)
        first.communicate("go\n", PATIENCE)
    assert good("-u", "-p", "s", script="stat -c %u f", cwd=kept) == "5\n"


def test_a_state_is_not_opened_inside_of_a_run(kept: Path) -> None:
    done = run("-p", "s", script=f"{FAKEROOT_SC} -p s -- true", cwd=kept)
    assert (done.returncode, "not inside of another run" in done.stderr) == (125, True)


@pytest.mark.parametrize("option", ["-i", "-s"])
def test_a_state_and_a_save_file_do_not_go_together(kept: Path, option: str) -> None:
    assert "not together with" in refusal("-p", "s", option, "x", cwd=kept, status=2)
    assert refusal("-p", "", cwd=kept, status=2).startswith("fakeroot-sc: -p: needs the name")


def test_a_limit_of_file_sizes_is_told(kept: Path) -> None:
    script = f"ulimit -f 64; exec {FAKEROOT_SC} -p new -- echo ran"
    done = bare(["bash", "-c", script], cwd=kept)
    assert (done.returncode, done.stdout) == (125, "")
    assert "no room for it: File too large" in done.stderr


def remounts_read_only(disk: Path) -> bool:
    """Not while the supervisor has yet to end, which has files open there."""
    for _ in range(int(PATIENCE * 100)):
        if bare(["mount", "-o", "remount,ro", disk]).returncode == 0:
            return True
        time.sleep(0.01)
    return False


def wait_until_unused(live: Path) -> None:
    """Supervisors end a moment after their commands."""
    assert bare(["flock", "--wait", str(int(PATIENCE)), live, "true"]).returncode == 0
    if live.exists() and live.stat().st_size == 0:
        live.unlink()  # flock(1) makes what has gone


def wait_until_gone(live: Path) -> None:
    """Whoever leaves last removes it: nothing is in it that the state does not have."""
    wait_until_unused(live)
    assert not live.exists()


@pytest.mark.root
def test_a_full_disk_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    with memory_at(tmp_path / "disk", "size=6m") as disk:
        good("-p", "disk/s", script="touch a b c; chown 5 a", cwd=tmp_path)
        fill = "dd if=/dev/zero of=disk/fill bs=4k 2>/dev/null || true"
        done = run("-p", "disk/s", script=f"{fill}; chown 6 a; chown 7 b", cwd=tmp_path)
        assert done.returncode == 125
        assert "disk is full" in done.stderr
        assert "s-live" in done.stderr
        wait_until_unused(disk / "s-live")
        (disk / "fill").unlink()
        assert good("-p", "disk/s", script="stat -c %u a b", cwd=tmp_path) == "6\n7\n"
        with State.open(disk / "s") as state:
            assert {record.uid for record in state} == {6, 7}
        done = run("-p", "disk/t", script=fill, cwd=tmp_path)
        wait_until_gone(disk / "t-live")
        said = refusal("-p", "disk/t", cwd=tmp_path)
        assert "no room for it" in said or "the disk is full" in said


@pytest.mark.root
def test_a_growing_memory_on_a_full_disk_answers_no_space(tmp_path: Path) -> None:
    with memory_at(tmp_path / "disk", "size=3m") as disk:
        many = "mkdir many; cd many; seq 1 30000 | xargs touch; chown -R 5 . 2>../errors; echo $?"
        done = run("-p", "disk/s", script=many, cwd=tmp_path)
        assert "No space left on device" in (tmp_path / "errors").read_text()
        assert done.returncode == 125
        wait_until_unused(disk / "s-live")
        assert "disk is full" in refusal("-p", "disk/s", cwd=tmp_path)
        assert bare(["mount", "-o", "remount,size=40m", disk]).returncode == 0
        owned = run("-p", "disk/s", script="find many -uid 5 | wc -l", cwd=tmp_path)
        assert int(owned.stdout) > 10000
        failed = len((tmp_path / "errors").read_text().splitlines())
        assert int(owned.stdout) + failed == 30001


def test_runs_from_python_use_a_state(tmp_path: Path) -> None:
    made = fakeroot_sc.run(["sh", "-c", "touch f; chown 5 f"], state=tmp_path / "s", cwd=tmp_path)
    assert made.returncode == 0
    with State.open(tmp_path / "s") as state:
        # The state may be open while it is used.
        fakeroot_sc.run(["chown", "6", "f"], state=tmp_path / "s", cwd=tmp_path, check=True)
        record = state.lookup_path(tmp_path / "f")
        assert record is not None
        assert record.uid == 6
        state.change(tmp_path / "f", gid=9)
        shown = fakeroot_sc.run(
            ["stat", "-c", "%u:%g", "f"],
            state=tmp_path / "s",
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )
    assert shown.stdout == "6:9\n"
