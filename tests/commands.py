"""Helpers of the tests that start whole programs: run, compile, wait, talk to a terminal.

Nothing here sleeps: what must be waited for is a descriptor, where there is one, and every
wait is bounded.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import installed
import pytest
from installed import FAKEROOT_SC

PYTHON = [sys.executable, "-I", "-S"]
"""An interpreter that starts fast and looks at nothing of the user's."""

PATIENCE = 20.0
"""Seconds after which a wait has failed: far more than anything here takes."""

READER = [
    *PYTHON,
    "-c",
    "import os, signal; signal.signal(signal.SIGINT, signal.SIG_DFL);"
    "print(os.getpid(), os.getppid(), flush=True); input()",
]
"""COMMAND that says who it is and then waits for a line on its standard input.

^C ends it by the kernel's hand: Python's own handler misses one that comes just before the read.
"""


def python(code: str) -> list[str]:
    """A command line that runs a piece of Python."""
    return [*PYTHON, "-c", code]


def dedent(text: str) -> str:
    """The text without its first line's indentation."""
    lines = text.strip("\n").splitlines()
    width = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[width:] for line in lines) + "\n"


REPORTS_SIGNALS = dedent("""
    import os, signal
    watched = [signal.SIGHUP, signal.SIGTERM, signal.SIGWINCH, signal.SIGUSR1, signal.SIGCONT]
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    print(f"ready={os.getpid()}", flush=True)
    fd = os.open(os.environ["RESULT"], os.O_WRONLY)
    while True:
        number = signal.sigwait(watched)
        os.write(fd, f"{signal.Signals(number).name}\\n".encode())
        if number in (signal.SIGHUP, signal.SIGTERM):
            break
""")

Argument = str | os.PathLike[str]


def need(tool: str, package: str) -> str:
    """The path of a program, or a skip that names the Debian package it is in."""
    found = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{tool} is not installed (Debian package {package})")
    return found


def bare(
    arguments: Sequence[Argument],
    *,
    timeout: float = PATIENCE,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Runs a command as it is, with its output captured as text."""
    options.setdefault("stdin", subprocess.DEVNULL)
    if options.get("input") is not None:
        del options["stdin"]
    if not {"stdout", "stderr"} & options.keys():
        options["capture_output"] = True
    return subprocess.run(
        [os.fspath(argument) for argument in arguments],
        timeout=timeout,
        text=True,
        check=False,
        **options,
    )


def fake(
    arguments: Sequence[Argument],
    *flags: str,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Runs a command under fakeroot-sc."""
    return bare([FAKEROOT_SC, *flags, "--", *arguments], **options)


def fake_output(
    arguments: Sequence[Argument],
    *flags: str,
    **options: Any,
) -> str:
    """What a command prints under fakeroot-sc; it must succeed and complain of nothing."""
    done = fake(arguments, *flags, **options)
    assert (done.returncode, done.stderr) == (0, ""), done
    return str(done.stdout)


def fake_script(
    script: str,
    directory: Path,
    *flags: str,
    **options: Any,
) -> str:
    """What a shell script prints under fakeroot-sc, in a directory; it must succeed."""
    return fake_output(["sh", "-euc", script], *flags, cwd=directory, **options)


def compile_c(directory: Path, name: str, source: str, *flags: str, compiler: str = "gcc") -> Path:
    """Builds a C program and returns its path.  AssertionError with what gcc says.

    Skips i386 programs where there is nothing to build them with.
    """
    need(compiler, {"musl-gcc": "musl-tools"}.get(compiler, compiler))
    text, program = directory / f"{name}.c", directory / name
    text.write_text(source)
    key = hashlib.sha256(repr((compiler, flags, source)).encode()).hexdigest()
    built = Path(os.environ[installed.BUILT]) / key
    if built.exists():
        return Path(shutil.copy2(built, program))
    command: list[Argument] = [compiler, "-O1", "-D_GNU_SOURCE", "-o", program, text, *flags]
    done = bare(command, env={**os.environ, "TMPDIR": str(directory)})
    if done.returncode != 0 and "-m32" in flags and not can_compile(directory, "-m32"):
        pytest.skip("cc -m32 builds nothing here (Debian package gcc-multilib)")
    assert done.returncode == 0, done.stderr
    Path(shutil.copy2(program, built.with_suffix(f".{os.getpid()}"))).rename(built)
    return program


def can_compile(directory: Path, *flags: str) -> bool:
    """Whether gcc builds programs with these flags here."""
    need("gcc", "gcc")
    source = directory / "empty.c"
    source.write_text("int main(void) { return 0; }\n")
    command: list[Argument] = ["gcc", "-o", directory / "empty", source, *flags]
    return bare(command, env={**os.environ, "TMPDIR": str(directory)}).returncode == 0


class Watched:
    """A process that need not be a child, held by a pidfd so that its number is not another's."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def ended(self, timeout: float = PATIENCE) -> bool:
        """Whether the process ends within that many seconds."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends a signal; a process that has ended is no error."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, number)

    def close(self) -> None:
        os.close(self._fd)


def process_state(pid: int) -> str:
    """The state letter in /proc/PID/stat, "" if the process has gone.

    "T" for a process that is stopped, whether its tracer knows ("t") or there is none.
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state.replace("t", "T")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def comes_to_be(pid: int, state: str, timeout: float = PATIENCE) -> bool:
    """Whether a process gets into a state: the kernel tells nobody of it but a parent."""
    end = time.monotonic() + timeout
    while process_state(pid) != state:
        if time.monotonic() > end:
            return False
        os.sched_yield()
    return True


def session_members(session: int) -> list[int]:
    """The processes of a session."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                if os.getsid(int(entry.name)) == session:
                    members.append(int(entry.name))
    return members


def parent_of(pid: int) -> int:
    """The parent's process id."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Pipe:
    """Both ends of a pipe; ``read`` waits, but not for ever."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def close_writer(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
        self.writer = -1

    def close_reader(self) -> None:
        if self.reader >= 0:
            os.close(self.reader)
        self.reader = -1

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_writer()
        self.close_reader()


def read_line(fd: int, timeout: float = PATIENCE) -> str:
    """One line from a descriptor, without its end; "" at end of file."""
    line = b""
    end = time.monotonic() + timeout
    while not line.endswith(b"\n"):
        if not select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]:
            raise AssertionError(f"no line came, only {line!r}")
        piece = os.read(fd, 1)
        if not piece:
            break
        line += piece
    return line.decode().rstrip("\n")


def read_to_end(fd: int, timeout: float = PATIENCE) -> str:
    """Everything up to end of file, which must come in time."""
    text = b""
    end = time.monotonic() + timeout
    while True:
        if not select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]:
            raise AssertionError(f"end of file did not come, only {text!r}")
        piece = os.read(fd, 65536)
        if not piece:
            return text.decode()
        text += piece


@contextlib.contextmanager
def started(
    arguments: Sequence[Argument],
    **options: Any,
) -> Iterator[subprocess.Popen[str]]:
    """A running command that is killed, if need be, at the end of the block."""
    process = subprocess.Popen(
        [os.fspath(argument) for argument in arguments], text=True, **options
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


@contextlib.contextmanager
def waiting(
    arguments: Sequence[Argument], says: str, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """The same of one that has printed that line, and goes on when it is written to."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with started(arguments, **pipes, **options) as process:
        assert process.stdout
        assert read_line(process.stdout.fileno()) == says
        yield process


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A program in a session of its own, with a terminal at which this object types."""

    def __init__(
        self, arguments: Sequence[Argument], environment: Mapping[str, str] | None = None
    ) -> None:
        self._master, slave = os.openpty()
        self._seen = ""
        self.process = subprocess.Popen(
            [os.fspath(argument) for argument in arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
            env=environment,
        )
        os.close(slave)

    def expect(self, text: str) -> str:
        """Reads until the text appears, and returns what came up to its end."""
        end = time.monotonic() + PATIENCE
        while text not in self._seen:
            ready = select.select([self._master], [], [], max(0.0, end - time.monotonic()))[0]
            piece = b""
            if ready:
                with contextlib.suppress(OSError):  # EIO: the last user of the slave has gone
                    piece = os.read(self._master, 4096)
            if not piece:
                raise AssertionError(f"{text!r} did not come, only {self._seen!r}")
            self._seen += piece.decode(errors="replace").replace("\r\n", "\n")
        before, _, self._seen = self._seen.partition(text)
        return before + text

    def expect_number(self, name: str) -> int:
        """The number in a line ``name=NUMBER``."""
        self.expect(f"{name}=")
        return int(self.expect("\n"))

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        """Closes the terminal, as the window it was in would."""
        if self._master >= 0:
            os.close(self._master)
        self._master = -1

    def status(self) -> int:
        """Waits for the program and returns its status as Popen does: -n for signal n."""
        return self.process.wait(PATIENCE)

    def rest(self) -> str:
        """Everything up to the end of the last program on the terminal."""
        with contextlib.suppress(AssertionError):
            self.expect("\0 never")
        return self._seen

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        # All of the session is ours: what a failed test left stopped must end, too.
        for pid in session_members(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait(PATIENCE)
        self.hang_up()
