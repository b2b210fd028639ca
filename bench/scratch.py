"""The scratch directory, and the unprivileged user whom everything runs as."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from types import TracebackType
from typing import IO

import attrs

UNPRIVILEGED = 54322  # when started as root; needs no entry in /etc/passwd
PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
MEMORY = "/dev/shm"  # a tmpfs, see shm_overview(7)
FILES_OF_DIRECTORY = 100  # in a tree
LARGE, SMALL = 1500, 200  # bytes of every fourth file of a tree, and of the others
MAPPED = ("--map-root-user", "--map-auto")  # unshare(1): all ids that the user has


class BenchError(Exception):
    """Nothing can be measured; the text says why."""


@attrs.frozen
class Done:
    """A process that has ended; ``status`` is None if it took too long."""

    status: int | None
    output: str
    errors: str

    @property
    def trouble(self) -> str:
        """Why it did not succeed, on one line; empty if it did."""
        if self.status == 0:
            return ""
        lines = [line for line in self.errors.splitlines() if line.strip()]
        what = "took too long" if self.status is None else f"status {self.status}"
        return f"{what}: {lines[-1].strip()}" if lines else what


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends what a process that we started has started (its own session)."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(2)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _has_room(place: str, size: int) -> bool:
    if not os.access(place, os.W_OK):
        return False
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize > 2 * size and not found.f_flag & os.ST_NOEXEC


def _ids(user: str) -> tuple[int, int]:
    """The user and group that measured commands get from root."""
    if not user:
        return UNPRIVILEGED, UNPRIVILEGED
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise BenchError(f"no such user: {user}") from None
    if found.pw_uid == 0:
        raise BenchError(f"{user} is root: measured is what an ordinary user gets")
    return found.pw_uid, found.pw_gid


def directories(files: int) -> int:
    """How many directories a tree of so many files has below its own."""
    return max(1, files // FILES_OF_DIRECTORY)


class Scratch:
    """A directory that goes away at the end, and how to run commands in it."""

    def __init__(self, parent: str | None = None, user: str = "") -> None:
        """``user``: who runs everything, if we are root."""
        self.as_root = os.geteuid() == 0
        if user and not self.as_root:
            raise BenchError(f"only root can run commands as {user}")
        self.uid, self.gid = _ids(user) if self.as_root else (os.geteuid(), os.getegid())
        self.path = tempfile.mkdtemp(prefix="fakeroot-sc-bench-", dir=parent)
        self._made: dict[str, str] = {}
        self._elsewhere: list[str] = []
        self.give(self.path)
        self._log = open(os.path.join(self.path, "output"), "w+b")  # noqa: SIM115
        self._errors = open(os.path.join(self.path, "errors"), "w+b")  # noqa: SIM115

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end_leftovers()
        self._log.close()
        self._errors.close()
        for path in (self.path, *self._elsewhere):
            self.remove(path)

    def give(self, path: str) -> None:
        if self.as_root:
            os.lchown(path, self.uid, self.gid)

    def remove(self, path: str) -> None:
        """A file or tree, that need not be there."""
        # rm takes a third of the time of shutil.rmtree.  Directories of ids that are mapped
        # to the user can be emptied only where they are mapped.
        for before in ((), ("unshare", *MAPPED)):
            if os.path.lexists(path):
                subprocess.run(
                    [*before, "rm", "-rf", path], capture_output=True, timeout=120, check=False
                )

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        """What measured commands see: nothing of the caller's but PATH; above all
        no PYTHONDONTWRITEBYTECODE, no LD_PRELOAD, no FAKEROOTKEY."""
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": self.path,
            "TMPDIR": self.directory("tmp"),
            "LC_ALL": "C.UTF-8",
            **more,
        }

    def start(
        self,
        command: list[str],
        more: dict[str, str] | None,
        stdin: int,
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
    ) -> subprocess.Popen[bytes]:
        """Starts a command as the unprivileged user, in the scratch directory."""
        user, group = (self.uid, self.gid) if self.as_root else (None, None)
        return subprocess.Popen(
            command,
            stdin=stdin, stdout=stdout, stderr=stderr,
            cwd=self.path, env=self.environment(more or {}), start_new_session=True,
            user=user, group=group, extra_groups=() if self.as_root else None,
        )  # fmt: skip

    def run(
        self, command: list[str], more: dict[str, str] | None = None, timeout: float = 60
    ) -> Done:
        """Runs a command, as start() does, until it has ended."""
        # To files, not pipes: a daemon that a tool leaves behind would keep a pipe open.
        for file in (self._log, self._errors):
            file.seek(0)
            file.truncate()
        try:
            process = self.start(command, more, subprocess.DEVNULL, self._log, self._errors)
        except OSError as error:
            return Done(127, "", str(error))
        status: int | None = None
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if status is None:
                end_group(process)
        return Done(status, self._read(self._log.name), self._read(self._errors.name))

    def end_leftovers(self) -> None:
        """Ends daemons that measured commands have left: what works in our directory."""
        for name in os.listdir("/proc"):
            try:
                if name.isdecimal() and os.readlink(f"/proc/{name}/cwd") == self.path:
                    os.kill(int(name), signal.SIGTERM)
            except OSError:
                continue  # gone, or not ours

    @staticmethod
    def _read(name: str) -> str:
        with open(name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def directory(self, name: str) -> str:
        """A directory of this name, made at the first call."""
        path = os.path.join(self.path, name)
        if not os.path.isdir(path):
            os.makedirs(path)
            self.give(path)
        return path

    def memory_directory(self, name: str, size: int) -> str:
        """A directory of this name in memory, where there is room for ``size`` bytes and
        programs may be run; else one as directory() makes.

        For what makes many files: how long a disk takes for that differs from run to run,
        most of all an ext4 without a journal, which looks at all inodes that were freed
        in the last minutes before it uses one again."""
        if name not in self._made:
            if _has_room(MEMORY, size):
                self._made[name] = tempfile.mkdtemp(prefix="fakeroot-sc-bench-", dir=MEMORY)
                self._elsewhere.append(self._made[name])
                self.give(self._made[name])
            else:
                self._made[name] = self.directory(name)
        return self._made[name]

    def file(self, name: str, size: int = 100) -> str:
        """A file of this name and size, made at the first call."""
        path = os.path.join(self.path, name)
        if not os.path.lexists(path):
            self._write(path, size)
        return path

    def text(self, name: str, text: str, mode: int = 0o644) -> str:
        """A file of this name with this text."""
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        self.give(path)
        return path

    def files(self, name: str, count: int) -> list[str]:
        directory = self.directory(name)
        return [self.file(os.path.join(directory, f"f{number}")) for number in range(count)]

    def tree(self, count: int, whose: str = "", place: str = "") -> str:
        """A tree of ``count`` small files, 100 to a directory.  Every fourth is larger
        than 1 KiB.  Made once and written to the disk before anything is measured.
        ``whose``: for a tree that nobody else looks at; ``place``: the directory it is in,
        else ours."""
        name = f"tree-{count}{whose and '-'}{whose}"
        if name not in self._made:
            path = self.directory(os.path.join(place, name))
            places = [
                self.directory(os.path.join(path, f"d{number}"))
                for number in range(directories(count))
            ]
            for number in range(count):
                self._write(
                    f"{places[number % len(places)]}/file-{number}",
                    SMALL if number % 4 else LARGE,
                )
            os.sync()
            self._made[name] = path
        return self._made[name]

    def _write(self, path: str, size: int) -> None:
        with open(path, "wb", buffering=0) as file:
            file.write(b"x" * size)
        self.give(path)

    def program(self, name: str, static: bool = False) -> str:
        """The program of programs/NAME.c, compiled at the first call."""
        built = f"{name}-static" if static else name
        if built not in self._made:
            path = os.path.join(self.directory("bin"), built)
            source = os.path.join(PROGRAMS, f"{name}.c")
            flags = ["-O2", "-std=gnu11", "-Wall", "-Wextra", *(["-static"] if static else [])]
            compiler = shutil.which("cc")
            if not compiler:
                raise BenchError("no C compiler: apt install gcc libc6-dev")
            done = self._compile([compiler, *flags, "-o", path, source])
            if done.returncode != 0:
                raise BenchError(f"{source} cannot be compiled:\n{done.stderr}")
            self._made[built] = path
        return self._made[built]

    @staticmethod
    def _compile(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def scratch_parent() -> str | None:
    """Where the scratch directory goes: what TMPDIR says, else a directory on a disk."""
    if "TMPDIR" in os.environ:
        return None
    return "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
