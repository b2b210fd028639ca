# SPDX-License-Identifier: Apache-2.0
"""Directory listings show remembered devices as devices, and lose no entry over it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from commands import compile_c, fake, fake_output, fake_script, need

# Prints each entry as TYPE NAME, read with buffers of a given size by getdents64 or
# getdents; then what wrong arguments give, and whether a duplicate shares the position.
LIST = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static char bytes[1 << 17];
static long list(int fd, int old, size_t size)
{
	long number = old ? SYS_getdents : SYS_getdents64, got;
	memset(bytes, 0x5a, sizeof(bytes));
	while ((got = syscall(number, fd, bytes, size)) > 0)
		for (long at = 0; at < got;) {
			char *entry = bytes + at;
			int word = old ? sizeof(long) : 8;
			uint16_t length = *(uint16_t *)(entry + 2 * word);
			int type = old ? entry[length - 1] : entry[18];
			printf("%d %s\n", type, entry + (old ? 2 * word + 2 : 19));
			at += length;
		}
	return got < 0 ? errno : 0;
}
int main(int argc, char **argv)
{
	int old = !strcmp(argv[1], "getdents"), fd = open(".", O_RDONLY | O_DIRECTORY);
	if (list(fd, old, (size_t)atol(argv[2])) != 0)
		return 1;
	lseek(fd, 0, SEEK_SET);
	int other = dup(fd);
	long first = syscall(SYS_getdents64, fd, bytes, 64);
	off_t here = lseek(fd, 0, SEEK_CUR), there = lseek(other, 0, SEEK_CUR);
	printf("shared %d\n", first > 0 && here > 0 && here == there);
	lseek(fd, 0, SEEK_SET);
	printf("small %ld\n", list(fd, 0, 8));
	printf("path %ld\n", list(open(".", O_PATH), 0, 4096));
	printf("file %ld\n", list(open("file", O_RDONLY), 0, 4096));
	printf("closed %ld\n", list(999, 0, 4096));
	printf("wild %d\n", syscall(SYS_getdents64, fd, 16, 4096) == -1 && errno == EFAULT);
	return argc != 3;
}
"""

MAKE = "touch file; mknod char c 1 3; mknod block b 8 1; mkfifo fifo; mkdir dir; ln -s x link"


def test_find_and_scandir_tell_devices_by_type(tmp_path: Path) -> None:
    look = "import os; print(*sorted(e.name for e in os.scandir() if e.is_file()))"
    script = f"{MAKE}; find . -type c; find . -type b; find . -type f; {sys.executable} -c '{look}'"
    assert fake_script(script, tmp_path).split("\n")[:4] == ["./char", "./block", "./file", "file"]


def test_a_static_find_tells_them_too(tmp_path: Path) -> None:
    busybox = need("busybox", "busybox-static")
    assert fake_script(f"{MAKE}; {busybox} find . -type b", tmp_path) == "./block\n"


@pytest.mark.parametrize("call", ["getdents64", "getdents"])
@pytest.mark.parametrize("size", [48, 64, 100, 4096, 1 << 17])
@pytest.mark.parametrize(
    "build",
    [[], ["-static"], ["-m32", "-static", "-D_FILE_OFFSET_BITS=64"]],
    ids=["dynamic", "static", "i386"],
)
def test_every_entry_comes_once_whatever_the_buffer(
    tmp_path: Path, call: str, size: int, build: list[str]
) -> None:
    program = compile_c(tmp_path, "list", LIST, *build)
    here = tmp_path / "here"
    here.mkdir()
    names = [f"regular-{number:03}" for number in range(200)]
    for name in names:
        (here / name).touch()
    lines = fake_script(f"{MAKE}; {program} {call} {size}", here).splitlines()
    shown = dict(reversed(line.split(" ", 1)) for line in lines[:-6])
    assert len(shown) == len(lines) - 6
    assert {name: shown[name] for name in ("char", "block", "fifo", "dir", "link", "file")} == {
        "char": "2",
        "block": "6",
        "fifo": "1",
        "dir": "4",
        "link": "10",
        "file": "8",
    }
    assert sorted(set(shown) - {".", ".."}) == sorted(path.name for path in here.iterdir())
    errors = ["shared 1", "small 22", "path 9", "file 20", "closed 9", "wild 1"]
    assert lines[-6:] == errors


def test_a_removed_device_leaves_no_type_to_its_successor(tmp_path: Path) -> None:
    script = "mknod a c 1 3; mknod b c 1 5; rm a; touch a; find . -type f; find . -type c"
    assert fake_script(script, tmp_path) == "./a\n./b\n"


def test_listing_goes_on_where_devices_were_made_meanwhile(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"regular-{number:03}").touch()
    program = (
        "import os\n"
        "entries = os.scandir()\n"
        "first = [next(entries).name for _ in range(5)]\n"
        "os.mknod('device', 0o20666, os.makedev(1, 3))\n"
        "rest = [entry.name for entry in entries]\n"
        "print(len(set(first + rest) - {'device'}), len(first + rest) - ('device' in rest))\n"
    )
    done = fake([sys.executable, "-c", program], cwd=tmp_path)
    assert done.stdout == "500 500\n"


def test_nothing_is_printed_that_was_not_asked_for(tmp_path: Path) -> None:
    assert fake_output(["sh", "-c", f"{MAKE}; ls >/dev/null"], cwd=tmp_path) == ""
