"""COMMAND's exit status is ours, and a command that cannot run is named."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import harness
import pytest
from commands import (
    FAKEROOT_SC,
    PATIENCE,
    bare,
    fake,
    python,
)


def test_every_exit_status_is_passed_on() -> None:
    eights = range(0, 256, 8)  # eight at a time: a run takes its start-up time
    for first in eights[-harness.examples(len(eights)) :]:
        running = [
            subprocess.Popen([FAKEROOT_SC, "--", "sh", "-c", f"exit {status}"])
            for status in range(first, first + 8)
        ]
        assert [process.wait(PATIENCE) for process in running] == list(range(first, first + 8))


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "ILL", "ABRT", "KILL", "PIPE", "TERM"])
def test_a_signal_that_ends_command_gives_128_and_its_number(name: str) -> None:
    done = fake(["sh", "-c", f"ulimit -c 0; kill -{name} $$"])
    number = signal.Signals[f"SIG{name}"]
    assert done.returncode == 128 + number
    assert done.stderr == ""


def test_real_time_signal_that_ends_command_gives_128_and_its_number() -> None:
    done = fake(python("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 3)"))
    assert done.returncode == 128 + signal.SIGRTMIN + 3


@pytest.mark.parametrize(
    ("name", "status", "why"),
    [
        ("no-such-command-anywhere", 127, "No such file or directory"),
        ("./missing", 127, "No such file or directory"),
        ("./plain", 126, "Permission denied"),
        ("./directory", 126, "Permission denied"),
        ("./directory/plain/under", 127, "No such file or directory"),
        ("./plain/under", 126, "Not a directory"),
        ("./no-interpreter", 127, "No such file or directory"),
    ],
)
def test_command_that_cannot_run_is_named(tmp_path: Path, name: str, status: int, why: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "plain").write_text("echo hello\n")
    (tmp_path / "no-interpreter").write_text("#!/no/such/interpreter\n")
    (tmp_path / "no-interpreter").chmod(0o755)
    done = fake([name], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (status, f"fakeroot-sc: {name}: {why}\n")


def test_command_in_an_unsearchable_directory_of_path_is_not_found(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    try:
        path = f"{closed}:{os.environ['PATH']}"
        assert fake(["no-such-command"], env={**os.environ, "PATH": path}).returncode == 127
        assert fake(["true"], env={**os.environ, "PATH": path}).returncode == 0
    finally:
        closed.chmod(0o700)


def test_a_script_without_interpreter_line_runs_as_under_env(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo hello\nexit 3\n")
    script.chmod(0o755)
    plain = bare(["env", script])
    done = fake([script])
    assert (done.returncode, done.stdout) == (plain.returncode, plain.stdout) == (3, "hello\n")
