"""fakeroot-sc inside of fakeroot-sc runs the command in the outer session."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from commands import (
    FAKEROOT_SC,
    PATIENCE,
    REPORTS_SIGNALS,
    Terminal,
    dedent,
    fake,
    fake_output,
    fake_script,
    python,
    read_line,
    started,
)


def test_nested_use_joins_the_outer_session(tmp_path: Path) -> None:
    script = f"""
        touch file; chown 1:2 file
        {FAKEROOT_SC} -- sh -c 'stat -c %u:%g file; chown 12:34 file; mknod device c 1 3'
        stat -c '%u:%g %F' file device
    """
    assert fake_script(script, tmp_path).splitlines() == [
        "1:2",
        "12:34 regular empty file",
        "0:0 character special file",
    ]


@pytest.mark.parametrize("script", ["exit 0", "exit 9", "kill -TERM $$", "kill -KILL $$"])
def test_nested_use_passes_the_status_on(script: str) -> None:
    expected = fake(["sh", "-c", script]).returncode
    for depth in (1, 2):
        nested = [FAKEROOT_SC, "--"] * depth
        done = fake([*nested, "sh", "-c", script])
        assert (done.returncode, done.stderr) == (expected, "")


@pytest.mark.parametrize(("name", "status"), [("no-such-command", 127), ("/etc/passwd", 126)])
def test_nested_use_names_a_command_that_cannot_run(tmp_path: Path, name: str, status: int) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    for path in (os.environ["PATH"], f"{closed}:{os.environ['PATH']}"):
        done = fake([FAKEROOT_SC, "--", name], env={**os.environ, "PATH": path})
        assert done.returncode == status
        assert done.stderr.startswith(f"fakeroot-sc: {name}: ")
    closed.chmod(0o700)


def test_nested_use_runs_a_script_without_interpreter_line(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("id -u\nexit 3\n")
    script.chmod(0o755)
    done = fake([FAKEROOT_SC, "--", script])
    assert (done.returncode, done.stdout, done.stderr) == (3, "0\n", "")


def test_nested_use_keeps_key_and_environment() -> None:
    script = f'echo $FAKEROOTKEY; {FAKEROOT_SC} -- sh -c "echo \\$FAKEROOTKEY"'
    first, second = fake_output(["sh", "-c", script]).split()
    assert first == second


def test_nested_use_obeys_the_terminal(tmp_path: Path) -> None:
    wait = f"{FAKEROOT_SC} -- sh -c 'echo ready=$$; read line'; echo after"
    with Terminal([FAKEROOT_SC, "--", "bash", "-c", wait]) as terminal:
        terminal.expect_number("ready")
        terminal.type("\x03")
        assert terminal.status() == -signal.SIGINT
        assert "after" not in terminal.rest()


def test_nested_use_sees_signals_sent_to_the_inner_command(result_fifo: Path) -> None:
    code = dedent("""
        import os, subprocess, sys
        inner = subprocess.Popen(sys.argv[1:])
        with open(os.environ["STARTED"]) as go:
            go.read()
        inner.terminate()
        sys.exit(inner.wait())
    """)
    go = result_fifo.with_name("started")
    os.mkfifo(go)
    environment = {**os.environ, "RESULT": str(result_fifo), "STARTED": str(go)}
    command = [*python(code), FAKEROOT_SC, "--", *python(REPORTS_SIGNALS)]
    with started([FAKEROOT_SC, "--", *command], env=environment, stdout=subprocess.PIPE) as process:
        with result_fifo.open() as result:
            go.write_text("")
            assert read_line(result.fileno()) == "SIGTERM"
        assert process.wait(PATIENCE) == 0
