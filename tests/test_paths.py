# SPDX-License-Identifier: Apache-2.0
"""A path means what it means to the target, /proc/self and long chains of links included."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from commands import FAKEROOT_SC, PYTHON, bare, compile_c, fake_output, fake_script, need


@pytest.mark.parametrize(
    "path",
    ["link", "/proc/self/exe", "//proc//self//exe", "/proc/./self/exe", "/proc/self/../self/exe"],
)
def test_the_own_executable_is_the_target_s(tmp_path: Path, path: str) -> None:
    stat = Path(need("stat", "coreutils")).resolve()
    script = f"ln -s /proc/self/exe link; {stat} -L -c %i {path}; {stat} -c %i {stat}"
    first, second = fake_script(script, tmp_path).split()
    assert first == second


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("/proc/self/cwd", "link/file"),
        ("/proc/self/cwd/file", "link"),
        ("/proc/self/fd/9", "link/file"),
        ("/dev/fd/9", "link/file"),
        ("/proc/self", "link/cwd/file"),
        ("/proc/self/fd", "link/9/file"),
        ("/proc/thread-self/cwd", "link/file"),
    ],
)
def test_links_into_proc_self_lead_to_the_target_s_files(
    tmp_path: Path, link: str, path: str
) -> None:
    script = (
        f"exec 9<.; ln -s {link} link; touch file; chown 3:4 file; stat -L -c %u:%g {path}; "
        f"chown 5:6 {path}; chmod 4711 {path}; stat -c %u:%g:%a file"
    )
    assert fake_script(script, tmp_path) == "3:4\n5:6:4711\n"


@pytest.mark.parametrize("place", ["", "{}/"], ids=["relative", "absolute"])
def test_a_path_may_have_forty_links(tmp_path: Path, place: str) -> None:
    (tmp_path / "link-0").symlink_to("file")
    for number in range(1, 41):
        (tmp_path / f"link-{number}").symlink_to(f"link-{number - 1}")
    prefix = place.format(tmp_path)
    script = (
        f"touch file; chown 3:4 {prefix}link-39; stat -L -c %u:%g {prefix}link-39; "
        f"LC_ALL=C stat -L {prefix}link-40 2>&1 | grep -c 'Too many levels'; "
        f"LC_ALL=C chown 5 {prefix}link-40 2>&1 | grep -c 'Too many levels'"
    )
    assert fake_script(script, tmp_path) == "3:4\n1\n1\n"


RACE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
static atomic_int over, wrong;
static void *look(void *unused)
{
	struct stat st;
	while (!over)
		if (stat("name", &st) == 0 && st.st_uid != 5)
			wrong++;
	return unused;
}
int main(void)
{
	pthread_t threads[2];
	int before = -1;
	for (int round = 0; round < 4000; round++) {
		int fd = open("new", O_CREAT | O_EXCL | O_WRONLY, 0644);
		struct stat st;
		if (fd < 0 || fchown(fd, 5, 5) || rename("new", "name"))
			return 1;
		if (before >= 0 && (fstat(before, &st) || st.st_uid != 5))
			wrong++;
		close(before);
		before = fd;
		for (int i = 0; round == 0 && i < 2; i++) // there is a file to look at
			pthread_create(&threads[i], NULL, look, NULL);
	}
	over = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	printf("%d\n", wrong);
	return 0;
}
"""


@pytest.mark.parametrize("place", [None, "/dev/shm"], ids=["disk", "memory"])
def test_a_look_at_a_file_just_replaced_loses_no_owner(tmp_path: Path, place: str | None) -> None:
    """In memory renames are so quick that they overtake most looks."""
    program = compile_c(tmp_path, "race", RACE, "-pthread")
    with tempfile.TemporaryDirectory(dir=place or tmp_path) as directory:
        assert fake_script(str(program), Path(directory)) == "0\n"


OWN_NETWORK = """
import ctypes, fcntl, os, socket, struct
libc = ctypes.CDLL(None)
if libc.unshare(0x10000000 | 0x40000000):  # CLONE_NEWUSER, CLONE_NEWNET
    print("closed")
    raise SystemExit
with socket.socket() as any_socket:  # SIOCSIFNAME
    fcntl.ioctl(any_socket, 0x8923, struct.pack("16s24s", b"lo", b"renamed"))
print(os.path.exists("/proc/sys/net/ipv4/conf/renamed"))
"""


def test_what_a_look_finds_below_proc_is_what_the_target_has_there(tmp_path: Path) -> None:
    for more in ([], ["--no-shim"]):
        shown = fake_output([*PYTHON, "-c", OWN_NETWORK], *more, cwd=tmp_path)
        if shown == "closed\n":
            pytest.skip("user namespaces, by which an ordinary user can have a network, are closed")
        assert shown == "True\n"


def test_a_low_limit_of_file_sizes_limits_no_records(tmp_path: Path) -> None:
    script = f"ulimit -f 100; exec {FAKEROOT_SC} -- sh -c 'chown 5:6 .; stat -c %u:%g .'"
    done = bare(["sh", "-c", script], cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("5:6\n", "")
