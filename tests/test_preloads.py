# SPDX-License-Identifier: Apache-2.0
"""Other objects that programs are preloaded with, before the run and inside of it."""

from __future__ import annotations

import os
from pathlib import Path

import installed
import pytest
from commands import FAKEROOT_SC, PYTHON, bare, compile_c, need

from fakeroot_sc import _core

SHIM = Path(_core.__file__).parent / "shim64.so"

# --- What the caller tells loader and libc -----------------------------------------------

# Notes in a file who was loaded with it.
NOSY_C = """
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void note(void) {
    int fd = open(getenv("NOSY"), O_WRONLY | O_APPEND);
    dprintf(fd, "%s\\n", program_invocation_short_name);
    close(fd);
}
"""

OF_THE_CALLER = {
    "LD_LIBRARY_PATH": "/nowhere",
    "LD_BIND_NOW": "",
    "GCONV_PATH": "/nowhere",
    "MALLOC_ARENA_MAX": "1",
    "GLIBC_TUNABLES": "glibc.malloc.check=1",
    "LOCPATH": "/nowhere",
}


def ways(arguments: list[str]) -> dict[str, list[str]]:
    """How fakeroot-sc is started, by name."""
    call = f"import fakeroot_sc; fakeroot_sc.run({arguments!r}, shim=False)"
    options = [*installed.OPTIONS, "--no-shim", "--"]
    return {
        "command": [FAKEROOT_SC, "--no-shim", "--", *arguments],
        "module": [PYTHON[0], "-m", "fakeroot_sc", *options, *arguments],
        "function": [PYTHON[0], "-c", call],
    }


@pytest.mark.parametrize("way", ways([]))
def test_the_supervisor_has_none_of_what_the_caller_preloads(way: str, tmp_path: Path) -> None:
    own = compile_c(tmp_path, "own.so", NOSY_C, "-shared", "-fPIC")
    noted = tmp_path / "noted"
    noted.touch()
    script = """
        tr '\\0' '\\n' </proc/$PPID/environ | grep -aE '^(LD_|GCONV|MALLOC|GLIBC_TUN|LOCPATH)'
        touch file; chmod 4750 file; stat -c %a file
    """
    environment = {**os.environ, **OF_THE_CALLER, "LD_PRELOAD": str(own), "NOSY": str(noted)}
    done = bare(ways(["sh", "-c", script])[way], env=environment, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "4750\n", "")
    others = {"tr", "grep", "touch", "chmod", "stat", "sh"}
    started = {Path(PYTHON[0]).name}
    if way == "command":
        started = {"fakeroot-sc"} if installed.OPTIONS else set()  # what adds the options
    assert set(noted.read_text().split()) == others | started


GIVES_C = """
#include <stddef.h>
#include <unistd.h>
int main(int argc, char **argv) {
    (void)argc;
    char *given[] = {
        "LD_PRELOAD=", "B=1", "LD_LIBRARY_PATH=/nowhere", "A=2", "B=3", "LD_PRELOAD=", "=",
        "nothing", "MALLOC_ARENA_MAX=1", "A=", "LC_ALL=C", "GCONV_PATH=", "L=", "LD_=",
        "\\xff=\\xff", "FAKEROOTKEY=5", "LD_LIBRARY_PATH", NULL,
    };
    execve(argv[1], argv + 1, given);
    return 126;
}
"""


@pytest.mark.parametrize("nested", [False, True])
def test_command_gets_its_environment_to_the_byte(nested: bool, tmp_path: Path) -> None:
    """Empty ones, those given twice, and their order, as programs before it have left them."""
    gives = compile_c(tmp_path, "gives", GIVES_C)
    shown = [need("cat", "coreutils"), "/proc/self/environ"]
    plain = bare([gives, *shown], encoding="latin-1")
    command = [gives, FAKEROOT_SC, "--no-shim", "--", *shown]
    if nested:
        command = [FAKEROOT_SC, "--no-shim", "--", *command]
    done = bare(command, encoding="latin-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == plain.stdout


@pytest.mark.skipif(not installed.has_shim(), reason="the shim is turned off")
def test_the_shim_comes_behind_what_the_caller_preloads_where_that_stood(tmp_path: Path) -> None:
    gives = compile_c(tmp_path, "gives", GIVES_C)
    shown = [need("cat", "coreutils"), "/proc/self/environ"]
    plain = bare([gives, *shown], encoding="latin-1").stdout
    done = bare([gives, FAKEROOT_SC, "--", *shown], encoding="latin-1")
    assert done.stdout == plain.replace("LD_PRELOAD=", f"LD_PRELOAD={SHIM}")


def test_under_fakechroot_a_device_keeps_the_user_able_to_open_it(tmp_path: Path) -> None:
    """fakechroot's functions change the paths of whoever calls them."""
    command = [need("fakechroot", "fakechroot"), FAKEROOT_SC, "--no-shim", "--"]
    done = bare([*command, "mknod", "c", "c", "1", "3"], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "c").stat().st_mode & 0o600 == 0o600
