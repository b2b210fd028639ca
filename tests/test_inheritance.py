"""COMMAND inherits what it would if it ran bare, limits included."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import (
    FAKEROOT_SC,
    PATIENCE,
    Pipe,
    Terminal,
    bare,
    dedent,
    fake,
    process_state,
    python,
    read_to_end,
    started,
)

# --- What COMMAND inherits ---------------------------------------------------------------


def both(
    command: list[str],
    prepare: Callable[[], object] | None = None,
    environment: dict[str, str] | None = None,
    pass_fds: tuple[int, ...] = (),
    cwd: Path | None = None,
) -> tuple[str, str]:
    """What a command prints when it is run bare and under fakeroot-sc."""
    outputs = []
    for prefix in ([], [FAKEROOT_SC, "--"]):
        done = bare(
            [*prefix, *command],
            preexec_fn=prepare,
            restore_signals=False,
            env=environment,
            pass_fds=pass_fds,
            cwd=cwd,
        )
        assert (done.returncode, done.stderr) == (0, "")
        outputs.append(str(done.stdout))
    return outputs[0], outputs[1]


def default_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def ignore_some() -> None:
    default_signals()
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGRTMIN):
        signal.signal(number, signal.SIG_IGN)


def block_some() -> None:
    default_signals()
    some = [signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD, signal.SIGRTMAX]
    signal.pthread_sigmask(signal.SIG_SETMASK, some)


@pytest.mark.parametrize("prepare", [default_signals, ignore_some, block_some])
def test_signal_dispositions_and_mask_are_inherited(prepare: Callable[[], None]) -> None:
    command = ["grep", "-E", "^(SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt):", "/proc/self/status"]
    plain, faked = both(command, prepare)
    assert faked == plain


def test_a_command_that_ignores_the_interrupt_key_survives_it() -> None:
    command = 'trap "" INT; "$@"'
    wait = "echo ready=$$; read line; echo got=$line; exit 4"
    with Terminal(["sh", "-c", command, "sh", FAKEROOT_SC, "--", "sh", "-c", wait]) as terminal:
        terminal.expect_number("ready")
        terminal.type("\x03")
        terminal.type("7\n")
        assert terminal.expect_number("got") == 7
        assert terminal.status() == 4


def test_nohup_protects_command_from_a_hang_up(tmp_path: Path) -> None:
    code = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    done = bare(["nohup", FAKEROOT_SC, "--", *python(code)], cwd=tmp_path)
    assert done.stdout == "True\n"


def test_limits_are_inherited() -> None:
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_STACK, (4 << 20, 5 << 20))

    for prepare in (None, lower):
        plain, faked = both(["cat", "/proc/self/limits"], prepare)
        assert faked == plain


def test_umask_directory_priority_and_flags_are_inherited(tmp_path: Path) -> None:
    def prepare() -> None:
        os.umask(0o137)
        os.nice(3)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    code = dedent("""
        import os
        mask = os.umask(0)
        print(oct(mask), os.getcwd(), os.nice(0), os.sched_getaffinity(0))
        for name in ("oom_score_adj", "timerslack_ns", "coredump_filter", "personality"):
            try:
                print(name, open(f"/proc/self/{name}").read())
            except PermissionError:
                print(name)
    """)
    plain, faked = both(python(code), prepare, cwd=tmp_path)
    assert faked == plain
    assert plain.startswith(f"0o137 {tmp_path} ")


@pytest.mark.parametrize(
    "environment",
    [
        {"PATH": "/usr/bin:/bin", "EMPTY": "", "LINES": "a\nb", "PYTHONPATH": "/nowhere"},
        {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONHOME": "/nowhere"},
        {"PATH": "/usr/bin:/bin", "LANG": "POSIX"},
        {"PATH": "/usr/bin:/bin"},
        {"PATH": "/usr/bin:/bin", "FAKEROOTKEY": "7"},
    ],
)
def test_environment_is_inherited_and_gains_two_variables(environment: dict[str, str]) -> None:
    plain, faked = both(["env", "-0"], environment=environment)
    added = ("FAKEROOTKEY=", "LD_PRELOAD=")
    ours = [entry for entry in faked.split("\0") if not entry.startswith(added)]
    assert ours == [entry for entry in plain.split("\0") if not entry.startswith(added)]
    assert faked.count("FAKEROOTKEY=") == 1
    if "FAKEROOTKEY" in environment:
        assert "FAKEROOTKEY=7" in faked


def test_environment_and_arguments_that_are_not_utf8_pass_unchanged() -> None:
    command = [b"printf", b"%s|%s", b"\xff\xfe argument", b""]
    for environment in ({"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}):
        done = subprocess.run(
            [FAKEROOT_SC.encode(), b"--", *command],
            capture_output=True,
            timeout=PATIENCE,
            check=True,
            env={"PATH": os.environ["PATH"], **environment},
        )
        assert done.stdout == b"\xff\xfe argument|"
        done = subprocess.run(
            [FAKEROOT_SC.encode(), b"--", b"env", b"-0"],
            capture_output=True,
            timeout=PATIENCE,
            check=True,
            env={b"PATH": os.fsencode(os.environ["PATH"]), b"ODD": b"\xff\xfe"},
        )
        assert b"ODD=\xff\xfe\0" in done.stdout


def list_descriptors() -> list[str]:
    """A command that prints what is open in it, but for the listing itself."""
    return python(
        "import os\n"
        "for fd in sorted(map(int, os.listdir('/proc/self/fd'))):\n"
        "    try:\n"
        "        print(fd, os.readlink(f'/proc/self/fd/{fd}').partition(':')[0],\n"
        "              os.get_inheritable(fd))\n"
        "    except OSError:\n"
        "        pass\n"
    )


def test_descriptors_are_inherited_and_none_is_added(tmp_path: Path) -> None:
    file = os.open(tmp_path / "inherited", os.O_CREAT | os.O_RDWR)
    high = os.dup2(file, 900)
    try:
        plain, faked = both(list_descriptors(), pass_fds=(file, high))
    finally:
        os.close(file)
        os.close(high)
    assert faked == plain
    assert "\n900 " in plain


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_command_runs_with_standard_descriptors_closed(tmp_path: Path, closed: str) -> None:
    listings = []
    for prefix in ("", f"{FAKEROOT_SC} -- "):
        script = f"{prefix}sh -c 'ls -l /proc/$$/fd >listing 2>errors; exit 7' {closed}"
        done = bare(["sh", "-c", script], cwd=tmp_path)
        assert done.returncode == 7
        lines = (tmp_path / "listing").read_text().splitlines()[1:]
        (tmp_path / "listing").unlink()
        listings.append(sorted(line.split()[-3] for line in lines))
    assert listings[0] == listings[1]


def test_a_line_written_to_an_inherited_descriptor_arrives() -> None:
    with Pipe() as pipe:
        done = fake(["sh", "-c", "echo hello >&7"], preexec_fn=lambda: os.dup2(pipe.writer, 7),
                    close_fds=False)  # fmt: skip
        pipe.close_writer()
        assert (done.returncode, read_to_end(pipe.reader)) == (0, "hello\n")


def test_process_group_session_and_terminal_are_inherited() -> None:
    code = "import os; print(os.getpgrp(), os.getsid(0), os.isatty(0), os.getppid() != 1)"
    for prefix in ([], [FAKEROOT_SC, "--"]):
        with started(
            [*prefix, *python(code)], stdout=subprocess.PIPE, start_new_session=True
        ) as process:
            assert process.stdout
            group, session, *_ = process.stdout.read().split()
            assert (int(group), int(session)) == (process.pid, process.pid)


def test_command_is_in_the_foreground_of_its_terminal() -> None:
    code = "import os; print(f'ours={int(os.tcgetpgrp(0) == os.getpgrp())}', os.ttyname(0))"
    with Terminal([FAKEROOT_SC, "--", *python(code)]) as terminal:
        assert terminal.process.poll() in (None, 0)
        terminal.expect("ours=1 /dev/pts/")
        assert terminal.status() == 0


def test_an_interactive_shell_has_job_control() -> None:
    command = [FAKEROOT_SC, "--", "bash", "--norc", "--noediting", "-i"]
    environment = {**os.environ, "PS1": "prompt> ", "HISTFILE": ""}
    with Terminal(command, environment) as terminal:
        terminal.expect("prompt> ")
        terminal.type("sh -c 'echo ready=$$; read line; echo got=$line'\n")
        terminal.expect("\n")  # the echo of what was typed
        inner = terminal.expect_number("ready")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        assert process_state(inner) == "T"
        terminal.expect("prompt> ")
        terminal.type("fg\n")
        terminal.expect("sh -c")  # fg says what it continues
        terminal.expect("\n")
        terminal.type("5\n")
        assert terminal.expect_number("got") == 5
        terminal.expect("prompt> ")
        terminal.type("echo own=$(id -u); exit 6\n")
        terminal.expect("own=$(id")
        assert terminal.expect_number("own") == 0
        assert terminal.status() == 6


# --- Limits of resources -----------------------------------------------------------------


USES_MANY = r"""
set -e
i=0
while [ $i -lt 40 ]; do touch f$i; (chown $i f$i) & i=$((i + 1)); done
wait
stat -c %u f0 f39
"""


def test_64_descriptors_are_enough(tmp_path: Path) -> None:
    done = bare(["sh", "-c", f"ulimit -n 64; exec {FAKEROOT_SC} -- sh -c '{USES_MANY}'"],
                cwd=tmp_path)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n39\n", "")


def test_few_descriptors_that_are_all_in_use_are_command_s_own_affair(tmp_path: Path) -> None:
    code = dedent("""
        import os
        open("file", "w").close()
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        os.chown("file", 12, 34)
        print(len(held) > 50, os.stat("file").st_uid, os.stat(held[-1]).st_uid)
    """)
    done = bare(
        [FAKEROOT_SC, "--", *python(code)],
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True 12 0\n", "")


def test_the_highest_limit_of_descriptors_works(tmp_path: Path) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    done = bare(["sh", "-c", f"ulimit -n {most}; exec {FAKEROOT_SC} -- sh -c '{USES_MANY}'"],
                cwd=tmp_path)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n39\n", "")


@pytest.mark.parametrize(
    "limit", ["-v 1000000", "-v 200000", "-v 60000", "-v 25000", "-f 0", "-f 8", "-d 20000",
              "-n 20", "-n 10", "-n 5", "-l 0", "-s 256", "-q 0", "-i 0"],
)  # fmt: skip
def test_a_low_limit_works_or_fails_clearly(tmp_path: Path, limit: str) -> None:
    script = f"ulimit {limit} || exit 77; exec {FAKEROOT_SC} -- sh -c 'chown 12 . && stat -c %u .'"
    done = bare(["bash", "-c", script], cwd=tmp_path)
    if done.returncode == 77:
        pytest.skip(f"ulimit {limit} is not permitted here")
    if done.returncode == 0:
        assert (done.stdout, done.stderr) == ("12\n", "")
    else:
        # A limit under which nothing can start is the dynamic loader's or Python's
        # to tell; else it is ours.  Nothing may run half-faked.
        assert done.stdout == ""
        assert done.returncode in (125, 127), done
        assert done.stderr != ""
