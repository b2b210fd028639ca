# SPDX-License-Identifier: Apache-2.0
"""The memory that a supervisor shares with its targets: none of them breaks it by what it
writes there, or by cutting it off.

``FAKEROOT_SC_TEST_EXAMPLES=N`` writes N times as long: 1,800 is an hour of each test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import FAKEROOT_SC, bare, compile_c, fake, fake_script, need
from harness import PATIENCE, examples
from installed import STATE_TOOL

from fakeroot_sc import State

SOURCE = Path(__file__).parent / "programs" / "hostile.c"
HALF_SECONDS = 4
WRITABLE_BYTES = 307200
"""sizeof(struct session_writable), native/session_page.h."""

pytestmark = pytest.mark.timeout(examples(HALF_SECONDS) + 3 * PATIENCE)

# The shell and its programs are static: no shim reads what is written there.
RIGHT = """
n=0
while kill -0 $hostile 2>/dev/null; do
    n=$((n + 1))
    chown $n:$((n + 1)) f || exit 3
    chmod $((n % 7 + 1))55 f
    [ "$(stat -c %u:%g:%a f)" = "$n:$((n + 1)):$((n % 7 + 1))55" ] || exit 4
    mknod n$n c 1 3 && rm n$n
done
wait $hostile
chown 7:8 f && stat -c '%u:%g %n' f
"""

# Programs with a shim read what is written there, so they may be told anything; and so may
# all, where the records are written to, too.
ANSWERED = """
n=0
while kill -0 $hostile 2>/dev/null; do
    n=$((n + 1))
    touch g$n; chown $n g$n; chown -R $n d; stat -c %u g$n d/* >/dev/null; rm -f g$n
done 2>/dev/null
wait $hostile
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    directory = tmp_path / "program"
    directory.mkdir()
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    for number in range(20):
        (tmp_path / "d" / str(number)).touch()
    return compile_c(directory, "hostile", SOURCE.read_text(), "-static")


def attack(
    hostile: Path, directory: Path, script: str, *flags: str, files: str = "", shell: str = "sh"
) -> subprocess.CompletedProcess[str]:
    """Runs a script beside the program until that has ended, and waits no longer."""
    seconds = examples(HALF_SECONDS) / 2
    begin = f"{hostile} {seconds} {files} >bytes & hostile=$!\n"
    command = [*shell.split(), "-uc", begin + script]
    return fake(command, *flags, cwd=directory, timeout=seconds + 2 * PATIENCE)


def test_random_words_and_a_cut_change_no_answer_of_the_supervisor(
    hostile: Path, tmp_path: Path
) -> None:
    shell = f"{need('busybox', 'busybox-static')} sh"
    done = attack(hostile, tmp_path, RIGHT, shell=shell)
    assert (done.returncode, done.stdout, done.stderr) == (0, "7:8 f\n", "")


def test_the_records_are_not_writable_to_targets(hostile: Path, tmp_path: Path) -> None:
    done = attack(hostile, tmp_path, "wait $hostile; cat bytes")
    assert (done.returncode, done.stderr) == (0, "")
    # Handed for writing, and opened once more.
    assert int(done.stdout) in (0, 2 * WRITABLE_BYTES)


def test_programs_that_share_the_memory_are_answered_beside_one_who_spoils_it(
    hostile: Path, tmp_path: Path
) -> None:
    done = attack(hostile, tmp_path, f"{ANSWERED}\necho whole")
    assert (done.returncode, done.stdout) == (0, "whole\n")


def test_a_state_s_supervisor_answers_on_whatever_is_written_to_its_files(
    hostile: Path, tmp_path: Path
) -> None:
    shell = f"{need('busybox', 'busybox-static')} sh"
    fake_script("touch kept; chown 5:6 kept", tmp_path, "-p", "s")
    files = f"{tmp_path}/s-live {tmp_path}/s-live-pending"
    script = f"{ANSWERED}\ntouch h; chown 9 h; stat -c %n h f"
    done = attack(hostile, tmp_path, script, "-p", "s", files=files, shell=shell)
    # Cut off in the end: said, and the state is as it was.
    assert done.stdout == "h\nf\n"
    assert done.returncode == 125
    assert "s-live: was cut off or could not be read" in done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("chown: ")][1:] == []
    assert fake_script("stat -c %u:%g kept; chown 7 kept", tmp_path, "-p", "s") == "5:6\n"
    with State.open(tmp_path / "s") as state:
        assert {record.uid for record in state} == {7}


def test_two_runs_of_a_state_go_on_beside_one_who_spoils_their_locks(
    hostile: Path, tmp_path: Path
) -> None:
    files = f"{tmp_path}/s-live"
    other = "n=0; while [ -d d ]; do n=$((n + 1)); chown $n f; done"
    with subprocess.Popen(
        [FAKEROOT_SC, "-p", "s", "--no-shim", "--", "sh", "-c", other],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    ) as beside:
        attack(hostile, tmp_path, ANSWERED + "rm -r d", "-p", "s", "--no-shim", files=files)
        assert not (tmp_path / "d").exists()
        assert beside.wait(PATIENCE) in (0, 1, 125)
    after = bare([FAKEROOT_SC, "-p", "s", "--", "true"], cwd=tmp_path)
    assert after.returncode == 0 or "not what a fakeroot-sc has left" in after.stderr


def test_a_file_that_is_cut_off_by_accident_ends_a_run_with_one_line(tmp_path: Path) -> None:
    busybox = need("busybox", "busybox-static")
    script = f"touch f; chown 5 f; : >s-live; {busybox} chown 6 f 2>/dev/null; exit 0"
    done = fake([busybox, "sh", "-c", script], "-p", "s", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (125, "")
    assert "s-live: was cut off or could not be read" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "s").exists()


ZEROS = bytes(3 << 20)


@pytest.mark.parametrize("name", ["s-live", "s-live-pending"])
@pytest.mark.parametrize("content", [ZEROS, b"FSC", b"a disk", b"\0\0\0\0"])
@pytest.mark.parametrize("link", [False, True])
def test_another_s_file_in_the_place_of_the_memory_is_left_alone(
    tmp_path: Path, name: str, content: bytes, link: bool
) -> None:
    fake_script("touch f; chown 5 f", tmp_path, "-p", "s")
    image, place = tmp_path / "disk.img", tmp_path / name
    # The last supervisor removes its own when it ends, and nobody else's.
    place.unlink(missing_ok=True)
    image.write_bytes(content)
    if link:
        place.symlink_to("disk.img")
    else:
        shutil.copy(image, place)
    done = fake(["echo", "ran"], "-p", "s", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (125, "")
    assert f"{name}: not what a fakeroot-sc has left there" in done.stderr
    assert done.stderr.count("\n") == 1
    assert place.read_bytes() == image.read_bytes() == content
    place.unlink()
    assert fake_script("stat -c %u f", tmp_path, "-p", "s") == "5\n"


@pytest.mark.root
def test_a_run_of_root_uses_no_state_that_others_may_write_to(tmp_path: Path) -> None:
    nobody = 65534
    fake_script("touch f; chown 5 f", tmp_path, "-p", "s")
    for name, mode in (("s", 0o600), ("s", 0o620), ("s", 0o602), ("s-live", 0o644)):
        path = tmp_path / name
        path.touch()
        path.chmod(mode)
        os.chown(path, 0 if mode & 0o22 else nobody, -1)
        done = fake(["true"], "-p", "s", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (125, ""), (name, mode)
        assert f"{name}: other users may write to it" in done.stderr
        assert done.stderr.count("\n") == 1
        tool = bare([STATE_TOOL, "prune", "s"], cwd=tmp_path)
        assert (tool.returncode, tool.stderr.count("\n")) == (2, 1)
        os.chown(path, 0, -1)
        path.chmod(0o644)
    assert fake_script("stat -c %u f", tmp_path, "-p", "s") == "5\n"
