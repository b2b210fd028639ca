# SPDX-License-Identifier: Apache-2.0
"""``--mode ptrace`` and ``ptrace-all``: what only a tracer has to get right.

That the answers are the same is what ``pytest --mode ptrace`` shows, with all other tests.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from commands import PYTHON, can_compile, compile_c, fake, fake_output, need

import fakeroot_sc

MODES = ["ptrace", "ptrace-all"]

SENDS_ITSELF_A_VALUE = r"""
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static void heard(int number, siginfo_t *info, void *context)
{
	(void)context;
	printf("%d %d %d\n", number == SIGRTMIN, info->si_code == SI_QUEUE, info->si_value.sival_int);
}
int main(void)
{
	struct sigaction action = {.sa_sigaction = heard, .sa_flags = SA_SIGINFO};
	sigaction(SIGRTMIN, &action, NULL);
	sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 4711});
	return 0;
}
"""

EXECUTES_IN_A_THREAD = r"""
#include <pthread.h>
#include <unistd.h>
static void *execute(void *command)
{
	char **arguments = command;
	execv(arguments[0], arguments);
	return NULL;
}
static void *look(void *unused)
{
	for (;;)
		getuid();
	return unused;
}
int main(int argc, char **argv)
{
	pthread_t thread;
	(void)argc;
	for (int i = 0; i < 4; i++)
		pthread_create(&thread, NULL, look, NULL);
	pthread_create(&thread, NULL, execute, argv + 1);
	pthread_join(thread, NULL);
	return 1;
}
"""

# Makes a file that its owner may not open, and uses the descriptor: the supervisor makes it
# and hands it over.
USES_A_LOCKED_FILE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct stat st;
	(void)argc;
	int first = open(argv[1], O_RDWR | O_CREAT | O_EXCL, 0);
	int second = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0);
	if (first < 0 || write(first, "hello", 5) != 5 || lseek(first, 0, SEEK_CUR) != 5)
		return 1;
	if (second < 0 || fcntl(second, F_GETFD) != FD_CLOEXEC || fcntl(first, F_GETFD) != 0)
		return 2;
	if (!(fcntl(second, F_GETFL) & O_APPEND) || fstat(first, &st) < 0)
		return 3;
	printf("%o %d %d\n", st.st_mode & 07777, (int)st.st_size, second - first);
	return 0;
}
"""


@pytest.mark.parametrize("mode", MODES)
def test_a_tracer_inside_is_told_why_it_fails(mode: str) -> None:
    code = "import ctypes; print(ctypes.CDLL(None).ptrace(0, 0, 0, 0))"
    done = fake([*PYTHON, "-c", code], f"--mode={mode}")
    assert done.stdout == "-1\n"
    assert "strace, gdb and other tracers do not work inside" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_tracer_works_where_calls_come_by_notification() -> None:
    code = "import ctypes; print(ctypes.CDLL(None).ptrace(0, 0, 0, 0))"
    assert fake_output([*PYTHON, "-c", code], "--mode=notify") == "0\n"


@pytest.mark.parametrize("mode", MODES)
def test_a_signal_keeps_what_was_sent_with_it(tmp_path: Path, mode: str) -> None:
    program = compile_c(tmp_path, "sends", SENDS_ITSELF_A_VALUE)
    assert fake_output([program], f"--mode={mode}") == "1 1 4711\n"


@pytest.mark.parametrize("mode", MODES)
def test_a_thread_may_execute_while_others_call(tmp_path: Path, mode: str) -> None:
    program = compile_c(tmp_path, "executes", EXECUTES_IN_A_THREAD, "-pthread")
    command: list[str | Path] = [program, need("id", "coreutils"), "-u"]
    for _ in range(20):
        assert fake_output(command, f"--mode={mode}") == "0\n"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("flags", [("-static",), ("-m32", "-static")], ids=["x86-64", "i386"])
def test_a_descriptor_is_handed_over(tmp_path: Path, mode: str, flags: tuple[str, ...]) -> None:
    if not can_compile(tmp_path, *flags):
        pytest.skip(f"gcc cannot build with {flags} here (Debian package gcc-multilib)")
    program = compile_c(tmp_path, "uses", USES_A_LOCKED_FILE, *flags)
    command: list[str | Path] = [program, tmp_path / "first", tmp_path / "second"]
    assert fake_output(command, f"--mode={mode}") == "0 5 1\n"
    assert (tmp_path / "first").read_text() == "hello"


# Leaves /proc behind. What unshare(1) and chroot(1) would do, but by the real user id.
IN_A_ROOT_OF_ITS_OWN = """
import ctypes, os, sys
if ctypes.CDLL(None, use_errno=True).unshare(0x10000000):  # CLONE_NEWUSER
    sys.exit(77)
with open("/proc/self/uid_map", "w") as file:
    file.write(f"0 {sys.argv[1]} 1")
os.chroot(sys.argv[2])
os.chdir("/")
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.mark.parametrize("flags", [("-static",), ("-m32", "-static")], ids=["x86-64", "i386"])
def test_a_descriptor_reaches_a_target_without_proc(tmp_path: Path, flags: tuple[str, ...]) -> None:
    if not can_compile(tmp_path, *flags):
        pytest.skip(f"gcc cannot build with {flags} here (Debian package gcc-multilib)")
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(compile_c(tmp_path, "uses", USES_A_LOCKED_FILE, *flags), root / "uses")
    inside = [*PYTHON, "-c", IN_A_ROOT_OF_ITS_OWN, str(os.getuid()), root]
    done = fake([*inside, "/uses", "/first", "/second"], "--mode=ptrace")
    if done.returncode == 77 or "uid_map" in done.stderr:
        pytest.skip("user namespaces are closed here (kernel.unprivileged_userns_clone, AppArmor)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 5 1\n", "")
    assert (root / "first").read_text() == "hello"


def test_python_says_how(tmp_path: Path) -> None:
    for mode in ("auto", "notify", "ptrace", "ptrace-all"):
        done = fakeroot_sc.run(["id", "-u"], mode=mode, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("0\n", "")
