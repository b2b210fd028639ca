# SPDX-License-Identifier: Apache-2.0
"""``fakeroot-sc-state``: looking at states, mending them, bringing them together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import FAKEROOT_SC, PATIENCE, Terminal, bare, waiting
from installed import STATE_TOOL as STATE

from fakeroot_sc import State


def tool(*arguments: object, cwd: Path, status: int = 0) -> str:
    done = bare([STATE, *(str(each) for each in arguments)], cwd=cwd)
    assert done.returncode == status, done
    assert "Traceback" not in done.stderr
    return str(done.stdout)


def data(*arguments: object, cwd: Path, status: int = 0) -> Any:
    return json.loads(tool(*arguments, "--json", cwd=cwd, status=status))


def fake(script: str, cwd: Path, name: str = "s") -> str:
    done = bare([FAKEROOT_SC, "-p", name, "--", "sh", "-euc", script], cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), done
    return str(done.stdout)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    fake("mkdir root; cd root; touch a b c; chown 5 a; chown 6:7 b; mknod n c 1 3", tmp_path)
    return tmp_path


def test_show_tells_all_records_or_those_of_paths(made: Path) -> None:
    lines = tool("show", "s", cwd=made).splitlines()
    assert lines[0].split() == ["PATH", "FILE", "UID", "GID", "MODE", "DEVICE", "XATTRS"]
    assert len(lines) == 4
    assert any("char 1,3" in line for line in lines)
    shown = data("show", "s", "root/b", cwd=made)
    assert [(one["uid"], one["gid"], one["path"]) for one in shown] == [
        (6, 7, str(made / "root/b"))
    ]
    assert data("show", "s", "root/c", cwd=made, status=1) == []
    tool("show", "s", "root/none", cwd=made, status=2)
    tool("show", "none", cwd=made, status=2)


def test_a_terminal_gets_tables_and_progress(made: Path) -> None:
    pytest.importorskip("rich", reason="rich is not installed (pip install fakeroot-sc[state])")
    for command in (["show", "s"], ["verify", "s", "root"]):
        path = [str(made / each) if each in ("s", "root") else each for each in command]
        with Terminal([STATE, *path], {**os.environ, "TERM": "xterm", "COLUMNS": "300"}) as shown:
            text = shown.rest()
            assert shown.status() == 0
        assert "Traceback" not in text
        assert ("char 1,3" if command[0] == "show" else "3 of 3 records") in text


def test_show_tells_what_a_killed_or_running_run_has_changed(made: Path) -> None:
    with State.open(made / "s"):
        fake("chown 9 root/c", made)
        assert {one["uid"] for one in data("show", "s", cwd=made)} == {5, 6, 9, None}


def test_a_copy_that_is_read_only_is_shown(made: Path) -> None:
    copy = made / "copy"
    copy.mkdir()
    shutil.copy(made / "s", copy / "s")
    (copy / "s").chmod(0o400)
    copy.chmod(0o500)
    try:
        assert len(data("show", copy / "s", cwd=made)) == 3
    finally:
        copy.chmod(0o700)


def test_explain_tells_what_is_faked_and_what_is_real(made: Path) -> None:
    told = data("explain", "s", "root/n", cwd=made)
    shows = {one["what"]: one for one in told["shows"]}
    assert shows["type"]["shown"] == "char 1,3"
    assert shows["type"]["real"] == "regular file"
    assert shows["owner"] == {
        "what": "owner",
        "shown": "0",
        "real": str(os.geteuid()),
        "from": "default",
    }
    assert told["program"] == "sh"
    assert told["changed"] > 0
    text = tool("explain", "s", "root/a", cwd=made)
    assert "by a run of sh" in text
    before = told["changed"]
    bare([FAKEROOT_SC, "-p", "s", "--", "chown", "8", "root/b"], cwd=made)
    assert data("explain", "s", "root/n", cwd=made)["changed"] == before
    assert data("explain", "s", "root/b", cwd=made)["program"] == "chown"
    assert "nothing is remembered" in tool("explain", "s", "root/c", cwd=made)


def test_explain_names_no_program_where_it_may_have_been_another(made: Path) -> None:
    with waiting(
        [FAKEROOT_SC, "-p", "s", "--", "sh", "-c", "chown 9 root/a; echo done; read x"],
        "done",
        cwd=made,
    ) as first:
        assert data("explain", "s", "root/a", cwd=made)["program"] == "sh"
        bare([FAKEROOT_SC, "-p", "s", "--", "chown", "8", "root/b"], cwd=made)
        assert data("explain", "s", "root/b", cwd=made)["program"] is None
        first.communicate("go\n", PATIENCE)
    with State.open(made / "s") as state:
        record = state.change(made / "root/a", gid=4)
        change = state.last_change(record.identity)
        assert change is not None
        assert change.program is None


def test_what_is_carried_on_keeps_when_and_by_whom_it_was_set(made: Path) -> None:
    before = data("explain", "s", "root/a", cwd=made)
    tool("merge", "t", "s", cwd=made)
    (made / "root/a").rename(made / "root/moved")
    tool("prune", "t", cwd=made)
    shutil.copytree(made / "root", made / "copy")
    tool("repair", "t", "copy", "--was", made / "root", cwd=made)
    after = data("explain", "t", "copy/moved", cwd=made)
    assert (after["changed"], after["program"]) == (before["changed"], "sh")


def test_json_has_names_as_they_are(made: Path) -> None:
    name = made / "root" / os.fsdecode(b"\xff\n")
    name.touch()
    with State.open(made / "s") as state:
        state.change(name, uid=9)
    shown = [one["path"] for one in data("show", "s", cwd=made) if one["uid"] == 9]
    assert shown == [str(name)]


def test_diff_tells_what_differs_as_its_status_does(made: Path) -> None:
    shutil.copy(made / "s", made / "t")
    assert tool("diff", "s", "t", cwd=made) == ""
    fake("chown 8 root/a; chown 0:0 root/b; chown 4 root/c", made, "t")
    told = data("diff", "s", "t", cwd=made, status=1)
    assert len(told) == 3
    lines = tool("diff", "s", "t", cwd=made, status=1).splitlines()[1:]
    assert sorted(line[0] for line in lines) == ["+", "+", "-", "-"]


def test_diff_compares_trees_of_different_machines_by_path(made: Path) -> None:
    shutil.copytree(made / "root", made / "old")
    shutil.rmtree(made / "root")
    shutil.move(made / "old", made / "root")
    fake("cd root; chown 5 a; chown 6:7 b; rm n; mknod n c 1 3", made, "t")
    assert data("diff", "s", "t", cwd=made, status=1)
    assert data("diff", "--by-path", "s", "t", cwd=made) == []


def test_verify_finds_what_is_not_there_any_more(made: Path) -> None:
    told = data("verify", "s", "root", cwd=made)
    assert (told["records"], told["found"], told["trouble"]) == (3, 3, [])
    (made / "root/a").rename(made / "root/moved")
    (made / "root/b").unlink()
    (made / "root/b").touch()
    (made / "root/n").unlink()
    told = data("verify", "s", "root", cwd=made, status=1)
    what = {Path(one["path"]).name: one["what"] for one in told["trouble"]}
    assert "was at" in what["moved"]
    assert "not in the tree" in what["n"]
    assert "b" in what


def test_prune_forgets_files_that_are_gone_and_finds_moved_ones(made: Path) -> None:
    (made / "root/a").rename(made / "root/moved")
    (made / "root/b").unlink()
    told = data("prune", "s", "--dry-run", cwd=made)
    assert [Path(one["path"]).name for one in told] == ["b"]
    assert len(data("show", "s", cwd=made)) == 3
    tool("prune", "s", cwd=made)
    left = {one["path"] for one in data("show", "s", cwd=made)}
    assert left == {str(made / "root/moved"), str(made / "root/n")}
    assert fake("stat -c %u root/moved", made) == "5\n"


@pytest.mark.parametrize("was", [[], ["--was"]])
def test_repair_binds_records_to_a_copy(made: Path, was: list[str]) -> None:
    shutil.copytree(made / "root", made / "elsewhere/copy")
    shutil.rmtree(made / "root")
    options = [*was, str(made / "root")] if was else []
    told = data("repair", "s", "elsewhere/copy", *options, "--dry-run", cwd=made)
    assert len(told["bound"]) == 3
    assert len(data("verify", "s", "elsewhere/copy", cwd=made, status=1)["trouble"]) == 3
    tool("repair", "s", "elsewhere/copy", *options, cwd=made)
    assert data("verify", "s", "elsewhere/copy", cwd=made)["found"] == 3
    shown = fake("cd elsewhere/copy; stat -c '%n %u:%g %F' *", made)
    assert shown.splitlines() == [
        "a 5:0 regular empty file",
        "b 6:7 regular empty file",
        "c 0:0 regular empty file",
        "n 0:0 character special file",
    ]


@pytest.mark.parametrize("options", ["-r", "-a"])
def test_repair_finds_all_names_of_a_file(made: Path, options: str) -> None:
    fake("mkdir t; touch t/a; ln t/a t/b; chown 5 t/a; chmod 4755 t/a", made, "l")
    bare(["cp", options, "t", "u"], cwd=made)
    tool("repair", "l", "u", cwd=made)
    shown = fake("cd u; stat -c '%n %u:%g %a' *", made, "l")
    assert shown == "a 5:0 4755\nb 5:0 4755\n"
    assert data("verify", "l", "u", cwd=made, status=1)["found"] == (2 if options == "-r" else 1)


def test_repair_tells_what_the_copy_lacks(made: Path) -> None:
    shutil.copytree(made / "root", made / "copy")
    (made / "copy/a").unlink()
    (made / "copy/n").unlink()
    (made / "copy/n").mkdir()
    told = data("repair", "s", "copy", "--was", made / "root", cwd=made, status=1)
    assert sorted(Path(one["path"]).name for one in told["missing"]) == ["a", "n"]
    assert len(data("show", "s", cwd=made)) == 4
    (made / "empty").mkdir()
    tool("repair", "s", "empty", cwd=made, status=2)


def test_merge_takes_the_newer_records_unless_told_otherwise(made: Path) -> None:
    shutil.copy(made / "s", made / "t")
    fake("chown 50 root/a; chown 60 root/c", made, "t")
    for prefer, owner in (("ours", 5), ("newer", 50)):
        shutil.copy(made / "s", made / prefer)
        tool("merge", prefer, "t", "--prefer", prefer, cwd=made)
        assert fake("stat -c %u root/a root/c", made, prefer) == f"{owner}\n60\n"
    fake("chown 51 root/a", made, "ours")
    tool("merge", "ours", "s", "--prefer", "theirs", cwd=made)
    assert fake("stat -c %u root/a root/c", made, "ours") == "5\n60\n"
    tool("merge", "s", "s", cwd=made, status=2)
    tool("merge", "both", "s", "t", "s", cwd=made)
    assert fake("stat -c %u root/a root/b root/c", made, "both") == "50\n6\n60\n"
    tool("merge", "new", "s", "t", cwd=made)
    assert fake("stat -c %u root/a root/b", made, "new") == "50\n6\n"


def test_export_tells_scripts_what_was_lost(made: Path) -> None:
    with State.open(made / "s") as state:
        state.change(made / "root/c", xattrs={"trusted.a": b"1"})
    told = data("export", "s", "root", "--format", "cpio", "-o", "o", cwd=made)
    assert (told["format"], told["output"], len(told["warnings"])) == ("cpio", "o", 1)
    assert "trusted.a" in told["warnings"][0]
    assert tool("export", "s", "root", "--format", "cpio", "--json", cwd=made, status=2) == ""


def test_wrong_use_is_told(made: Path) -> None:
    for arguments in ([], ["show"], ["nonsense"], ["export", "s", "root"]):
        tool(*arguments, cwd=made, status=2)
    assert "export" in tool("--help", cwd=made)
    for command in ("export", "import"):
        done = bare(
            [STATE, command, "s", "root", "x", "--format", "zip"][: 6 + (command != "export")],
            cwd=made,
        )
        assert done.returncode == 2
    for name in ("tar", "mtree"):
        broken = bare([STATE, "export", "s", "none", "--format", name, "-o", "o"], cwd=made)
        said = "fakeroot-sc-state: none: no such directory\n"
        assert (broken.returncode, broken.stderr) == (2, said)
        assert not (made / "o").exists()
    broken = bare([STATE, "export", "s", "root", "--format", "pseudo"], cwd=made)
    assert "imported only" in broken.stderr
    epoch = {**os.environ, "SOURCE_DATE_EPOCH": "soon"}
    broken = bare([STATE, "export", "s", "root", "--format", "tar"], cwd=made, env=epoch)
    assert (broken.returncode, "SOURCE_DATE_EPOCH" in broken.stderr) == (2, True)


def test_an_archive_is_packed_without_imports_that_take_time(tmp_path: Path) -> None:
    """attrs alone takes a tenth of the time that 20,000 files do."""
    (tmp_path / "root").mkdir()
    bare([FAKEROOT_SC, "-p", "s", "--", "chown", "5", "root"], cwd=tmp_path)
    code = """
import sys
from fakeroot_sc.statetool.cli import main
assert main(["export", "s", "root", "--format", "tar", "-o", "o.tar"]) == 0
print(*({"attr", "json", "tarfile"} & set(sys.modules)))
"""
    done = bare([sys.executable, "-P", "-c", code], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_an_export_leaves_out_what_is_beside_a_state_that_is_in_use(made: Path) -> None:
    with waiting(
        [FAKEROOT_SC, "-p", "root/s", "--", "sh", "-c", "chown 77 root/c; echo done; read x"],
        "done",
        cwd=made,
    ) as run:
        assert (made / "root" / "s-live-pending").exists()
        tool("export", "root/s", "root", "--format", "json", "-o", "o", cwd=made)
        run.communicate("go\n", PATIENCE)
    files = {each["path"] for each in json.loads((made / "o").read_text())["files"]}
    assert "c" in files
    assert not [path for path in files if path.startswith("s")]


def test_an_export_has_what_runs_have_changed_and_not_saved_yet(made: Path) -> None:
    """And a capability whose file was only touched since."""
    with waiting(
        [FAKEROOT_SC, "-p", "s", "--", "sh", "-c", "chown 77 root/c; echo done; read x"],
        "done",
        cwd=made,
    ) as run:
        tool("export", "s", "root", "--format", "json", "-o", "o", cwd=made)
        run.communicate("go\n", PATIENCE)
    files = json.loads((made / "o").read_text())["files"]
    assert {each["path"]: each["uid"] for each in files}["c"] == 77
    capability = bytes.fromhex("0100000200240000000000000000000000000000")
    with State.open(made / "s") as state:
        (made / "root/b").write_text("program")
        state.change(made / "root/b", xattrs={"security.capability": capability})
        os.utime(made / "root/b", (5, 5))
    tool("export", "s", "root", "--format", "tar", "-o", "o", cwd=made)
    assert b"SCHILY.xattr.security.capability=" in (made / "o").read_bytes()
    (made / "root/b").write_text("changed")
    tool("export", "s", "root", "--format", "tar", "-o", "o", cwd=made)
    assert b"SCHILY.xattr.security.capability=" not in (made / "o").read_bytes()


def test_an_export_is_written_where_its_name_leads(made: Path) -> None:
    """Through links; a file that standard output is sent to is not replaced."""
    (made / "elsewhere").mkdir()
    (made / "link").symlink_to("elsewhere/real")
    export = ("export", "s", "root", "--format", "fakeroot")
    tool(*export, "-o", "link", cwd=made)
    assert (made / "link").is_symlink()
    text = (made / "elsewhere/real").read_text()
    (made / "elsewhere/real").chmod(0o604)
    tool(*export, "-o", "link", cwd=made)
    assert (made / "elsewhere/real").stat().st_mode & 0o777 == 0o604
    with (made / "out").open("w+") as out:
        out.write("before\n")
        out.flush()
        assert bare([STATE, *export, "-o", "/dev/stdout"], cwd=made, stdout=out).returncode == 0
    assert (made / "out").read_text() == "before\n" + text


def test_an_export_that_cannot_be_written_is_told_and_leaves_nothing(made: Path) -> None:

    def files() -> list[Path]:
        return sorted(path for path in made.rglob("*") if not path.name.startswith("s-"))

    before = files()
    export = [STATE, "export", "s", "root", "--format"]
    for form in ("tar", "mtree"):
        places = {
            "none/o": "No such file or directory",
            "root": "Is a directory",
            "/dev/full": "No space left on device",
        }
        for place, why in places.items():
            done = bare([*export, form, "-o", place], cwd=made)
            said = f"fakeroot-sc-state: {place}: cannot be written: {why}\n"
            assert (done.returncode, done.stderr) == (2, said)
        with Path("/dev/full").open("w") as full:
            done = bare([*export, form], cwd=made, stdout=full, stderr=subprocess.PIPE)
        said = "fakeroot-sc-state: standard output: cannot be written: No space left on device\n"
        assert (done.returncode, done.stderr) == (2, said)
    assert files() == before
