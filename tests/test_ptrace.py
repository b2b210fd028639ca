# SPDX-License-Identifier: Apache-2.0
"""``--mode ptrace`` and ``ptrace-all``: what only a tracer has to get right.

That the answers are the same is what ``pytest --mode ptrace`` shows, with all other tests.
"""

from __future__ import annotations

import errno
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
	int lowest = dup(0);
	close(lowest);
	int first = open(argv[1], O_RDWR | O_CREAT | O_EXCL, 0);
	int second = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0);
	if (first < 0 || write(first, "hello", 5) != 5 || lseek(first, 0, SEEK_CUR) != 5)
		return 1;
	if (second < 0 || fcntl(second, F_GETFD) != FD_CLOEXEC || fcntl(first, F_GETFD) != 0)
		return 2;
	if (!(fcntl(second, F_GETFL) & O_APPEND) || fstat(first, &st) < 0)
		return 3;
	printf("%o %d %d %d\n", st.st_mode & 07777, (int)st.st_size, first - lowest, second - lowest);
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
    assert fake_output(command, f"--mode={mode}") == "0 5 0 1\n"
    assert (tmp_path / "first").read_text() == "hello"


# Leaves /proc behind. What unshare(1) and chroot(1) would do, but by the real user id.
IN_A_ROOT_OF_ITS_OWN = """
import ctypes, os, sys
CLONE_NEWUSER = 0x10000000
if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | int(sys.argv[3])):
    sys.exit(77)
with open("/proc/self/uid_map", "w") as file:
    file.write(f"0 {sys.argv[1]} 1")
os.chroot(sys.argv[2])
os.chdir("/")
os.execv(sys.argv[4], sys.argv[4:])
"""


@pytest.mark.parametrize("flags", [("-static",), ("-m32", "-static")], ids=["x86-64", "i386"])
@pytest.mark.parametrize("network", [0, 0x40000000], ids=["shared network", "own network"])
def test_a_descriptor_reaches_a_target_without_proc(
    tmp_path: Path, flags: tuple[str, ...], network: int
) -> None:
    if not can_compile(tmp_path, *flags):
        pytest.skip(f"gcc cannot build with {flags} here (Debian package gcc-multilib)")
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(compile_c(tmp_path, "uses", USES_A_LOCKED_FILE, *flags), root / "uses")
    inside = [*PYTHON, "-c", IN_A_ROOT_OF_ITS_OWN, str(os.getuid()), root, str(network)]
    done = fake([*inside, "/uses", "/first", "/second"], "--mode=ptrace")
    if done.returncode == 77 or "uid_map" in done.stderr:
        pytest.skip("user namespaces are closed here (kernel.unprivileged_userns_clone, AppArmor)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 5 0 1\n", "")
    assert (root / "first").read_text() == "hello"


CLONES = r"""
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct stat st;
	int status;
	(void)argc;
	long child = syscall(SYS_clone, strtoul(argv[1], NULL, 0) | SIGCHLD, 0, 0, 0, 0);
	if (child < 0)
		return 1;
	if (child == 0)
		_exit(lstat("/", &st) == 0 && st.st_uid == 0 && getuid() == 0 ? 7 : 8);
	if (waitpid((pid_t)child, &status, __WALL) != child)
		return 2;
	printf("%d\n", WEXITSTATUS(status));
	return 0;
}
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("flags", [("-static",), ("-m32", "-static")], ids=["x86-64", "i386"])
def test_a_child_may_be_cloned_with_any_flag(
    tmp_path: Path, mode: str, flags: tuple[str, ...]
) -> None:
    if not can_compile(tmp_path, *flags):
        pytest.skip(f"gcc cannot build with {flags} here (Debian package gcc-multilib)")
    program = compile_c(tmp_path, "clones", CLONES, *flags)
    untraced, ptrace, vfork = 0x800000, 0x2000, 0x4000
    for clone in (0, untraced, ptrace, vfork, untraced | ptrace, untraced | vfork):
        assert fake_output([program, hex(clone)], f"--mode={mode}") == "7\n"


ONE_DESCRIPTOR_LEFT = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
int main(void)
{
	int lowest = dup(0);
	close(lowest);
	struct rlimit limit = {lowest + 1, 1024};
	setrlimit(RLIMIT_NOFILE, &limit);
	int fd = open("/new", O_RDWR | O_CREAT | O_EXCL, 0);
	printf("%d %d %d\n", fd, errno == EMFILE, dup(0) == lowest);
	return 0;
}
"""


def test_a_descriptor_that_finds_no_room_is_refused(tmp_path: Path) -> None:
    """The message that would bring it arrives without."""
    if not can_compile(tmp_path, "-static"):
        pytest.skip("gcc cannot link statically here (Debian package libc6-dev)")
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(compile_c(tmp_path, "left", ONE_DESCRIPTOR_LEFT, "-static"), root / "left")
    inside = [*PYTHON, "-c", IN_A_ROOT_OF_ITS_OWN, str(os.getuid()), root, "0", "/left"]
    done = fake(inside, "--mode=ptrace")
    if done.returncode == 77 or "uid_map" in done.stderr:
        pytest.skip("user namespaces are closed here (kernel.unprivileged_userns_clone, AppArmor)")
    assert (done.returncode, done.stdout) == (0, "-1 1 1\n")
    assert not (root / "new").exists()


JUDGES_ITSELF = r"""
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define ALLOW(number) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
static void heard(int number)
{
	(void)number;
	write(1, "SIGSYS\n", 7);
}
int main(int argc, char **argv)
{
	unsigned other = SECCOMP_RET_ERRNO | EDOM;
	if (strcmp(argv[1], "kill") == 0)
		other = SECCOMP_RET_KILL_PROCESS;
	if (strcmp(argv[1], "trap") == 0)
		other = SECCOMP_RET_TRAP;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		ALLOW(SYS_getpid), ALLOW(SYS_getuid), ALLOW(SYS_chown), ALLOW(SYS_openat),
		ALLOW(SYS_write), ALLOW(SYS_rt_sigreturn), ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, other),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(*code), code};
	char line[80];
	(void)argc;
	signal(SIGSYS, heard);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		return 77;
	long user = syscall(SYS_getuid), changed = syscall(SYS_chown, argv[2], 5, 6);
	long fd = syscall(SYS_openat, AT_FDCWD, argv[3], O_RDWR | O_CREAT | O_EXCL, 0);
	int error = fd < 0 ? errno : 0;
	write(1, line, (size_t)sprintf(line, "%ld %ld %d\n", user, changed, error));
	syscall(SYS_exit_group, 0);
}
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("other", ["fail", "trap", "kill"])
def test_filters_of_a_program_see_no_call_but_its_own(
    tmp_path: Path, mode: str, other: str
) -> None:
    """Where a descriptor would have to be handed over, opening is refused instead."""
    program = compile_c(tmp_path, "judges", JUDGES_ITSELF)
    (tmp_path / "old").touch()
    command: list[str | Path] = [program, other, tmp_path / "old", tmp_path / "new"]
    done = fake(command, f"--mode={mode}")
    assert (done.returncode, done.stdout) == (0, f"0 0 {errno.EACCES}\n")
    assert not (tmp_path / "new").exists()


# Several processes look as fast as they can, for a second.
LOOK_TOGETHER = r"""
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
int main(void)
{
	int ends[12][2];
	for (int i = 0; i < 12; i++) {
		if (pipe(ends[i]) < 0)
			return 1;
		if (fork() == 0) {
			long looks = 0;
			struct stat st;
			for (time_t end = time(NULL) + 2; time(NULL) < end; looks++)
				lstat("/", &st);
			return write(ends[i][1], &looks, sizeof(looks)) < 0;
		}
	}
	for (int i = 0; i < 12; i++) {
		long looks;
		if (read(ends[i][0], &looks, sizeof(looks)) == sizeof(looks))
			printf("%ld\n", looks);
	}
	return 0;
}
"""


@pytest.mark.parametrize("mode", MODES)
def test_every_target_gets_its_turn(tmp_path: Path, mode: str) -> None:
    program = compile_c(tmp_path, "together", LOOK_TOGETHER)
    looks = sorted(map(int, fake_output([program], f"--mode={mode}", "--no-shim").split()))
    assert len(looks) == 12
    assert looks[0] > looks[6] / 30


# The leader makes files that are handed over to it, or waits for Python, when another thread
# executes the program once more.
EXECUTES_OVER_ITS_LEADER = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
static int left;
static char *directory;
static void *execute(void *unused)
{
	char count[16];
	usleep((unsigned)rand() % 1500);
	sprintf(count, "%d", left - 1);
	execl("/proc/self/exe", "again", directory, count, (char *)NULL);
	exit(1);
	return unused;
}
int main(int argc, char **argv)
{
	(void)argc;
	pthread_t thread;
	struct stat st;
	directory = argv[1];
	left = atoi(argv[2]);
	srand((unsigned)left);
	for (int i = 0; i < 3; i++) {
		if (lstat(argv[1], &st) < 0 || st.st_uid != 0 || getuid() != 0)
			return 2;
		if (setpriority(PRIO_PROCESS, 0, -1) < 0)
			return 2;
	}
	if (left == 0)
		return 0;
	pthread_create(&thread, NULL, execute, NULL);
	for (unsigned n = 0;; n++) {
		char name[4096];
		if (left & 1) {
			setpriority(PRIO_PROCESS, 0, -1);
			continue;
		}
		snprintf(name, sizeof(name), "%s/%u", directory, n % 3);
		unlink(name);
		int fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0);
		if (fd < 0)
			return 3;
		close(fd);
	}
}
"""


@pytest.mark.parametrize("mode", MODES)
def test_what_the_leader_waited_for_does_not_reach_the_next_program(
    tmp_path: Path, mode: str
) -> None:
    program = compile_c(tmp_path, "again", EXECUTES_OVER_ITS_LEADER, "-pthread")
    work = tmp_path / "work"
    work.mkdir()
    assert fake_output([program, work, "150"], f"--mode={mode}", "--no-shim") == ""


# A child that descriptors are handed over to is stopped and continued, as quickly as can be;
# others are killed wherever they are.
STOPS_AND_KILLS = r"""
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile sig_atomic_t done;
static void finish(int number)
{
	done = number;
}
static int make_files(int waits)
{
	struct stat st;
	char name[32];
	snprintf(name, sizeof(name), "new%d", getpid());
	while (!done) {
		int fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0);
		if (fd < 0 || fstat(fd, &st) < 0 || st.st_mode & 07777 || write(fd, "a", 1) != 1)
			return 1;
		if (close(fd) < 0 || unlink(name) < 0 || (waits && setpriority(PRIO_PROCESS, 0, -1)))
			return 1;
	}
	return 0;
}
static int look_on(void)
{
	struct stat st;
	while (!done)
		lstat("/", &st);
	return 0;
}
int main(void)
{
	int status, killed = 0;
	signal(SIGTERM, finish);
	pid_t maker = fork();
	if (maker == 0)
		return make_files(0);
	pid_t looker = fork();
	if (looker == 0)
		return look_on();
	for (int i = 0; i < 1000; i++) {
		kill(maker, SIGSTOP);
		if (i % 7 == 0)
			waitpid(maker, &status, WUNTRACED);
		kill(maker, SIGCONT);
		if (i % 5 == 0)
			usleep((unsigned)i % 100);
	}
	kill(maker, SIGTERM);
	kill(looker, SIGTERM);
	for (int i = 0; i < 2; i++)
		if (wait(&status) < 0 || status != 0)
			return 2;
	for (int i = 0; i < 300; i++) {
		pid_t child = fork();
		if (child == 0)
			return make_files(1);
		usleep((unsigned)i * 3);
		kill(child, SIGKILL);
		killed += waitpid(child, &status, 0) == child && WIFSIGNALED(status);
	}
	printf("%d\n", killed);
	return 0;
}
"""


@pytest.mark.parametrize("mode", MODES)
def test_targets_may_be_stopped_and_killed_anywhere(tmp_path: Path, mode: str) -> None:
    program = compile_c(tmp_path, "stops", STOPS_AND_KILLS)
    assert fake_output([program], f"--mode={mode}", "--no-shim", cwd=tmp_path) == "300\n"


def test_python_says_how(tmp_path: Path) -> None:
    for mode in ("auto", "notify", "ptrace", "ptrace-all"):
        done = fakeroot_sc.run(["id", "-u"], mode=mode, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("0\n", "")
