"""What keeps a run from starting is named, with what to do, and nothing runs half-faked.

A small program installs a filter that refuses some calls and then starts
fakeroot-sc, as a container's profile or an old kernel would.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import FAKEROOT_SC, PATIENCE, bare, compile_c, need
from installed import OPTIONS

REFUSE = r"""
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)

static int install(struct sock_filter *code, unsigned length, unsigned flags)
{
	struct sock_fprog program = {.len = (unsigned short)length, .filter = code};
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

// Leaves every call to the kernel, as supervisors of containers do with most.
static void serve(int listener)
{
	for (;;) {
		struct seccomp_notif one;
		memset(&one, 0, sizeof(one));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &one) < 0)
			continue;
		struct seccomp_notif_resp leave = {
			.id = one.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &leave);
	}
}

// A listener for a call, kept by a parent; the child runs the command.
static void listen_already(unsigned nr)
{
	struct sock_filter code[] = {
		LOAD(nr), UNLESS(nr, 1), RETURN(SECCOMP_RET_USER_NOTIF),
		RETURN(SECCOMP_RET_ALLOW),
	};
	int status, listener = install(code, 4, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (listener < 0) {
		perror("refuse: listener");
		exit(99);
	}
	pid_t child = fork();
	if (child == 0) {
		close(listener);
		return;
	}
	pid_t server = fork();
	if (server == 0)
		serve(listener);
	waitpid(child, &status, 0);
	kill(server, SIGKILL);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 98);
}

// refuse NR:ERRNO[:ARGUMENT:VALUE]... -- COMMAND: one filter each; or listen:NR.
int main(int argc, char **argv)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	int i = 1;
	// From the last to the first: a refusal of seccomp(2) comes first.
	while (i < argc && strcmp(argv[i], "--"))
		i++;
	char **command = argv + i + 1;
	while (--i > 0) {
		unsigned nr, error, argument = 0, value = 0;
		if (sscanf(argv[i], "listen:%u", &nr) == 1) {
			listen_already(nr);
			continue;
		}
		int parts = sscanf(argv[i], "%u:%u:%u:%u", &nr, &error, &argument, &value);
		struct sock_filter code[] = {
			LOAD(arch), UNLESS(AUDIT_ARCH_X86_64, 5), LOAD(nr), UNLESS(nr, 3),
			LOAD(args[argument]), UNLESS(value, 1), RETURN(SECCOMP_RET_ERRNO | error),
			RETURN(SECCOMP_RET_ALLOW),
		};
		if (parts == 2) // whatever the argument
			code[4] = code[5] = (struct sock_filter)LOAD(nr);
		if (install(code, 8, 0)) {
			perror("refuse: filter");
			return 99;
		}
	}
	execvp(command[0], command);
	perror(command[0]);
	return 97;
}
"""

# Numbers of x86-64.
IOCTL, PREAD64, PWRITE64, SENDTO, RECVFROM, SENDMSG, RECVMSG = 16, 17, 18, 44, 45, 46, 47
PTRACE, ACCT, SETXATTR, MKNODAT, NEWFSTATAT = 101, 163, 188, 259, 262
SOCKETPAIR, GETGROUPS, PRCTL, SIGNALFD4 = 53, 115, 157, 289
PROCESS_VM_READV, PROCESS_VM_WRITEV, SECCOMP, MEMFD_CREATE = 310, 311, 317, 319
MEMBARRIER, STATX, PIDFD_OPEN, CLONE3 = 324, 332, 434, 435
CLOSE_RANGE, OPENAT2, PIDFD_GETFD, FACCESSAT2 = 436, 437, 438, 439

SET_MODE_FILTER, GET_NOTIF_SIZES = 1, 3
NOTIF_SET_FLAGS = 0x40082104
SET_NO_NEW_PRIVS, SET_CHILD_SUBREAPER = 38, 36
SEIZE, GET_SYSCALL_INFO = 0x4206, 0x420E
SPEC_ALLOW, NEW_LISTENER, WAIT_KILLABLE = 4, 8, 32

Refuse = Callable[..., "Outcome"]


class Outcome:
    """How a run under refusals ended."""

    def __init__(self, status: int, said: str, ran: bool) -> None:
        self.status, self.said, self.ran = status, said, ran

    def __repr__(self) -> str:
        return f"Outcome({self.status}, {self.said!r}, ran={self.ran})"

    def assert_works(self) -> None:
        assert (self.status, self.said, self.ran) == (0, "", True)

    def assert_falls_back(self, mode: str, *words: str) -> None:
        """It works, and one line says by which mode and why."""
        assert (self.status, self.ran) == (0, True), self
        assert self.said.count("\n") == 1, self
        last = self.said.splitlines()[-1]
        assert last.startswith(f"fakeroot-sc: using --mode {mode} ("), self
        for word in words:
            assert word in last, self

    def assert_named(self, *words: str) -> None:
        """It failed in the one good way: what, why, what to do."""
        assert not self.ran
        assert self.status == 125, self
        assert self.said.count("\n") == 1 and self.said.endswith("\n"), self
        assert re.fullmatch(r"fakeroot-sc: [^:]+: [^:]+: .{10,}\n", self.said), self
        for word in words:
            assert word in self.said, self


@pytest.fixture(scope="session")
def refuser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that refuses calls."""
    return compile_c(tmp_path_factory.mktemp("refuse"), "refuse", REFUSE)


# COMMAND uses what a run promises, and leaves a marker.
WORK = """
touch marker
chown 12:34 marker
mknod device c 1 3
test "$(stat -c %u:%g marker) $(stat -c %F device) $(id -u)" = "12:34 character special file 0"
test "$(find . -type c)" = ./device
"""


@pytest.fixture
def refuse(refuser: Path, tmp_path: Path) -> Refuse:
    """Runs WORK under fakeroot-sc, with some calls refused."""

    def run_refused(
        *refusals: str, mode: str = "", command: tuple[str, ...] = (FAKEROOT_SC,)
    ) -> Outcome:
        options = [f"--mode={mode}"] if mode else []
        done = bare(
            [refuser, *refusals, "--", *command, *options, "--", "sh", "-euc", WORK],
            cwd=tmp_path,
            timeout=2 * PATIENCE,
        )
        if done.returncode == 99:
            pytest.skip(f"the test's own filter cannot be installed here: {done.stderr}")
        return Outcome(done.returncode, done.stderr, (tmp_path / "marker").exists())

    return run_refused


def refusal(nr: int, error: int, argument: int | None = None, value: int = 0) -> str:
    """What the program takes for one refusal."""
    return f"{nr}:{error}" + (f":{argument}:{value}" if argument is not None else "")


def test_without_refusals_it_works(refuse: Refuse) -> None:
    refuse().assert_works()


def test_the_refuser_refuses(refuser: Path, tmp_path: Path) -> None:
    """Else the tests below prove nothing."""
    code = "import os; os.memfd_create('x')"
    command: list[str | Path] = [
        refuser,
        refusal(MEMFD_CREATE, errno.EDOM),
        "--",
        sys.executable,
        "-I",
        "-c",
        code,
    ]
    done = bare(command, cwd=tmp_path)
    assert done.returncode == 1
    assert "Numerical argument out of domain" in done.stderr


# --- What cannot be done without ---------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "advice"),
    [(errno.ENOSYS, "kernel"), (errno.EPERM, "allow"), (errno.EINVAL, "kernel")],
    ids=["ENOSYS", "EPERM", "EINVAL"],
)
def test_refused_seccomp_is_named(refuse: Refuse, error: int, advice: str) -> None:
    outcome = refuse(refusal(SECCOMP, error), mode="notify")
    outcome.assert_named("seccomp", os.strerror(error), advice)


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_refused_filter_alone_is_named(refuse: Refuse, error: int) -> None:
    outcome = refuse(refusal(SECCOMP, error, 0, SET_MODE_FILTER), mode="notify")
    outcome.assert_named("seccomp filter", os.strerror(error))


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EPERM])
def test_refused_notification_sizes_are_named(refuse: Refuse, error: int) -> None:
    outcome = refuse(refusal(SECCOMP, error, 0, GET_NOTIF_SIZES), mode="notify")
    outcome.assert_named(os.strerror(error))


@pytest.mark.parametrize("error", [errno.EPERM, errno.EINVAL, errno.ENOSYS])
def test_refused_no_new_privs_is_named(refuse: Refuse, error: int) -> None:
    outcome = refuse(refusal(PRCTL, error, 0, SET_NO_NEW_PRIVS))
    outcome.assert_named("PR_SET_NO_NEW_PRIVS", os.strerror(error))


def test_a_listener_in_the_chain_is_named(refuse: Refuse) -> None:
    outcome = refuse(f"listen:{ACCT}", mode="notify")
    outcome.assert_named("Device or resource busy", "another supervisor", "--mode ptrace")


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS, errno.EACCES])
def test_refused_hand_over_is_named(refuse: Refuse, error: int) -> None:
    outcome = refuse(refusal(SENDMSG, error), mode="notify")
    outcome.assert_named("listener", os.strerror(error), "sendmsg")


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_refused_receipt_of_the_listener_is_named(refuse: Refuse, error: int) -> None:
    refuse(refusal(RECVMSG, error), mode="notify").assert_named("recvmsg(2)", os.strerror(error))


@pytest.mark.parametrize("request_number", [0xC0502100, 0xC0182101], ids=["receive", "send"])
@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_refused_notification_ioctls_are_named_at_once(
    refuse: Refuse, request_number: int, error: int
) -> None:
    begun = time.monotonic()
    outcome = refuse(refusal(IOCTL, error, 1, request_number), mode="notify")
    outcome.assert_named("notifications", os.strerror(error), "SECCOMP_IOCTL_NOTIF_RECV")
    assert time.monotonic() - begun < PATIENCE / 2


@pytest.mark.parametrize("mode", ["ptrace", "ptrace-all"])
def test_refused_tracing_is_named(refuse: Refuse, mode: str) -> None:
    outcome = refuse(refusal(PTRACE, errno.EPERM, 0, SEIZE), mode=mode)
    outcome.assert_named("PTRACE_SEIZE", os.strerror(errno.EPERM), "ptrace_scope")


def test_stops_that_cannot_be_told_apart_are_named(refuse: Refuse) -> None:
    """Linux before 5.3 has no PTRACE_GET_SYSCALL_INFO."""
    outcome = refuse(refusal(PTRACE, errno.EIO, 0, GET_SYSCALL_INFO), mode="ptrace-all")
    outcome.assert_named("trial call", "PTRACE_GET_SYSCALL_INFO")


def names_of_calls() -> dict[str, int]:
    """The calls that a run makes by itself, from its start to COMMAND's; numbers of x86-64.

    Not among them: what the loader, libc or the interpreter cannot start without (mmap,
    openat, read, write, futex ...), and says so itself.
    """
    return {
        "access": 21, "chdir": 80, "clone": 56, "clone3": 435, "close_range": 436, "dup2": 33,
        "epoll_create1": 291, "epoll_ctl": 233, "epoll_wait": 232,
        "ftruncate": 77, "getdents64": 217, "fcntl": 72, "geteuid": 107, "getgroups": 115,
        "getppid": 110, "getrandom": 318, "gettid": 186, "ioctl": 16, "kill": 62,
        "madvise": 28, "memfd_create": 319, "openat2": 437, "pipe2": 293, "poll": 7,
        "prctl": 157, "prlimit64": 302, "process_vm_readv": 310, "process_vm_writev": 311,
        "ptrace": 101, "readlink": 89, "recvfrom": 45, "recvmsg": 47, "rt_sigaction": 13,
        "rt_sigprocmask": 14, "rt_sigtimedwait": 128, "seccomp": 317, "sendmsg": 46,
        "sendto": 44, "set_robust_list": 273, "setsid": 112, "signalfd4": 289,
        "socketpair": 53, "statfs": 137, "statx": 332, "tgkill": 234, "umask": 95, "wait4": 61,
        "waitid": 247,
    }  # fmt: skip


@pytest.mark.parametrize("name", names_of_calls())
@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS], ids=["EPERM", "ENOSYS"])
def test_each_call_of_a_run_may_be_refused(refuse: Refuse, name: str, error: int) -> None:
    """Never a hang, never success without the work: it works, or says which call is refused."""
    outcome = refuse(refusal(names_of_calls()[name], error))
    assert outcome.status in (0, 125), outcome
    if outcome.status == 0:
        assert outcome.ran
        assert outcome.said.count("\n") <= 1
        assert not outcome.said or outcome.said.startswith("fakeroot-sc: using --mode "), outcome
        return
    assert not outcome.ran
    if name in ("fcntl", "getdents64"):  # the interpreter's own
        assert "python3 ended with status 1 before it had started" in outcome.said
        return
    known_as = {"clone": "fork", "prctl": "prctl(PR_SET_NO_NEW_PRIVS)", "signalfd4": "signalfd"}
    outcome.assert_named(known_as.get(name, name), os.strerror(error))


# --- What another mode is taken for ------------------------------------------------------


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_without_seccomp_every_call_is_traced(refuse: Refuse, error: int) -> None:
    outcome = refuse(refusal(SECCOMP, error), mode="auto")
    outcome.assert_falls_back("ptrace-all", "seccomp filter", os.strerror(error))


def test_a_listener_in_the_chain_is_no_obstacle(refuse: Refuse) -> None:
    outcome = refuse(f"listen:{ACCT}", mode="auto")
    outcome.assert_falls_back("ptrace", "another supervisor already listens")


@pytest.mark.parametrize(
    ("nr", "name"),
    [(MKNODAT, "mknodat"), (SETXATTR, "setxattr"), (NEWFSTATAT, "newfstatat"), (STATX, "statx")],
)
def test_calls_that_a_foreign_listener_intercepts_are_faked(
    refuse: Refuse, nr: int, name: str
) -> None:
    """It outranks the stops of a filter of ours, so that every call is stopped."""
    outcome = refuse(f"listen:{nr}", mode="auto")
    outcome.assert_falls_back(
        "ptrace-all", "another supervisor already listens", f"intercepts {name}(2)"
    )


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_where_no_listener_can_be_handed_over_calls_are_traced(refuse: Refuse, error: int) -> None:
    refuse(refusal(SENDMSG, error), mode="auto").assert_falls_back("ptrace", os.strerror(error))


def test_where_notifications_cannot_be_received_calls_are_traced(refuse: Refuse) -> None:
    outcome = refuse(refusal(IOCTL, errno.EPERM, 1, 0xC0502100), mode="auto")
    outcome.assert_falls_back("ptrace", "seccomp notifications")


def test_a_kernel_that_does_not_describe_calls_is_traced_by_registers(refuse: Refuse) -> None:
    refuse(refusal(PTRACE, errno.EIO, 0, GET_SYSCALL_INFO), mode="ptrace").assert_works()


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_unreadable_target_memory_is_named(refuse: Refuse, error: int) -> None:
    # The trial reads 8 bytes; refusing all preads would stop the dynamic loader.
    outcome = refuse(
        refusal(PROCESS_VM_READV, error),
        refusal(PROCESS_VM_WRITEV, error),
        refusal(PREAD64, errno.EPERM, 2, 8),
        refusal(PWRITE64, errno.EPERM, 2, 8),
    )
    outcome.assert_named("memory of COMMAND", "process_vm_readv")


def test_target_memory_that_cannot_be_written_is_named(refuse: Refuse) -> None:
    outcome = refuse(refusal(PROCESS_VM_WRITEV, errno.EPERM), refusal(PWRITE64, errno.EPERM, 2, 8))
    outcome.assert_named("memory of COMMAND", "process_vm_writev")


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM, errno.EMFILE])
def test_refused_shared_memory_is_named(refuse: Refuse, error: int) -> None:
    refuse(refusal(MEMFD_CREATE, error)).assert_named("memfd_create(2)", os.strerror(error))


@pytest.mark.parametrize("nr", [SOCKETPAIR, SIGNALFD4])
def test_refused_beginnings_fail_clearly(refuse: Refuse, nr: int) -> None:
    """What any system grants; without it nothing may run, and something must be said."""
    outcome = refuse(refusal(nr, errno.EPERM))
    assert outcome.status == 125, outcome
    assert not outcome.ran
    assert outcome.said.startswith("fakeroot-sc: "), outcome


@pytest.mark.parametrize("nr", [SENDTO, RECVFROM])
def test_status_is_right_where_messages_are_refused(refuser: Path, tmp_path: Path, nr: int) -> None:
    """Reading and writing does where sending and receiving is refused."""
    command = [FAKEROOT_SC, "--", "sh", "-c", "exit 7"]
    done = bare([refuser, refusal(nr, errno.EPERM), "--", *command], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (7, "")


def without_proc(command: list[str], directory: Path) -> Outcome:
    """Runs WORK by a command where /proc is an empty directory."""
    need("unshare", "util-linux")
    if bare(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/proc"]).returncode != 0:
        pytest.skip("user namespaces are closed here (kernel.unprivileged_userns_clone, AppArmor)")
    script = 'mount -t tmpfs none /proc; exec "$@"'
    inside = ["unshare", "-rm", "sh", "-euc", script, "sh", *command, "--", "sh", "-euc", WORK]
    done = bare(inside, cwd=directory)
    return Outcome(done.returncode, done.stderr, (directory / "marker").exists())


def test_a_missing_proc_is_named(tmp_path: Path) -> None:
    outcome = without_proc([FAKEROOT_SC], tmp_path)
    outcome.assert_named("/proc", "mount")


def test_a_missing_proc_is_named_for_the_module_too(tmp_path: Path) -> None:
    outcome = without_proc([sys.executable, "-I", "-m", "fakeroot_sc", *OPTIONS], tmp_path)
    outcome.assert_named("/proc", "mount")


# --- What can be done without ------------------------------------------------------------


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM], ids=["ENOSYS", "EPERM"])
@pytest.mark.parametrize(
    "numbers",
    [
        [PROCESS_VM_READV, PROCESS_VM_WRITEV],
        [PROCESS_VM_READV],
        [PROCESS_VM_WRITEV],
        [CLOSE_RANGE],
        [CLONE3],
        [OPENAT2],
        [FACCESSAT2],
        [PIDFD_OPEN],
        [PIDFD_GETFD],
        [MEMBARRIER],
        [PROCESS_VM_READV, PROCESS_VM_WRITEV, CLOSE_RANGE, OPENAT2, PIDFD_OPEN, FACCESSAT2],
    ],
    ids=lambda numbers: "+".join(map(str, numbers)),
)
def test_what_old_kernels_lack_is_done_without(
    refuse: Refuse, numbers: list[int], error: int
) -> None:
    if error == errno.EPERM and FACCESSAT2 in numbers:
        pytest.skip("glibc itself falls back on ENOSYS alone")
    refuse(*(refusal(nr, error) for nr in numbers)).assert_works()


@pytest.mark.parametrize("error", [errno.EINVAL, errno.ENOTTY, errno.EPERM])
def test_refused_synchronous_wake_up_is_done_without(refuse: Refuse, error: int) -> None:
    refuse(refusal(IOCTL, error, 1, NOTIF_SET_FLAGS)).assert_works()


@pytest.mark.parametrize("refused", [1, 2])
def test_filter_flags_of_newer_kernels_are_done_without(refuse: Refuse, refused: int) -> None:
    flags = [WAIT_KILLABLE | SPEC_ALLOW | NEW_LISTENER, SPEC_ALLOW | NEW_LISTENER]
    refuse(*(refusal(SECCOMP, errno.EINVAL, 1, flag) for flag in flags[:refused])).assert_works()


def test_refused_subreaper_is_done_without_or_named(refuse: Refuse) -> None:
    outcome = refuse(refusal(PRCTL, errno.EPERM, 0, SET_CHILD_SUBREAPER))
    if outcome.status == 0:
        outcome.assert_works()
    else:
        outcome.assert_named("SUBREAPER")


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM])
def test_refused_statx_works_or_is_named(refuse: Refuse, error: int) -> None:
    """Linux before 4.11 and old container profiles: there is no birth time then."""
    outcome = refuse(refusal(STATX, error))
    if outcome.status == 0:
        assert outcome.ran
        assert outcome.said.count("\n") <= 1  # that there are no birth times
        assert "Traceback" not in outcome.said
    else:
        outcome.assert_named("statx")


@pytest.mark.parametrize("error", [0, errno.ENOSYS, errno.EPERM])
def test_a_filter_that_answers_in_the_supervisor_s_place_is_named(
    refuse: Refuse, error: int
) -> None:
    refuse(refusal(GETGROUPS, error), mode="notify").assert_named("in its place")
