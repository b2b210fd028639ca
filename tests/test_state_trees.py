# SPDX-License-Identifier: Apache-2.0
"""Trees that are hard to walk: deep, closed, changing, with attributes that cannot be read."""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import FAKEROOT_SC, PYTHON, bare, need
from installed import STATE_TOOL as STATE

from fakeroot_sc import State, StateError
from fakeroot_sc.state.tree import Finder, Walk, by_number

DEPTH, NAME = 60, "d" * 100
"""More directories than are open at a time, and a path longer than PATH_MAX."""


def tool(*arguments: object, cwd: Path, status: int = 0, **more: Any) -> str:
    done = bare([STATE, *(str(each) for each in arguments)], cwd=cwd, **more)
    assert done.returncode == status, done
    assert "Traceback" not in done.stderr
    return str(done.stdout)


def data(*arguments: object, cwd: Path, status: int = 0, **more: Any) -> Any:
    return json.loads(tool(*arguments, "--json", cwd=cwd, status=status, **more))


DOWN = f"""
import os, stat, sys
os.mkdir(sys.argv[1])
os.chdir(sys.argv[1])
for _ in range({DEPTH}):
    os.mkdir({NAME!r})
    os.chdir({NAME!r})
open("file", "w").write("content")
"""

MAKE_DEEP = f"""{DOWN}
os.link("file", "hard")
os.symlink("file", "symbolic")
os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
os.chown("file", 5, 6)
os.setxattr("file", "trusted.deep", b"down")
"""


COPY_DEEP = f"""{DOWN}
open("hard", "w").write("content")
os.symlink("file", "symbolic")
os.mknod("null", 0o644)
"""
"""What a copy that knows neither links nor devices makes of it; cp(1) itself gives up."""


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    done = bare([FAKEROOT_SC, "-p", "s", "--", *PYTHON, "-c", MAKE_DEEP, "root"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    yield tmp_path
    bare(["rm", "-rf", *tmp_path.iterdir()])  # which knows how; Python's does not


FORMATS = ("tar", "cpio", "mtree", "json", "makedevs", "squashfs-pseudo", "tmpfiles", "fakeroot")


@pytest.mark.parametrize("name", FORMATS)
def test_a_tree_deeper_than_a_path_may_be_is_exported(deep: Path, name: str) -> None:
    few = ["sh", "-c", 'ulimit -n 50; exec "$@"', "sh"]  # less than the tree is deep
    done = bare([*few, STATE, "export", "s", "root", "--format", name, "-o", "o"], cwd=deep)
    assert done.returncode == 0, done
    assert os.fsencode(NAME + "/") * DEPTH in (deep / "o").read_bytes() or name == "fakeroot"
    if name == "tar":
        listed = bare(["tar", "--numeric-owner", "-tvf", "o"], cwd=deep).stdout.splitlines()
        assert len(listed) == DEPTH + 5
        assert [line.split()[:2] for line in listed[-4:]] == [
            ["-rw-r--r--", "5/6"],
            ["hrw-r--r--", "5/6"],
            ["crw-r--r--", "0/0"],
            ["lrwxrwxrwx", "0/0"],
        ]


def test_a_tree_deeper_than_a_path_may_be_is_verified(deep: Path) -> None:
    done = bare([STATE, "verify", "s", "root", "--json"], cwd=deep)
    told = json.loads(done.stdout)
    assert (told["records"], told["found"], done.stderr) == (2, 2, "")
    # A run does not note paths that are too long for it.
    assert all("without a path" in each["what"] for each in told["trouble"])


@pytest.mark.parametrize("name", ["tar", "cpio", "mtree", "json", "fakeroot", "tmpfiles"])
def test_a_tree_deeper_than_a_path_may_be_is_imported(deep: Path, name: str) -> None:
    """Into a copy, of which the two names of one file are made one again."""
    tool("export", "s", "root", "--format", name, "-o", "o", cwd=deep)
    root = "root"
    if name != "fakeroot":
        assert bare([*PYTHON, "-c", COPY_DEEP, "copy"], cwd=deep).returncode == 0
        root = "copy"
    tool("import", "new", root, "o", "--format", name, cwd=deep)
    tool("export", "s", "root", "--format", "json", "-o", "before", cwd=deep)
    tool("export", "new", root, "--format", "json", "-o", "after", cwd=deep)

    def shown(file: str) -> list[tuple[Any, ...]]:
        files = json.loads((deep / file).read_text())["files"]
        keys = ("path", "type", "mode", "uid", "gid")
        keys += () if name in ("cpio", "fakeroot") else ("xattrs",)
        keys += ("nlink",) if name not in ("tmpfiles",) else ()
        return [tuple(each.get(key) for key in keys) for each in files]

    assert shown("after") == shown("before")


def test_what_an_import_says_of_all_below_reaches_down(deep: Path) -> None:
    (deep / "conf").write_text("Z /" + NAME + " 0750 7 8 - -\n")
    tool("import", "new", "root", "conf", "--format", "tmpfiles", cwd=deep)
    tool("export", "new", "root", "--format", "json", "-o", "after", cwd=deep)
    files = json.loads((deep / "after").read_text())["files"]
    assert {(each["uid"], each["gid"]) for each in files[1:]} == {(7, 8)}
    assert len(files) == DEPTH + 5


@pytest.mark.pure
def test_a_directory_moved_away_while_it_is_read_ends_the_walk(tmp_path: Path) -> None:
    place = tmp_path
    for _ in range(40):
        place /= "d"
        place.mkdir()
    (tmp_path / "else").mkdir()
    walk = iter(Walk(tmp_path / "d", {}))
    for _ in range(40):
        next(walk)
    half = tmp_path.joinpath(*["d"] * 10)
    half.rename(tmp_path / "else/d")
    with pytest.raises(StateError, match="moved away while it was read"):
        list(walk)


@pytest.mark.pure
def test_directories_that_vanish_while_the_tree_is_read_are_left_out(tmp_path: Path) -> None:
    for name in ("a", "b/c", "d/e/f"):
        (tmp_path / "root" / name).mkdir(parents=True)
    seen = []
    for entry in Walk(tmp_path / "root", {}):
        seen.append(entry.path)
        if entry.path in ("a", "b"):
            shutil.rmtree(tmp_path / "root" / entry.path)
        if entry.path == "d/e":
            shutil.rmtree(tmp_path / "root/d/e")
            (tmp_path / "root/d/e").symlink_to("/")
    assert seen == ["", "a", "b", "d", "d/e"]


@pytest.mark.pure
def test_a_walk_lets_go_of_all_descriptors(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of descriptors
    walk = iter(Walk(tmp_path, {}))
    next(walk), next(walk), next(walk)
    walk.close()  # type: ignore[attr-defined]
    finder = Finder(str(tmp_path))
    assert finder.directory_of(b"a/b/c") is not None
    assert finder.directory_of(b"a/none/c") is None
    finder.close()
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_closed_directories_are_told_and_the_rest_is_verified(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    script = "mkdir -p root/closed root/dark; touch root/dark/x root/z; chown 5 root/z root/dark/x"
    bare([FAKEROOT_SC, "-p", "s", "--", "sh", "-euc", script], cwd=tmp_path)
    tool("export", "s", "root", "--format", "fakeroot", "-o", "o", cwd=tmp_path)
    (tmp_path / "root/closed").chmod(0)
    (tmp_path / "root/dark").chmod(0o600)
    try:
        told = data("verify", "s", "root", cwd=tmp_path, status=1)
        done = bare([STATE, "import", "n", "root", "o", "--format", "fakeroot"], cwd=tmp_path)
    finally:
        (tmp_path / "root/closed").chmod(0o700)
        (tmp_path / "root/dark").chmod(0o700)
    what = {Path(each["path"]).name: each["what"] for each in told["trouble"]}
    assert what["closed"] == "cannot list: Permission denied"
    assert what["x"] == "cannot look at it: Permission denied" or "not in the tree" in what["x"]
    assert told["found"] == 1
    assert done.returncode == 1
    assert "root/closed: cannot list: Permission denied: left out" in done.stderr
    with State.open(tmp_path / "n") as state:
        assert [record.uid for record in state if record.uid] == [5]


CAPABILITY = struct.pack("<IIIIII", 0x0300_0001, 0x2400, 0, 0, 0, 77)
"""Of a user namespace of which user 77 is root: nobody else's root may read it."""


@pytest.mark.root
@pytest.mark.parametrize("name", ["tar", "mtree", "json"])
def test_an_attribute_that_cannot_be_read_is_told_and_the_rest_goes_on(
    name: str, tmp_path: Path
) -> None:
    unshare = need("unshare", "util-linux")
    root = tmp_path / "root"
    root.mkdir()
    for each in ("a", "b", "c"):
        (root / each).write_text(each)
    bare([FAKEROOT_SC, "-p", "s", "--", "chown", "5", "root/a", "root/b", "root/c"], cwd=tmp_path)
    os.setxattr(root / "b", "security.capability", CAPABILITY)
    inside = [unshare, "-U", "--map-root-user", STATE]
    command = [*inside, "export", "s", "root", "--format", name, "-o", "o"]
    done = bare(command, cwd=tmp_path)
    if "unshare" in done.stderr:
        pytest.skip("user namespaces are closed here")
    what = "attribute security.capability: Value too large for defined data type"
    said = f"fakeroot-sc-state: root/b: {what}: left out\n"
    assert (done.returncode, done.stderr) == (1, said)
    assert b"security.capability" not in (tmp_path / "o").read_bytes()
    tool("import", "new", "root", "o", "--format", name, cwd=tmp_path)
    with State.open(tmp_path / "new") as state:
        assert sorted(Path(record.path or "").name for record in state) == ["a", "b", "c"]
    done = bare([*inside, "verify", "s", "root", "--json"], cwd=tmp_path)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert [(Path(each["path"]).name, each["what"]) for each in told["trouble"]] == [("b", what)]
    assert told["found"] == 3


@pytest.mark.parametrize("name", ["tmpfiles", "makedevs"])
def test_owners_of_symbolic_links_that_a_table_has_no_room_for_are_counted(
    name: str, tmp_path: Path
) -> None:
    script = "mkdir root; cd root; ln -s a b; ln -s a c; ln -s a d; chown -h 5 b c"
    bare([FAKEROOT_SC, "-p", "s", "--", "sh", "-euc", script], cwd=tmp_path)
    told = data("export", "s", "root", "--format", name, "-o", "o", cwd=tmp_path)
    assert len(told["warnings"]) == 1
    assert "symbolic links: 2 " in told["warnings"][0]
    (tmp_path / "root/b").unlink()
    (tmp_path / "root/c").unlink()
    assert not data("export", "s", "root", "--format", name, "-o", "o", cwd=tmp_path)["warnings"]


@pytest.mark.parametrize("name", ["tar", "cpio", "mtree", "json", "tmpfiles", "fakeroot"])
def test_names_may_be_any_bytes(name: str, tmp_path: Path) -> None:
    names = [b"\xff", b"a\nb", b"\x1b[31m", b" ", b"\\", b'"', b"'", b"%", b"#x", b"-", b"\xc3\xa9"]
    root = os.fsencode(tmp_path / "root")
    os.mkdir(root)  # noqa: PTH102 - bytes
    with State.open(tmp_path / "s") as state:
        for number, each in enumerate(names, 1):
            os.close(os.open(root + b"/" + each, os.O_CREAT | os.O_WRONLY))
            state.change(root + b"/" + each, uid=number)
        before = {(each.identity, each.uid, each.path) for each in state}
    tool("export", "s", "root", "--format", name, "-o", "o", cwd=tmp_path)
    tool("import", "new", "root", "o", "--format", name, cwd=tmp_path)
    with State.open(tmp_path / "new") as state:
        assert {(each.identity, each.uid, each.path) for each in state} == before
        assert len(by_number(list(state))) == len(names)
    assert stat.S_ISDIR(os.stat(root).st_mode)  # noqa: PTH116 - bytes
