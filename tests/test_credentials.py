# SPDX-License-Identifier: Apache-2.0
"""Who a process becomes, and who its children are."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import harness
import installed
import pytest
from commands import compile_c
from conftest import Probes, Run
from harness import Abi, Probe, Session, buffer

CHILDREN = 25_000


def wide(session: Session) -> str:
    return "32" if session.abi is Abi.I386 else ""


def leave(session: Session, uid: int) -> None:
    session.ok("setresuid" + wide(session), uid, uid, uid)


def uid(session: Session) -> int:
    return session.ok("getuid" + wide(session))


def hands_on_marks() -> bool:
    """Whether the kernel takes a hint in an I/O priority (Linux 6.5)."""
    release = os.uname().release.split(".")
    return (int(release[0]), int(release[1])) >= (6, 5)


def test_children_have_what_their_parent_had(probe: Probe, tmp_path: Path) -> None:
    with probe.session(tmp_path) as fake:
        fake.go_on_in_child()
        leave(fake, 1000)
        fake.go_on_in_child()
        assert uid(fake) == 1000
        fake.go_on_in_parent()
        assert uid(fake) == 1000
        fake.go_on_in_parent()
        assert uid(fake) == 0


def test_a_raw_call_changes_one_thread_and_what_it_makes(probes: Probes, tmp_path: Path) -> None:
    for build in ("x86-64-static", "i386-static"):
        with probes(build).session(tmp_path) as fake:
            fake.go_on_in_thread()
            leave(fake, 1000)
            fake.go_on_in_child()
            assert uid(fake) == 1000
            fake.go_on_in_parent()
            assert uid(fake) == 1000
            fake.go_on_in_thread()
            if hands_on_marks():
                assert uid(fake) == 1000
            fake.go_on_in_parent()
            fake.go_on_in_parent()
            assert uid(fake) == 0
            fake.go_on_in_child()
            assert uid(fake) == 0


def test_who_has_left_root_makes_files_of_their_own(fake: Session) -> None:
    fake.ok("umask", 0o22)
    fake.ok("setresgid" + wide(fake), 50, 50, 50)
    leave(fake, 1000)
    fake.fails(1, "chmod", "file", 0o600)
    fake.fails(1, "fchownat", harness.AT_FDCWD, "file", 1000, 50, 0)


def test_a_failed_execution_changes_nothing(fake: Session) -> None:
    fake.ok("setresuid" + wide(fake), -1, 1000, 0)
    assert fake.execute("missing") == "ENOENT"
    result = fake.call("getresuid" + wide(fake), buffer(4), buffer(4), buffer(4))
    assert [int.from_bytes(data, "little") for data in result.buffers.values()] == [0, 1000, 0]


@pytest.mark.parametrize("setter", ["setuid", "setreuid", "setresuid"])
def test_all_threads_change_by_libc_s_functions(run: Run, setter: str) -> None:
    arguments = ",".join(["1000"] * {"setuid": 1, "setreuid": 2, "setresuid": 3}[setter])
    script = f"""
import os, threading
told, go, done = [], threading.Event(), threading.Event()
def ask():
    go.wait(20)
    told.append(os.getresuid())
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads: thread.start()
os.{setter}({arguments})
go.set()
for thread in threads: thread.join(20)
child = os.fork()
if child == 0:
    os._exit(os.getuid() != 1000)
status = os.waitpid(child, 0)[1]
print(len(told), set(told), os.getresuid(), status)
"""
    done = run("python3", "-c", script)
    assert done.stdout.strip() == "8 {(1000, 1000, 1000)} (1000, 1000, 1000) 0", done.stderr


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("setpriv --reuid 1000 --regid 1001 --clear-groups id -u -r", "1000"),
        ("setpriv --reuid 1000 --regid 1001 --groups 7,5 id -G", "1001 5 7"),
        ("setpriv --reuid 1000 --regid 1001 --clear-groups sh -c 'id -g'", "1001"),
        ("chroot --userspec=1000:1001 --groups=5 / id -G", "1001 5"),
        ("nice -n -5 nice", str(os.nice(0))),
        # A program of its own: nothing is started of which any process runs.
        ("start-stop-daemon --start --chuid 1000:1001 --exec $PWD/own-id -- -u", "1000"),
        ("sh -c 'ulimit -x 2>/dev/null || echo unlimited'", "unlimited"),
        ("bash -c 'ulimit -x'", "unlimited"),
    ],
)  # fmt: skip
def test_programs_that_leave_root_are_told_so(
    run: Run, tmp_path: Path, command: str, says: str
) -> None:
    program = command.split()[0]
    if not (shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")):
        pytest.skip(f"{program} is not installed")
    shutil.copy("/usr/bin/id", tmp_path / "own-id")
    done = run("sh", "-c", f"PATH=$PATH:/usr/sbin:/sbin; {command}")
    assert done.stdout.strip() == says, done.stderr


def test_the_limit_that_carries_the_tag_is_shown_as_it_was(fake: Session) -> None:
    soft, hard = resource.getrlimit(10)
    told = (soft % 2**64, hard % 2**64)
    leave(fake, 1000)
    result = fake.call("prlimit64", 0, 10, 0, buffer(16))
    data = next(iter(result.buffers.values()))
    assert (int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")) == told
    assert uid(fake) == 1000


def test_children_leave_nothing_behind(run: Run, tmp_path: Path) -> None:
    build = harness.BUILDS["x86-64-static"]
    try:
        harness.compile_for(build, tmp_path / "forks", harness.PROGRAMS / "forks.c")
    except harness.CannotBuild as missing:
        pytest.skip(str(missing))
    done = run(str(tmp_path / "forks"), str(CHILDREN // (10 if installed.is_traced() else 1)))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100  # kilobytes; four bytes a child


TOGETHER = r"""
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#define THREADS 8
static pthread_barrier_t barrier;
static int wrong;
static void *change(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&barrier);
    syscall(SYS_setresuid, 1000, 1000, 1000);
    pthread_barrier_wait(&barrier);
    if (syscall(SYS_getuid) != 1000)
        __atomic_store_n(&wrong, 1, __ATOMIC_RELAXED);
    return NULL;
}
int main(void)
{
    pthread_t threads[THREADS];
    // From now on any call may wait, so that several are answered at once.
    if (chroot("/dev") == 0)
        return 2;
    for (int round = 0; round < 25; round++) {
        int status;
        if (fork() > 0) {
            wait(&status);
            if (status != 0)
                return 1;
            continue;
        }
        pthread_barrier_init(&barrier, NULL, THREADS);
        for (int i = 0; i < THREADS; i++)
            pthread_create(&threads[i], NULL, change, NULL);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        _exit(wrong || syscall(SYS_getuid) != 0);
    }
    return 0;
}
"""


def test_threads_that_change_at_once_all_have_changed(run: Run, tmp_path: Path) -> None:
    done = run(str(compile_c(tmp_path, "together", TOGETHER, "-pthread")))
    assert done.returncode == 0, done.stderr
