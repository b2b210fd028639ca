# SPDX-License-Identifier: Apache-2.0
"""``-i`` and ``-s``: what a run remembers outlives it, in fakeroot's own format."""

from __future__ import annotations

import os
import re
import select
import shutil
import stat
import subprocess
from pathlib import Path

import harness
import pytest
from commands import FAKEROOT_SC, PATIENCE, bare, compile_c, need, read_line
from hypothesis import given, settings
from hypothesis import strategies as st

import fakeroot_sc

MAKE = """
mkdir root; cd root
touch file plain later tool; ln file hard; ln -s file link; mkfifo fifo; mkdir dir
chown 5:6 file; chown -h 7:8 link; chown 9 dir fifo; chmod 4755 tool
mknod block b 700 70000; mknod char c 5 1; chown 1:2 char; chmod 600 char
chown 3 later; chmod 640 later
"""
LIST = "cd root && stat -c '%n %f %u:%g %t:%T' * | sort"


def run(*options: str, script: str, cwd: Path, **more: object) -> subprocess.CompletedProcess[str]:
    return bare([FAKEROOT_SC, *options, "--", "sh", "-euc", script], cwd=cwd, **more)


def good(*options: str, script: str, cwd: Path) -> str:
    done = run(*options, script=script, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_next_run_shows_what_the_last_one_saved(tmp_path: Path) -> None:
    shown = good("-s", "state", script=f"({MAKE}); {LIST}", cwd=tmp_path)
    assert "block 61a4 0:0 2bc:11170" in shown
    assert "later 81a0 3:0 0:0" in shown
    assert good("-i", "state", script=LIST, cwd=tmp_path) == shown
    static = LIST.replace("stat", f"{need('busybox', 'busybox-static')} stat")
    assert good("-i", "state", script=static, cwd=tmp_path) == shown
    assert good("--no-shim", "-i", "state", script=LIST, cwd=tmp_path) == shown


def test_the_same_file_is_loaded_and_saved(tmp_path: Path) -> None:
    good("-s", "state", script=MAKE, cwd=tmp_path)
    for number in range(3):
        script = f"chown {number}:77 root/file; touch root/n{number}; chown 4 root/n{number}"
        good("-i", "state", "-s", "state", script=script, cwd=tmp_path)
    shown = good("-i", "state", script=LIST, cwd=tmp_path)
    assert "file 81a4 2:77" in shown
    assert all(f"n{number} 81a4 4:0" in shown for number in range(3))


def test_what_is_saved_is_sorted_and_the_same_again(tmp_path: Path) -> None:
    good("-s", "state", script=MAKE, cwd=tmp_path)
    good("-i", "state", "-s", "again", script="true", cwd=tmp_path)
    text = (tmp_path / "state").read_text()
    assert (tmp_path / "again").read_text() == text
    keys = [line.split(",")[:2] for line in text.splitlines()]
    assert keys == sorted(keys, key=lambda key: (key[0], int(key[1].partition("=")[2])))


def test_fakeroot_reads_it(tmp_path: Path) -> None:
    fakeroot = need("fakeroot", "fakeroot")
    shown = good("-s", "state", script=f"({MAKE}); {LIST}", cwd=tmp_path)
    done = bare([fakeroot, "-i", "state", "-s", "back", "--", "sh", "-c", LIST], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, shown)
    assert good("-i", "back", script=LIST, cwd=tmp_path) == shown


def test_it_reads_fakeroots(tmp_path: Path) -> None:
    fakeroot = need("fakeroot", "fakeroot")
    script = f"({MAKE}); {LIST}"
    done = bare([fakeroot, "-s", "state", "--", "sh", "-euc", script], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert good("-i", "state", script=LIST, cwd=tmp_path) == done.stdout


def test_unknown_owners_stay_real_and_are_saved_as_they_are(tmp_path: Path) -> None:
    script = "touch file; chgrp 6 file; touch zero; chown 0:0 zero"
    good("-u", "-s", "state", script=script, cwd=tmp_path)
    real = os.getuid()
    text = (tmp_path / "state").read_text()
    assert f"uid={real},gid=6" in text
    shown = good("-u", "-i", "state", script="stat -c %u:%g file zero", cwd=tmp_path)
    assert shown == f"{real}:6\n0:0\n"


def test_what_was_removed_is_not_saved(tmp_path: Path) -> None:
    script = "touch a b; chown 5 a b; exec 3<a; rm a; mv b c; chown 6 c; : >d; chown 7 d; mv d c"
    good("-s", "state", script=script, cwd=tmp_path)
    lines = (tmp_path / "state").read_text().splitlines()
    assert [line.split(",")[3] for line in lines] == ["uid=7"]
    assert f"ino={(tmp_path / 'c').stat().st_ino}," in lines[0]


REMOVES = """
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
int main(void)
{
	char name[16];
	for (int i = 0; i < 90; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		int fd = open(name, O_CREAT | O_WRONLY, 0644);
		if (fchown(fd, 5, 5) < 0 || close(fd) < 0)
			return 1;
		if (i % 3 == 0 && (unlink(name) < 0 || mknod(name, S_IFCHR | 0600, 1) < 0))
			return 2;
		if (i % 3 == 1 && (unlink(name) < 0 || mkdir(name, 0700) < 0 ||
			chown(name, 6, 6) < 0 || rmdir(name) < 0))
			return 3;
	}
	for (int i = 0; i < 90; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		if (i % 3 != 1 && (i % 2 ? unlink(name) : rename(name, "last")) < 0)
			return 4;
	}
	return unlink("last") < 0 ? 5 : 0;
}
"""


@pytest.mark.parametrize("shim", [[], ["--no-shim"]])
def test_what_its_maker_removes_at_once_is_not_saved(tmp_path: Path, shim: list[str]) -> None:
    program = compile_c(tmp_path, "removes", REMOVES)
    done = bare([FAKEROOT_SC, *shim, "-s", "state", "--", program], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "state").read_text() == ""


AT_ONCE = """
import os, stat
for number in range(20):
    os.close(os.open('file', os.O_CREAT | os.O_EXCL))
    os.chown('file', 5, 6)
    os.unlink('file')
    os.mkdir('dir')
    os.chown('dir', 5, 6)
    os.rmdir('dir')
    os.mknod('node', stat.S_IFCHR | 0o600, 259)
    try:
        os.mknod('node', stat.S_IFBLK | 0o600, 259)
    except FileExistsError:
        pass
    os.close(os.open('other', os.O_CREAT | os.O_EXCL))
    os.rename('other', 'node')
    os.unlink('node')
"""


def test_what_was_removed_right_after_it_was_changed_is_not_saved(tmp_path: Path) -> None:
    (tmp_path / "program").write_text(AT_ONCE)
    good("-s", "state", script="python3 -I -S program; rm program", cwd=tmp_path)
    assert (tmp_path / "state").read_text() == ""


def test_a_mode_changed_after_the_owner_is_saved(tmp_path: Path) -> None:
    """Also where the program need not ask the supervisor for that."""
    script = (
        "import os\n"
        "for name, mode in ('a', 0o640), ('b', 0o755), ('c', 0o600):\n"
        "    fd = os.open(name, os.O_CREAT | os.O_WRONLY, 0o644)\n"
        "    os.fchown(fd, 5, 6)\n"
        "    os.fchmod(fd, mode)\n"
    )
    python = need("python3", "python3-minimal")
    good(
        "-s",
        "state",
        script=f"exec {python} -ISc '{script.replace(chr(39), chr(34))}'",
        cwd=tmp_path,
    )
    lines = (tmp_path / "state").read_text().splitlines()
    assert sorted(line.split(",")[2] for line in lines) == [
        "mode=100600",
        "mode=100640",
        "mode=100755",
    ]


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 7", 7), ("kill -9 $$", 128 + 9), ("kill -TERM $$", 128 + 15), ("kill -INT $$", 130)],
)
def test_it_is_saved_whatever_way_command_ends(script: str, status: int, tmp_path: Path) -> None:
    done = run("-s", "state", script=f"touch f; chown 5 f; {script}", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (status, "")
    assert "uid=5" in (tmp_path / "state").read_text()


def test_it_is_saved_when_the_front_process_is_killed(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.mkfifo(tmp_path / "state")
    script = f"touch f; chown 5 f; echo ready >&{write}; exec sleep 60"
    with subprocess.Popen(
        [FAKEROOT_SC, "-s", "state", "bash", "-euc", script], cwd=tmp_path, pass_fds=[write]
    ) as process:
        os.close(write)
        # Opened for both, so that neither end waits for the other.
        with os.fdopen(os.open(tmp_path / "state", os.O_RDWR), "rb", buffering=0) as fifo:
            assert read_line(read) == "ready"
            process.kill()
            assert "uid=5" in read_line(fifo.fileno())
    os.close(read)


def test_what_is_left_behind_saves_again_when_it_ends(tmp_path: Path) -> None:
    read, write = os.pipe()
    go_read, go_write = os.pipe()
    script = (
        f"touch f; chown 5 f; (exec <&{go_read}; read go; chown 6 f) & exec {go_read}<&- {write}>&-"
    )
    done = bare(
        [FAKEROOT_SC, "-s", "state", "--", "bash", "-euc", script],
        cwd=tmp_path,
        pass_fds=[write, go_read],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert done.returncode == 0
    os.close(go_read)
    before = (tmp_path / "state").read_text()
    assert "uid=5" in before
    os.close(write)
    # Replaced by a FIFO: what comes next is what is saved next.
    (tmp_path / "state").unlink()
    os.mkfifo(tmp_path / "state")
    with os.fdopen(os.open(tmp_path / "state", os.O_RDWR), "rb", buffering=0) as fifo:
        os.write(go_write, b"go\n")
        assert read_line(fifo.fileno()) == before.replace("uid=5", "uid=6").strip()
    os.close(go_write)
    os.close(read)


WRONG = {
    "garbage": (1, "garbage\n"),
    "a blank line": (2, "dev=1,ino=2,mode=100644,uid=1,gid=2,nlink=1,rdev=0\n\n"),
    "a cut line": (1, "dev=1,ino=2,mode=100644,uid=1,gid=2,nlink=1,rdev=0"),
    "a cut number": (1, "dev=1,ino=,mode=100644,uid=1,gid=2,nlink=1,rdev=0\n"),
    "a sign": (1, "dev=1,ino=-2,mode=100644,uid=1,gid=2,nlink=1,rdev=0\n"),
    "a large owner": (1, "dev=1,ino=2,mode=100644,uid=4294967296,gid=2,nlink=1,rdev=0\n"),
    "a large number": (
        1,
        "dev=1,ino=18446744073709551616,mode=100644,uid=4,gid=2,nlink=1,rdev=0\n",
    ),
    "a mode with a 9": (1, "dev=1,ino=2,mode=100694,uid=1,gid=2,nlink=1,rdev=0\n"),
    "no type": (1, "dev=1,ino=2,mode=644,uid=1,gid=2,nlink=1,rdev=0\n"),
    "a large device": (1, "dev=1,ino=2,mode=20644,uid=1,gid=2,nlink=1,rdev=4294967296\n"),
    "something behind": (1, "dev=1,ino=2,mode=100644,uid=1,gid=2,nlink=1,rdev=0 \n"),
    "a NUL": (1, "dev=1,ino=2,mode=100644,uid=1,gid=2,nlink=1,rdev=0\0\n"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_malformed_file_is_named_with_its_line_and_nothing_runs(
    wrong: str, tmp_path: Path
) -> None:
    line, text = WRONG[wrong]
    (tmp_path / "state").write_text(text)
    done = run("-i", "state", "-s", "state", script="touch ran", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith(f"fakeroot-sc: state: line {line}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert (tmp_path / "state").read_text() == text


@settings(max_examples=harness.examples(40), deadline=None, derandomize=True)
@given(cut=st.integers(0, 400))
def test_a_truncated_file_is_never_half_loaded(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = "".join(
        f"dev=fe00,ino={ino},mode=100644,uid=1,gid=2,nlink=1,rdev=0\n" for ino in range(7, 14)
    )
    directory = tmp_path_factory.mktemp("cut")
    text = whole[:cut]
    (directory / "state").write_text(text)
    done = run("-i", "state", "-s", "again", script="true", cwd=directory)
    if text == "" or text.endswith("\n"):
        assert (done.returncode, (directory / "again").read_text()) == (0, text)
    else:
        assert done.returncode == 125
        assert done.stderr.startswith(f"fakeroot-sc: state: line {text.count(chr(10)) + 1}: ")


def test_a_file_that_cannot_be_read_is_named_and_nothing_runs(tmp_path: Path) -> None:
    (tmp_path / "closed").touch(mode=0)
    (tmp_path / "directory").mkdir()
    names = ["missing", "directory"] + ["closed"] * (os.geteuid() != 0)
    for name in names:
        done = run("-i", name, script="touch ran", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (125, "")
        assert done.stderr.startswith(f"fakeroot-sc: {name}: cannot load: ")
    assert not (tmp_path / "ran").exists()


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    good("-i", "state", "-s", "state", script="true", cwd=tmp_path)
    assert (tmp_path / "state").read_bytes() == b""


def test_a_place_that_cannot_be_written_to_is_named_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    places = {"directory": "Is a directory"}
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o555)
        places["closed/state"] = "Permission denied"
    for place, why in places.items():
        done = run("-s", place, script="touch ran", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (125, "")
        assert done.stderr == f"fakeroot-sc: {place}: cannot save: {why}\n"
    assert not (tmp_path / "ran").exists()


def test_a_missing_directory_is_named_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("none/state")
    places = {
        "none/state": "No such file or directory",
        "dangling": "No such file or directory",
        "file/state": "Not a directory",
        "loop": "Too many levels of symbolic links",
        "n" * 256: "File name too long",
    }
    for place, why in places.items():
        done = run("-s", place, script="touch ran", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (125, "")
        assert done.stderr == f"fakeroot-sc: {place}: cannot save: {why}\n"
    assert not (tmp_path / "ran").exists()


def test_a_deleted_working_directory_is_named_before_anything_runs(tmp_path: Path) -> None:
    script = f"mkdir gone; cd gone; rmdir ../gone; exec {FAKEROOT_SC} -s state touch {tmp_path}/ran"
    done = bare(["sh", "-euc", script], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == "fakeroot-sc: state: cannot save: No such file or directory\n"
    assert not (tmp_path / "ran").exists()


TINY = """
mkdir tiny; mount -t tmpfs -o size=64k none tiny; cd tiny
{fill}
set +e; {fakeroot_sc} -s state -- sh -euc '{script}'
echo status $?; mount -o remount,rw none .; ls -A
"""


@pytest.mark.root
@pytest.mark.parametrize(
    ("fill", "why"),
    [
        ("dd if=/dev/zero of=fill 2>/dev/null || :", "No space left on device"),
        ("touch fill; mount -o remount,ro none .", "Read-only file system"),
    ],
)
def test_a_full_or_read_only_disk_is_named_before_anything_runs(
    fill: str, why: str, tmp_path: Path
) -> None:
    unshare = need("unshare", "util-linux")
    script = TINY.format(fill=fill, fakeroot_sc=FAKEROOT_SC, script="echo ran")
    done = bare([unshare, "-m", "sh", "-euc", script], cwd=tmp_path)
    assert done.stdout == "status 125\nfill\n"
    assert done.stderr == f"fakeroot-sc: state: cannot save: {why}\n"


def elsewhere(stderr: str, name: str, why: str) -> Path:
    """Where a run says that it has saved instead."""
    found = re.fullmatch(rf"fakeroot-sc: {name}: cannot save: {why}: saved as (/.*)\n", stderr)
    assert found, stderr
    return Path(found[1])


MANY = "touch $(seq -f f%.0f 2000); chown 5 f*"


@pytest.mark.root
def test_a_disk_that_command_has_filled_loses_nothing(tmp_path: Path) -> None:
    unshare = need("unshare", "util-linux")
    script = TINY.format(
        fill=":",
        fakeroot_sc=FAKEROOT_SC,
        script="chown 7 ..; (dd if=/dev/zero of=fill || :) 2>/dev/null",
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = bare([unshare, "-m", "sh", "-euc", script], cwd=tmp_path, env=environment)
    assert done.stdout == "status 125\nfill\n"
    saved = elsewhere(done.stderr, "state", "No space left on device")
    assert saved.parent == temporary
    assert "uid=7" in saved.read_text()


def test_what_cannot_be_saved_at_the_end_is_saved_elsewhere_and_said_where(
    tmp_path: Path,
) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    (tmp_path / "made").mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "HOME": str(home)}
    cases = {
        "/dev/full": (f"mkdir -p root; cd root; {MANY}", "No space left on device"),
        "made/state": ("touch f; chown 5 f; rmdir made", "No such file or directory"),
        "file": ("touch f; chown 5 f; rm -f file; mkdir file", "Is a directory"),
        "fifo": ("touch f; chown 5 f", "No such device or address"),
        os.fsdecode(b"made/\xff"): ("touch f; chown 5 f; rmdir made", "No such file or directory"),
    }
    os.mkfifo(tmp_path / "fifo")
    for there in (home, temporary):  # the first one while the second is not there
        there.mkdir(exist_ok=True)
        for place, (script, why) in cases.items():
            (tmp_path / "made").mkdir(exist_ok=True)
            shutil.rmtree(tmp_path / "file", ignore_errors=True)
            done = run("-s", place, script=script, cwd=tmp_path, env=environment)
            assert (done.returncode, done.stdout) == (125, "")
            saved = elsewhere(done.stderr, place.replace("\udcff", r"\\udcff"), why)
            assert saved.parent == there
            count = 2000 if place == "/dev/full" else 1
            assert saved.read_text().count("uid=5") == count
    shown = good("-i", str(saved), script="stat -c %u f", cwd=tmp_path)
    assert shown == "5\n"
    assert not list(tmp_path.glob(".fsc*"))


def test_descriptors_are_refused_before_anything_runs(tmp_path: Path) -> None:
    """Standard output above all: a file that it is sent to must not be replaced."""
    with (tmp_path / "out").open("w+") as out:
        for place in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
            for to in (out, subprocess.PIPE):
                options = {"stdout": to, "stderr": subprocess.PIPE}
                done = run("-s", place, script="touch ran", cwd=tmp_path, **options)
                assert done.returncode == 125
                why = "a run keeps no descriptors open: name a file or a FIFO"
                assert done.stderr == f"fakeroot-sc: {place}: cannot save: {why}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_slow_reader_of_a_pipe_gets_everything(tmp_path: Path) -> None:
    """More than a pipe holds at once."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "root").mkdir()
    with os.fdopen(os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK), "rb") as fifo:
        command = [FAKEROOT_SC, "-s", "../fifo", "--", "sh", "-euc", MANY]
        with subprocess.Popen(command, cwd=tmp_path / "root") as process:
            # Readable: the run saves, and will soon wait for room.
            assert select.select([fifo], [], [], PATIENCE)[0]
            os.set_blocking(fifo.fileno(), True)
            text = fifo.read()
            assert process.wait(PATIENCE) == 0
    assert text.count(b"uid=5") == 2000
    assert len(text) > 65536


def test_a_save_that_fails_keeps_the_old_file_and_is_told(tmp_path: Path) -> None:
    """A limit of the size of files, which holds everywhere."""
    (tmp_path / "state").write_text("dev=1,ino=2,mode=100644,uid=1,gid=2,nlink=1,rdev=0\n")
    before = (tmp_path / "state").read_bytes()
    # The limit is of targets, too: as it is set within.
    script = f"""
        mkdir root; cd root; {MANY}; cd ..
        supervisor=$(awk '/^PPid/ {{print $2}}' /proc/$$/status)
        {need("prlimit", "util-linux")} --fsize=1000 --pid $supervisor
    """
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = run("-s", "state", script=script, cwd=tmp_path, env=environment)
    assert done.returncode == 125
    assert done.stderr.startswith("fakeroot-sc: state: cannot save: File too large: nor in ")
    assert done.stderr.endswith("what this run remembered is lost\n")
    assert (tmp_path / "state").read_bytes() == before
    assert not [path for path in tmp_path.rglob("*") if "fsc" in path.name or "saved" in path.name]


def test_a_new_file_has_the_users_mode_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        (tmp_path / "state").unlink(missing_ok=True)
        bare([FAKEROOT_SC, "-s", "state", "true"], cwd=tmp_path, umask=mask)
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == mode
    (tmp_path / "state").chmod(0o604)
    good("-s", "state", script="true", cwd=tmp_path)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o604


def test_a_link_leads_to_the_file_that_is_saved(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").symlink_to("elsewhere/real")
    good("-s", "state", script=MAKE, cwd=tmp_path)
    assert (tmp_path / "state").is_symlink()
    assert (tmp_path / "elsewhere" / "real").read_bytes().startswith(b"dev=")


def test_what_is_no_regular_file_is_written_to(tmp_path: Path) -> None:
    good("-s", "/dev/null", script=MAKE, cwd=tmp_path)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_extended_attributes_are_warned_about_once(tmp_path: Path) -> None:
    setfattr = need("setfattr", "attr")
    script = f"touch a b; for f in a b; do {setfattr} -n security.x -v y $f; chown 5 $f; done"
    done = run("-s", "state", script=script, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("fakeroot-sc: state: fakeroot's format has no extended attr")
    assert "of 2 files" in done.stderr
    assert (tmp_path / "state").read_text().count("uid=5") == 2


def test_a_number_given_to_a_file_of_another_type_is_not_the_saved_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    seen = (tmp_path / "file").stat()
    line = "dev={:x},ino={},mode=40755,uid=5,gid=6,nlink=2,rdev=0\n"
    (tmp_path / "state").write_text(line.format(seen.st_dev, seen.st_ino))
    for stat_command in ("stat", f"{need('busybox', 'busybox-static')} stat"):
        shown = good("-i", "state", script=f"{stat_command} -c %u:%g file", cwd=tmp_path)
        assert shown == "0:0\n"


def test_a_loaded_file_that_is_removed_hands_nothing_on(tmp_path: Path) -> None:
    good("-s", "state", script="touch file; chown 5:6 file", cwd=tmp_path)
    turn = "rm file; touch file; stat -c %u:%g file; chown 7 file"
    script = f"for turn in 1 2 3 4 5 6 7 8; do {turn}; done"
    assert set(good("-i", "state", script=script, cwd=tmp_path).split()) == {"0:0"}


def test_inside_of_another_run_they_are_refused(tmp_path: Path) -> None:
    for option in ("-i", "-s"):
        script = f"{FAKEROOT_SC} {option} state touch ran"
        done = run(script=script, cwd=tmp_path)
        assert done.returncode == 125
        assert done.stderr.startswith("fakeroot-sc: -i, -s, -p: not inside of another run")
    assert list(tmp_path.iterdir()) == []


def test_run_loads_and_saves(tmp_path: Path) -> None:
    make = ["sh", "-c", "touch f; chown 5:6 f"]
    fakeroot_sc.run(make, cwd=tmp_path, save=tmp_path / "state", check=True)
    done = fakeroot_sc.run(
        ["stat", "-c", "%u:%g", "f"],
        cwd=tmp_path,
        load=tmp_path / "state",
        capture_output=True,
        text=True,
    )
    assert done.stdout == "5:6\n"


def test_an_archive_is_made_in_a_second_run(tmp_path: Path) -> None:
    good("-s", "state", script=MAKE, cwd=tmp_path)
    names = good("-i", "state", script="tar cf - root | tar tvf - --numeric-owner", cwd=tmp_path)
    rows = {line.split()[-1].rstrip("/"): line.split()[:3] for line in names.splitlines()}
    assert rows["root/block"] == ["brw-r--r--", "0/0", "700,70000"]
    assert rows["root/char"][:2] == ["crw-------", "1/2"]
    assert rows["root/dir"][:2] == ["drwxr-xr-x", "9/0"]
    shutil.rmtree(tmp_path / "root")
