# SPDX-License-Identifier: Apache-2.0
"""Limits of memory, descriptors, files and processes: it works, or ends with a line that says
what is short."""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Callable
from pathlib import Path

import installed
import pytest
from commands import FAKEROOT_SC, PATIENCE, bare, compile_c, fake_output, python
from installed import STATE_TOOL as STATE
from test_faults import REFUSE, refusal

from fakeroot_sc import State

KINDS = {
    "v": (resource.RLIMIT_AS, 1024),
    "d": (resource.RLIMIT_DATA, 1024),
    "n": (resource.RLIMIT_NOFILE, 1),
    "f": (resource.RLIMIT_FSIZE, 1024),
    "s": (resource.RLIMIT_STACK, 1024),
}
LADDER = {
    "v": (8000, 12000, 14000, 16000, 20000, 24576, 26000, 28000, 32000, 40000, 65536),
    "d": (1000, 4096, 8192, 16384),
    "n": (5, 6, 7, 8, 10, 12, 14, 20, 64),
    "f": (0, 1, 8, 64, 1024),
    "s": (64, 256),
}
ENOUGH = {"v": 65536, "d": 16384, "n": 64, "s": 64}


def limiting(option: str, value: int) -> Callable[[], None]:
    kind, unit = KINDS[option]
    return lambda: resource.setrlimit(kind, (value * unit, value * unit))


@pytest.mark.parametrize("files", [(), ("-s", "saved"), ("-p", "state")])
@pytest.mark.parametrize("option", LADDER)
def test_a_run_works_or_says_what_is_short(
    option: str, files: tuple[str, ...], tmp_path: Path
) -> None:
    for value in LADDER[option]:
        for name in ("saved", "state", "state-live"):
            (tmp_path / name).unlink(missing_ok=True)
        done = bare(
            [FAKEROOT_SC, *files, "--", "/bin/sh", "-c", "echo ran"],
            cwd=tmp_path,
            preexec_fn=limiting(option, value),
        )
        what = (option, value, done)
        if done.returncode == 0:
            assert (done.stdout, done.stderr) == ("ran\n", ""), what
            continue
        if value >= ENOUGH.get(option, value + 1):
            raise AssertionError(what)
        assert done.returncode == 125, what
        assert re.fullmatch(r"fakeroot-sc: .*\n", done.stderr), what
        assert "Traceback" not in done.stderr, what
        assert "ulimit" in done.stderr or option == "f", what


def test_the_limit_that_is_too_low_is_named(tmp_path: Path) -> None:
    for option, value in (("v", 16000), ("d", 1000), ("n", 8)):
        command = [FAKEROOT_SC, "--", "touch", "ran"]
        done = bare(command, cwd=tmp_path, preexec_fn=limiting(option, value))
        said = f"fakeroot-sc: ulimit -{option} {value}: too little for the supervisor: "
        assert (done.returncode, done.stdout) == (125, "")
        assert done.stderr == f"{said}{ENOUGH[option]} are enough\n"
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(bool(installed.OPTIONS), reason="needs to be tried once")
def test_all_address_space_above_what_is_enough_is(tmp_path: Path) -> None:
    """Wherever the size changes that fits, threads have room beside it."""
    for value in range(ENOUGH["v"], 92000, 1000):
        command = [FAKEROOT_SC, "--", "/bin/true"]
        done = bare(command, cwd=tmp_path, preexec_fn=limiting("v", value))
        assert (done.returncode, done.stderr) == (0, ""), value


@pytest.mark.skipif(bool(installed.OPTIONS), reason="needs to be tried once")
def test_a_number_of_processes_that_is_used_up_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root has no limit of processes")
    # More than this user has anyway, up to where it works.
    for count in (1, *range(4, 400, 4)):
        done = bare(
            [FAKEROOT_SC, "--", "/bin/true"],
            cwd=tmp_path,
            preexec_fn=lambda count=count: resource.setrlimit(  # type: ignore[misc]
                resource.RLIMIT_NPROC, (count, count)
            ),
        )
        if done.returncode == 0:
            break
        assert done.returncode in (125, 126), done
        assert re.fullmatch(r"fakeroot-sc: .*\n", done.stderr), done
    assert done.returncode == 0, done


def test_an_export_without_memory_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with State.open(tmp_path / "s") as state, state.transaction():
        for number in range(300):
            path = tmp_path / f"root/{number}"
            path.touch()
            state.change(path, uid=5, xattrs={"trusted.a": b"v" * 60000})
    for value in (60000, 70000, 80000, 100000, 200000):
        command = [STATE, "export", "s", "root", "--format", "json", "-o", "o"]
        done = bare(command, cwd=tmp_path, preexec_fn=limiting("v", value))
        if done.returncode == 0:
            assert (tmp_path / "o").exists()
            (tmp_path / "o").unlink()
        else:
            assert done.returncode == 2, done
            assert re.fullmatch(r"fakeroot-sc-state: .*\n", done.stderr), done
            assert not (tmp_path / "o").exists()
    assert not list(tmp_path.glob(".fsc*"))


EPOLL_CTL = 233
FORGET = """
import os
for number in range(20):
    name = f"link{number}"
    os.symlink("nowhere", name)
    os.chown(name, 3, 4, follow_symlinks=False)
    assert os.lstat(name).st_uid == 3
    os.unlink(name)
print("done")
"""


def test_calls_are_answered_where_no_more_files_may_be_watched(tmp_path: Path) -> None:
    """fs.epoll.max_user_watches is for all programs of a user together."""
    refuse = compile_c(tmp_path, "refuse", REFUSE)
    patient = ["timeout", "-s", "KILL", str(PATIENCE)]
    refusing = [str(refuse), refusal(EPOLL_CTL, errno.ENOSPC), "--"]
    command = [*patient, *refusing, FAKEROOT_SC, "--", *python(FORGET)]
    done = bare(command, cwd=tmp_path, preexec_fn=limiting("n", 64), timeout=2 * PATIENCE)
    assert (done.returncode, done.stdout) == (0, "done\n")


RESTRICT_OFTEN = """
import ctypes, os, stat, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
handled = ctypes.create_string_buffer(struct.pack("Q", 1 << 7))  # MAKE_DIR
rules = libc.syscall(444, handled, ctypes.c_long(8), 0)
for _ in range(128 if rules >= 0 else 0):
    pid = os.fork()
    if pid == 0:
        os._exit(libc.syscall(446, rules, 0) != 0)
    assert os.waitpid(pid, 0)[1] == 0
os.mknod("device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
print(rules >= 0, os.stat("device").st_rdev == os.makedev(1, 3))
"""


def test_programs_that_restrict_themselves_use_up_no_descriptors(tmp_path: Path) -> None:
    limit = limiting("n", 128)
    shown = fake_output(python(RESTRICT_OFTEN), cwd=tmp_path, preexec_fn=limit)
    if shown == "False True\n":
        pytest.skip("this kernel has no Landlock")
    assert shown == "True True\n"
