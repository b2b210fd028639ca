"""Signals and job control: COMMAND is stopped, continued and ended as if it ran bare."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest
from commands import (
    FAKEROOT_SC,
    PATIENCE,
    PYTHON,
    READER,
    REPORTS_SIGNALS,
    Pipe,
    Terminal,
    Watched,
    bare,
    comes_to_be,
    dedent,
    fake,
    parent_of,
    process_state,
    python,
    read_line,
    started,
)

# --- Signals of the terminal -------------------------------------------------------------


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
@pytest.mark.parametrize(("key", "number"), [("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT)])
def test_interrupt_key_ends_a_script_that_calls_us(
    prefix: list[str], key: str, number: int
) -> None:
    wait = 'sh -c "ulimit -c 0; echo ready=$$; read line"'
    script = f"{' '.join(prefix)} {wait}; echo after; exit 7"
    with Terminal(["bash", "-c", script]) as terminal:
        terminal.expect_number("ready")
        terminal.type(key)
        assert terminal.status() == -number if number == signal.SIGINT else 7
        # As a bare command: bash ends only if the command died of ^C.
        assert ("after" in terminal.rest()) is (number != signal.SIGINT)


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_interrupt_key_ends_us_by_the_signal_itself(prefix: list[str]) -> None:
    command = ["sh", "-c", "echo ready=$$; read line"]
    with Terminal([*prefix, *command]) as terminal:
        terminal.expect_number("ready")
        terminal.type("\x03")
        assert terminal.status() == -signal.SIGINT


HANDLES_INTERRUPT = dedent("""
    import os, select, signal, sys
    got = []
    wakes, wake = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(wake) # a handler alone could miss the moment before a wait
    signal.signal(signal.SIGINT, lambda number, frame: got.append(number))
    print(f"ready={os.getpid()}", flush=True)
    select.select([wakes], [], [])
    print("handled", flush=True)
    line = input()
    print("line", line, len(got), flush=True)
    sys.exit(5)
""")


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_command_that_handles_the_interrupt_key_goes_on(prefix: list[str]) -> None:
    with Terminal([*prefix, *python(HANDLES_INTERRUPT)]) as terminal:
        terminal.expect_number("ready")
        terminal.type("\x03")
        terminal.expect("handled")
        terminal.type("hello\n")
        # Once: the terminal's signal is not passed on a second time.
        terminal.expect("line hello 1")
        assert terminal.status() == 5


def test_script_goes_on_when_command_handled_the_interrupt_key(tmp_path: Path) -> None:
    code = tmp_path / "command.py"
    code.write_text(HANDLES_INTERRUPT)
    command = " ".join([FAKEROOT_SC, "--", *PYTHON, str(code)])
    with Terminal(["bash", "-c", f'{command}; echo "status=$?"']) as terminal:
        terminal.expect_number("ready")
        terminal.type("\x03")
        terminal.expect("handled")
        terminal.type("hello\n")
        assert terminal.expect_number("status") == 5
        assert terminal.status() == 0


@pytest.mark.parametrize("prefix", ["", f"{FAKEROOT_SC} -- "], ids=["bare", "fakeroot-sc"])
def test_suspend_key_stops_and_fg_continues(prefix: str) -> None:
    # The shell of the user: with job control, it stops and continues the group.
    script = f"""
        set -m
        {prefix}sh -c 'echo ready=$$; read line; echo "got $line"; stat -c owner=%u /; exit 9'
        echo "stopped=$?"
        read line
        fg >/dev/null
        echo "ended=$?"
    """
    with Terminal(["bash", "--norc", "-c", script]) as terminal:
        command = terminal.expect_number("ready")
        terminal.type("\x1a")
        assert terminal.expect_number("stopped") == 128 + signal.SIGTSTP
        assert process_state(command) == "T"
        terminal.type("fg\n")
        # The line may come before COMMAND is in the foreground again: it waits there.
        terminal.type("hello\n")
        terminal.expect("got hello")
        assert terminal.expect_number("owner") == 0
        assert terminal.expect_number("ended") == 9


SAYS_CONTINUED = dedent("""
    import os, select, signal, sys
    wakes, wake = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(wake) # a handler alone could miss the moment before a read
    signal.signal(signal.SIGCONT, lambda number, frame: None)
    print(f"ready={os.getpid()}", flush=True)
    while True:
        for fd in select.select([0, wakes], [], [])[0]:
            text = os.read(fd, 100)
            if fd == 0:
                sys.exit(9 if text == b"end\\n" else 1)
            os.write(1, b"continued\\n")
""")


def test_suspend_key_stops_us_too_and_fg_works_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "command.py").write_text(SAYS_CONTINUED)
    script = f"""
        set -m
        again() {{ echo "stopped=$?"; read line; }}
        {FAKEROOT_SC} -- {" ".join(PYTHON)} {tmp_path}/command.py
        again; fg >/dev/null
        again; fg >/dev/null
        again; fg >/dev/null
        echo "ended=$?"
    """
    with Terminal(["bash", "--norc", "-c", script]) as terminal:
        command = terminal.expect_number("ready")
        front = os.getpgid(command)
        for _ in range(3):
            terminal.type("\x1a")
            assert terminal.expect_number("stopped") == 128 + signal.SIGTSTP
            # Just continued, we may stop by the key ourselves, a moment before COMMAND does.
            assert comes_to_be(command, "T")
            assert process_state(front) == "T"
            terminal.type("fg\n")
            terminal.expect("continued")
        terminal.type("end\n")
        assert terminal.expect_number("ended") == 9


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_suspend_key_does_nothing_where_nobody_could_continue(prefix: list[str]) -> None:
    """A session's first process group is orphaned: the kernel drops its ^Z."""
    command = ["sh", "-c", "echo ready=$$; read line; echo got=$line"]
    with Terminal([*prefix, *command]) as terminal:
        terminal.expect_number("ready")
        terminal.type("\x1a")
        terminal.type("5\n")
        assert terminal.expect_number("got") == 5
        assert terminal.status() == 0


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_a_stopped_job_ends_when_its_shell_has_gone(prefix: list[str]) -> None:
    """The kernel hangs up on stopped groups that nobody can continue any more."""
    inner = "sh -c 'echo ready=$$; read line'"
    script = f"set -m; {' '.join([*prefix, inner])}; echo stopped=$?; read line"
    with Terminal(["bash", "--norc", "-c", script]) as terminal:
        command = Watched(terminal.expect_number("ready"))
        terminal.type("\x1a")
        assert terminal.expect_number("stopped") == 128 + signal.SIGTSTP
        terminal.process.kill()
        terminal.process.wait(PATIENCE)
        try:
            assert command.ended(10)
        finally:
            front = os.getpgid(command.pid) if process_state(command.pid) else 0
            command.kill()
            if front > 1 and prefix:
                Watched(front).kill()


def test_background_command_that_reads_the_terminal_stops() -> None:
    script = f"""
        set -m
        {FAKEROOT_SC} -- sh -c 'echo ready=$$; read line; exit 9' &
        wait %1
        echo "stopped=$?"
        fg >/dev/null
        echo "ended=$?"
    """
    with Terminal(["bash", "--norc", "-c", script]) as terminal:
        assert terminal.expect_number("stopped") == 128 + signal.SIGTTIN
        terminal.type("hello\n")
        assert terminal.expect_number("ended") == 9


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_a_new_window_size_reaches_command_and_harms_nothing(
    result_fifo: Path, prefix: list[str]
) -> None:
    environment = {**os.environ, "RESULT": str(result_fifo)}
    with Terminal([*prefix, *python(REPORTS_SIGNALS)], environment) as terminal:
        command = terminal.expect_number("ready")
        with result_fifo.open() as result:
            for rows in range(20, 23):
                terminal.resize(rows, 80)
                assert read_line(result.fileno()) == "SIGWINCH"
            os.kill(command, signal.SIGTERM)
            assert read_line(result.fileno()) == "SIGTERM"
        assert terminal.status() == 0


def signals_of_a_hang_up(terminal: Terminal, result_fifo: Path) -> list[str]:
    """What COMMAND hears when its terminal is closed, up to SIGHUP or its end."""
    with result_fifo.open() as result:
        terminal.hang_up()
        seen = [read_line(result.fileno(), timeout=10)]
        while seen[-1] and seen[-1] != "SIGHUP":
            seen.append(read_line(result.fileno(), timeout=10))
        return seen


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_closing_the_terminal_reaches_command_when_we_lead_the_session(
    result_fifo: Path, prefix: list[str]
) -> None:
    environment = {**os.environ, "RESULT": str(result_fifo)}
    with Terminal([*prefix, *python(REPORTS_SIGNALS)], environment) as terminal:
        terminal.expect_number("ready")
        assert "SIGHUP" in signals_of_a_hang_up(terminal, result_fifo)
        assert terminal.status() == 0


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_closing_the_terminal_reaches_command_below_a_shell(
    tmp_path: Path, result_fifo: Path, prefix: list[str]
) -> None:
    code = tmp_path / "command.py"
    code.write_text(REPORTS_SIGNALS)
    environment = {**os.environ, "RESULT": str(result_fifo)}
    script = f"{' '.join([*prefix, *PYTHON, str(code)])}; exit 0"
    with Terminal(["bash", "--norc", "-c", script], environment) as terminal:
        terminal.expect_number("ready")
        assert "SIGHUP" in signals_of_a_hang_up(terminal, result_fifo)


def test_closing_the_terminal_ends_command_and_supervisor() -> None:
    wait = python("import os, signal; print(f'ready={os.getpid()}', flush=True); signal.pause()")
    with Terminal([FAKEROOT_SC, "--", *wait]) as terminal:
        command = Watched(terminal.expect_number("ready"))
        supervisor = Watched(parent_of(command.pid))
        terminal.hang_up()
        try:
            assert command.ended(10)
            assert supervisor.ended(10)
        finally:
            command.kill()


# --- Signals that processes send ---------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGWINCH", "SIGCONT"])
def test_a_signal_sent_to_us_reaches_command(result_fifo: Path, name: str) -> None:
    environment = {**os.environ, "RESULT": str(result_fifo)}
    command = [FAKEROOT_SC, "--", *python(REPORTS_SIGNALS)]
    with started(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("ready=")
        with result_fifo.open() as result:
            process.send_signal(signal.Signals[name])
            assert read_line(result.fileno()) == name
            if name not in ("SIGTERM", "SIGHUP"):
                process.terminate()
                assert read_line(result.fileno()) == "SIGTERM"
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGUSR2"])
def test_a_fatal_signal_sent_to_us_ends_us_as_it_ends_command(name: str) -> None:
    number = signal.Signals[name]
    with started(
        [FAKEROOT_SC, "--", *READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        command, supervisor = map(int, process.stdout.readline().split())
        watched = Watched(supervisor)
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number
        assert watched.ended()
        assert process_state(command) == ""


def test_a_signal_sent_right_at_the_start_is_not_lost() -> None:
    """However early: COMMAND may not have been started when it comes."""
    for _ in range(10):
        with started(
            [FAKEROOT_SC, "--", *READER], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as process:
            process.terminate()
            assert process.wait(10) == -signal.SIGTERM


def test_timeout_ends_us_and_command() -> None:
    done = bare(["timeout", "1", FAKEROOT_SC, "--", *READER], stdin=subprocess.PIPE)
    # Its standard input is at its end: READER fails at once, timeout has nothing to do.
    assert done.returncode == 1
    with Pipe() as held:
        done = bare(["timeout", "1", FAKEROOT_SC, "--", *READER], stdin=held.reader)
    assert done.returncode == 124
    command, supervisor = map(int, done.stdout.split())
    assert process_state(command) == ""
    with contextlib.suppress(ProcessLookupError):
        assert Watched(supervisor).ended()


def test_timeout_inside_works() -> None:
    with Pipe() as held:
        done = fake(["timeout", "0.3", "cat"], stdin=held.reader)
    assert (done.returncode, done.stderr) == (124, "")


def test_a_stop_signal_sent_to_command_stops_us_and_continuing_us_continues_it() -> None:
    with started(
        [FAKEROOT_SC, "--", *READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stdin
        command = int(process.stdout.readline().split()[0])
        os.kill(command, signal.SIGSTOP)
        info = os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert info and info.si_status == signal.SIGSTOP
        assert process_state(command) == "T"
        process.send_signal(signal.SIGCONT)
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.wait(PATIENCE) == 0
