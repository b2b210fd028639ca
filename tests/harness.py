# SPDX-License-Identifier: Apache-2.0
"""Talks to probes: processes that issue the very system calls a test asks for.

A :class:`Probe` is a program built from programs/probe.c, a :class:`Session` one
running process of it, under fakeroot-sc or bare.  Numbers come from the table of
the project; what the tests call beside it is in ``OTHER``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import stat
import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import installed

from fakeroot_sc.syscalls.row import Abi, Syscall
from fakeroot_sc.syscalls.table import TABLE

PATIENCE = 40.0
"""Seconds after which a command has failed: far more than anything here takes."""

TIMES = os.environ.get("FAKEROOT_SC_TEST_EXAMPLES", "")

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_EACCESS = 0x200
AT_REMOVEDIR = 0x200
AT_EACCESS = 0x200
AT_NO_AUTOMOUNT = 0x800
AT_EMPTY_PATH = 0x1000
STATX_BASIC = 0x7FF
STATX_BTIME = 0x800
CLONE_FS = 0x200
PATH_MAX = 4096
NAME_MAX = 255
GARBAGE = 0xDEADBEEF_00000000
"""The high half of a register of which the kernel reads the low one."""

OTHER = {
    "close": (3, 6),
    "lseek": (8, 19),
    "dup3": (292, 330),
    "pipe2": (293, 331),
    "socketpair": (53, 360),
    "socket": (41, 359),
    "fcntl": (72, 221),
    "io_uring_setup": (425, 425),
    "name_to_handle_at": (303, 341),
    "file_getattr": (468, 468),
    "file_setattr": (469, 469),
    "chdir": (80, 12),
    "fchdir": (81, 133),
    "truncate": (76, 92),
    "unshare": (272, 310),
    "memfd_create": (319, 356),
    "epoll_create1": (291, 329),
    "write": (1, 4),
    "fsync": (74, 118),
    "getpid": (39, 20),
    "getppid": (110, 64),
}
"""Calls beside the table: numbers on x86-64 and i386."""


def examples(count: int) -> int:
    """How many examples of a property are tried.

    FAKEROOT_SC_TEST_EXAMPLES: so many times as many.  Fewer where fakeroot-sc is started
    with options: such a set repeats what the plain one tries.
    """
    if TIMES:
        return count * int(TIMES)
    return max(count // 4, 1) if installed.OPTIONS else count


class Token(str):
    """An argument in the probe's own words."""

    __slots__ = ()


Argument = int | str | bytes
"""Of a call: a plain string is a path, see at_page_end()."""

Order = tuple[str, Sequence[Argument], str, str]
"""A call's name and arguments, the line that makes the probe issue it, a stat's layout."""


def _bytes(text: str | bytes) -> bytes:
    return os.fsencode(text)


def at_page_end(text: str | bytes) -> Token:
    """A string whose NUL is the last byte before an unmapped page: as plain str are."""
    return Token("s:" + _bytes(text).hex())


def across_pages(text: str | bytes) -> Token:
    """A string one half of which is in the next page."""
    return Token("x:" + _bytes(text).hex())


def unterminated(text: str | bytes) -> Token:
    """Bytes that run into an unmapped page."""
    return Token("u:" + _bytes(text).hex())


def buffer(size: int) -> Token:
    """A buffer with canaries around."""
    return Token(f"c:{size:x}")


def buffer_at_page_end(size: int) -> Token:
    """A buffer with an unmapped page behind."""
    return Token(f"b:{size:x}")


def buffer_cut(size: int, room: int) -> Token:
    """A buffer of which only the first ``room`` bytes are mapped."""
    return Token(f"t:{size:x}:{room:x}")


def buffer_read_only(size: int) -> Token:
    """A buffer that cannot be written."""
    return Token(f"r:{size:x}")


def garbled(value: int) -> int:
    """A 32-bit value with garbage in the high half of its register."""
    return GARBAGE | (value & 0xFFFF_FFFF)


NULL = 0
LOW_POINTER = 1
HIGH_POINTER = 2**64 - 4096 + 8
NON_CANONICAL = 1 << 63
BAD_POINTERS = (NULL, LOW_POINTER, HIGH_POINTER, NON_CANONICAL)


def _encode(argument: Argument) -> str:
    if isinstance(argument, Token):
        return argument
    if isinstance(argument, int):
        return f"n:{argument & 2**64 - 1:x}"
    return at_page_end(argument)


# How each layout of attributes is packed: a struct format and its fields.
_TIMES = "atime atime_ns mtime mtime_ns ctime ctime_ns"
LAYOUTS: dict[str, tuple[str, str]] = {
    "stat": (
        "=QQQIIII QqqqQQQQQQ 24s",
        f"dev ino nlink mode uid gid pad rdev size blksize blocks {_TIMES} rest",
    ),
    "i386_oldstat": (
        "=HHHHHHH2s IIII",
        "dev ino mode nlink uid gid rdev pad size atime mtime ctime",
    ),
    "i386_stat": (
        "=IIHHHH IIII IIIIII 8s",
        f"dev ino mode nlink uid gid rdev size blksize blocks {_TIMES} rest",
    ),
    "i386_stat64": (
        "=Q4sIIIIIQ4sqIq IIIIII Q",
        f"dev pad short_ino mode nlink uid gid rdev pad3 size blksize blocks {_TIMES} ino",
    ),
    "statx": (
        "=IIQIIIH2sQQQQ 16s16s16s16s IIII Q 104s",
        "mask blksize attributes nlink uid gid mode pad ino size blocks attributes_mask "
        "atime btime ctime mtime rdev_major rdev_minor dev_major dev_minor mnt_id rest",
    ),
}

VOLATILE = frozenset(
    f"dev dev_major dev_minor ino short_ino blksize blocks mnt_id btime pad pad3 {_TIMES}".split()
)
"""What differs between any two files, or means nothing (the kernel leaves some padding alone)."""


def layout_size(variant: str) -> int:
    """Bytes in a layout."""
    return struct.calcsize(LAYOUTS[variant][0])


def decode(variant: str, data: bytes) -> dict[str, Any]:
    """The fields of attributes handed out in a layout."""
    form, names = LAYOUTS[variant]
    return dict(zip(names.split(), struct.unpack(form, data), strict=True))


def encode_device(major: int, minor: int) -> int:
    """A device number as mknod(2) takes it and stat(2) shows it (new_encode_dev())."""
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


@dataclass(slots=True)
class Result:
    """What a call returned.  ``variant`` tells how its buffer is to be read."""

    name: str
    arguments: Sequence[Argument]
    value: int
    error: int
    buffers: dict[int, bytes]
    intact: bool
    variant: str

    @property
    def call(self) -> str:
        """The call as C source would have it, nearly."""
        return f"{self.name}({', '.join(map(_show, self.arguments))})"

    @property
    def outcome(self) -> str:
        """The name of the error, or the value."""
        if self.value == -1 and self.error:
            return errno.errorcode.get(self.error, str(self.error))
        return str(self.value)

    @property
    def attributes(self) -> dict[str, Any]:
        """What a stat call shows."""
        assert self.error == 0, f"{self.call}: {self.outcome}"
        (data,) = (data for data in self.buffers.values())
        return decode(self.variant, data)

    def comparable(self) -> tuple[str, bool, object]:
        """What must be the same for real root and for fake root."""
        if self.error:
            # How much of a buffer is written before it turns out bad is nobody's promise.
            return self.outcome, self.intact, None
        if not self.variant:
            return self.outcome, self.intact, self.buffers
        shown: list[object] = []
        for data in self.buffers.values():
            if len(data) != layout_size(self.variant):
                shown.append(len(data))
                continue
            fields = decode(self.variant, data)
            shown.append(
                {
                    name: f"{value:o}" if name == "mode" else value
                    for name, value in fields.items()
                    if name not in VOLATILE
                    and not (name == "size" and stat.S_ISDIR(fields["mode"]))
                }
            )
        return self.outcome, self.intact, shown


@functools.cache
def row_of(abi: Abi, name: str) -> Syscall | None:
    """The table's row for a name that is unique in an ABI."""
    found = [row for row in TABLE if row.name == name and row.number(abi) is not None]
    return found[0] if found else None


def rows_of(abi: Abi, family: str) -> list[Syscall]:
    """A family's rows in an ABI."""
    return [row for row in TABLE if row.family == family and row.number(abi) is not None]


class Session:
    """A running probe.

    ``call`` issues one call; ``calls`` many at once.  ``ok`` and ``fails`` also
    say what is expected.  Where a call exists in several ABIs under several names,
    the helpers below (``stat``, ``open``...) take the right one.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        abi: Abi,
        directory: Path,
        pipes: tuple[IO[bytes], IO[bytes]] | None = None,
    ) -> None:
        """``pipes``: into and out of the probe, where it is not the process itself."""
        assert process.stdin and process.stdout
        self.process = process
        self.stdin, self.stdout = pipes or (process.stdin, process.stdout)
        self.abi = abi
        self.directory = directory
        self.may_say = ""  # what fakeroot-sc may say on standard error

    def number(self, name: str) -> int:
        row = row_of(self.abi, name)
        if row:
            number = row.number(self.abi)
            assert number is not None
            return number
        return OTHER[name][self.abi is Abi.I386]

    def call(self, call: str | Syscall, *arguments: Argument) -> Result:
        return self.calls([(call, *arguments)])[0]

    def calls(self, calls: Iterable[tuple[Any, ...]]) -> list[Result]:
        """Issues calls, each given as (name or row, arguments...)."""
        results: list[Result] = []
        batch: list[Order] = []
        for call, *arguments in calls:
            tokens = " ".join(map(_encode, arguments))
            row = row_of(self.abi, call) if isinstance(call, str) else call
            if row is not None:
                name, number = row.name, row.number(self.abi)
            else:
                name, number = call, self.number(call)
            variant = row.variant if row is not None and row.family == "stat" else ""
            batch.append((name, arguments, f"call {number:x} {tokens}\n", variant))
            if len(batch) == 40:  # what comes back must fit into the pipe
                results += self._exchange(batch)
                batch = []
        return results + self._exchange(batch)

    def _exchange(self, batch: Sequence[Order]) -> list[Result]:
        if not batch:
            return []
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write("".join(line for _, _, line, _ in batch).encode())
            self.stdin.flush()
        return [self._result(name, arguments, variant) for name, arguments, _, variant in batch]

    def _result(self, name: str, arguments: Sequence[Argument], variant: str) -> Result:
        line = self.stdout.readline().decode().split()
        if not line:
            assert self.stdout is self.process.stdout, f"{name}: the probe ended"
            status = self.process.wait(PATIENCE)
            assert self.process.stderr
            said = self.process.stderr.read().decode(errors="replace")
            raise AssertionError(f"{name}: the probe ended with status {status}: {said}")
        buffers, intact = {}, True
        for part in line[2:]:
            slot, state, data = part.split(":")
            buffers[int(slot)] = bytes.fromhex(data)
            intact = intact and state == "ok"
        return Result(name, arguments, int(line[0]), int(line[1]), buffers, intact, variant)

    def _order(self, word: str) -> None:
        result = self._exchange([(word, (), word + "\n", "")])[0]
        assert result.value == 0

    def go_on_in_thread(self) -> None:
        """Lets a new thread issue what follows."""
        self._order("thread")

    def go_on_in_child(self) -> None:
        """Lets a new process issue what follows."""
        self._order("fork")

    def go_on_in_parent(self) -> None:
        """Ends the child that issues the calls, or the thread."""
        self._order("exit")

    def execute(self, program: str) -> str:
        """Executes the probe, under that name, in place of itself; returns an errno's name or 0."""
        line = f"exec {_bytes(program).hex()}\n"
        return self._exchange([("execve", (program,), line, "")])[0].outcome

    def ok(self, call: str | Syscall, *arguments: Argument) -> int:
        """A call that must succeed; returns its value."""
        result = self.call(call, *arguments)
        assert result.error == 0 and result.intact, f"{result.call}: {result.outcome}"
        return result.value

    def fails(self, error: int, call: str | Syscall, *arguments: Argument) -> None:
        """A call that must fail with that errno."""
        result = self.call(call, *arguments)
        assert result.outcome == errno.errorcode[error], result.call

    def stat(
        self, path: str | bytes, *, dirfd: int = AT_FDCWD, flags: int = AT_SYMLINK_NOFOLLOW
    ) -> dict[str, Any]:
        """What the usual call shows of a file, a symbolic link itself."""
        name, size = ("newfstatat", 144) if self.abi is Abi.X86_64 else ("fstatat64", 96)
        return self.call(name, dirfd, path, buffer(size), flags).attributes

    def fstat(self, fd: int) -> dict[str, Any]:
        """What the usual call shows of a descriptor."""
        name, size = ("fstat", 144) if self.abi is Abi.X86_64 else ("fstat64", 96)
        return self.call(name, fd, buffer(size)).attributes

    def owner(self, path: str | bytes) -> tuple[int, int]:
        shown = self.stat(path)
        return shown["uid"], shown["gid"]

    def mode(self, path: str | bytes) -> int:
        return int(self.stat(path)["mode"])

    def exists(self, path: str) -> bool:
        name, size = ("newfstatat", 144) if self.abi is Abi.X86_64 else ("fstatat64", 96)
        result = self.call(name, AT_FDCWD, path, buffer(size), AT_SYMLINK_NOFOLLOW)
        assert result.outcome in ("0", "ENOENT"), result
        return result.error == 0

    def chown(self, path: str | bytes, uid: int, gid: int) -> None:
        """lchown with ids of 32 bits."""
        self.ok("fchownat", AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW)

    def open(self, path: str | bytes, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
        # O_LARGEFILE, as every 64-bit process has it.
        return self.ok("openat", AT_FDCWD, path, flags | 0o100000, mode)

    def pipe(self) -> tuple[int, int]:
        result = self.call("pipe2", buffer(8), 0)
        reader, writer = struct.unpack("ii", result.buffers[0])
        return reader, writer

    def socketpair(self) -> tuple[int, int]:
        result = self.call("socketpair", 1, 1, 0, buffer(8))
        one, other = struct.unpack("ii", result.buffers[3])
        return one, other

    def closed_fd(self) -> int:
        """A number that is no descriptor."""
        return 777

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.process.stdin and self.process.stdout and self.process.stderr
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            status = self.process.wait(PATIENCE)
            said = self.process.stderr.read().decode(errors="replace")
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(PATIENCE)
            self.process.stdout.close()
            self.process.stderr.close()
        if kind is None:
            fine = status == 0 and (not said or (self.may_say and self.may_say in said))
            assert fine, f"status {status}, and it says: {said}"


def _show(argument: Argument) -> str:
    if isinstance(argument, Token) and argument[0] in "sxu":
        text = repr(os.fsdecode(bytes.fromhex(argument[2:])))[:60]
        return {"s": "", "x": "across pages ", "u": "unterminated "}[argument[0]] + text
    if isinstance(argument, Token):
        return f"<{argument}>"
    if isinstance(argument, int):
        return str(argument) if -4096 < argument < 10 else f"{argument:#o}"
    return repr(argument)[:60]


@dataclass(frozen=True)
class Probe:
    """The helper program, in one of its builds."""

    path: Path
    abi: Abi
    name: str

    @property
    def changes_mere_paths(self) -> bool:
        """Whether fchown and fchmod take a descriptor opened with O_PATH.

        musl's functions try /proc/self/fd where the kernel says EBADF.
        """
        return self.name.startswith("musl") and self.name in LIBC_BUILDS

    def session(
        self,
        directory: Path,
        *options: str,
        fake: bool = True,
        user: int | None = None,
        groups: Sequence[int] | None = None,
        environment: dict[str, str] | None = None,
    ) -> Session:
        """Starts it in a directory, under fakeroot-sc or bare, as a given user or the same."""
        command = [str(self.path)]
        if fake:
            command = [installed.FAKEROOT_SC, *options, "--", *command]
        identity: dict[str, Any] = {}
        if user is not None:
            identity = {"user": user, "group": user, "extra_groups": groups or []}
        process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            umask=0o022,
            env=environment,
            **identity,
        )
        return Session(process, self.abi, directory)


@contextlib.contextmanager
def sessions_of_one_run(
    probes: Sequence[Probe],
    directory: Path,
    *options: str,
    fake: bool = True,
    user: int | None = None,
) -> Iterator[list[Session]]:
    """Probes in a directory, under the same fakeroot-sc or bare, as a given user or the same."""
    pipes = [(os.pipe(), os.pipe()) for _ in probes[1:]]
    numbers = [number for script, results in pipes for number in (script[0], results[1])]
    closed = " ".join(f"{number}<&-" for number in numbers)
    places = range(2, len(probes) + 1)
    start = " ".join(
        f'"${place}" <&{script[0]} >&{results[1]} {closed} &'
        for place, (script, results) in zip(places, pipes, strict=True)
    )
    # Not sh: dash takes descriptors of one digit.
    command = ["bash", "-c", f'{start} exec "$1" {closed}', "bash", *(one.path for one in probes)]
    if fake:
        command = [installed.FAKEROOT_SC, *options, "--", *command]
    identity: dict[str, Any] = {}
    if user is not None:
        identity = {"user": user, "group": user, "extra_groups": [user]}
    process = subprocess.Popen(
        command,
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        umask=0o022,
        pass_fds=numbers,
        **identity,
    )
    for number in numbers:
        os.close(number)
    with contextlib.ExitStack() as stack:
        outs = [stack.enter_context(os.fdopen(results[0], "rb")) for _, results in pipes]
        first = stack.enter_context(Session(process, probes[0].abi, directory))
        # Closed before the session ends: it waits for all who may write to standard error.
        intos = [stack.enter_context(os.fdopen(script[1], "wb")) for script, _ in pipes]
        yield [
            first,
            *(
                Session(process, probe.abi, directory, one)
                for probe, one in zip(probes[1:], zip(intos, outs, strict=True), strict=True)
            ),
        ]


PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Build:
    """How a probe is built.  ``calls``: "raw" or "libc", see programs/issue_*.c."""

    abi: Abi
    compiler: tuple[str, ...]
    calls: str
    needs: str


_GCC = "cc (gcc)"
_GCC_32 = "cc -m32 (gcc-multilib)"
_MUSL = "musl-gcc (musl-tools)"
_FILES_64 = "-D_FILE_OFFSET_BITS=64"
_TIMES_64 = "-D_TIME_BITS=64"
_OLD = "-DOLD_FORMS"

RAW_BUILDS = {
    "x86-64-static": Build(Abi.X86_64, ("cc", "-static"), "raw", "cc -static (libc6-dev)"),
    "x86-64-dynamic": Build(Abi.X86_64, ("cc",), "raw", _GCC),
    "musl-static": Build(Abi.X86_64, ("musl-gcc", "-static"), "raw", _MUSL),
    "i386-static": Build(Abi.I386, ("cc", "-m32", "-static"), "raw", "cc -m32 (libc6-dev-i386)"),
}
LIBC_BUILDS = {
    "x86-64-libc": Build(Abi.X86_64, ("cc",), "libc", _GCC),
    "x86-64-libc-files64": Build(Abi.X86_64, ("cc", _FILES_64), "libc", _GCC),
    "x86-64-old-libc": Build(Abi.X86_64, ("cc", _OLD), "libc", _GCC),
    "x86-64-old-libc-files64": Build(Abi.X86_64, ("cc", _OLD, _FILES_64), "libc", _GCC),
    "musl-libc": Build(Abi.X86_64, ("musl-gcc",), "libc", _MUSL),
    "musl-old-libc": Build(Abi.X86_64, ("musl-gcc", _OLD), "libc", _MUSL),
    "i386-libc": Build(Abi.I386, ("cc", "-m32", _FILES_64), "libc", _GCC_32),
    "i386-libc-files32": Build(Abi.I386, ("cc", "-m32"), "libc", _GCC_32),
    "i386-libc-times64": Build(Abi.I386, ("cc", "-m32", _FILES_64, _TIMES_64), "libc", _GCC_32),
    "i386-old-libc": Build(Abi.I386, ("cc", "-m32", _OLD, _FILES_64), "libc", _GCC_32),
    "i386-old-libc-files32": Build(Abi.I386, ("cc", "-m32", _OLD), "libc", _GCC_32),
}
BUILDS = RAW_BUILDS | LIBC_BUILDS


class CannotBuild(Exception):
    """A tool is missing; the text names it."""


def compile_for(build: Build, target: Path, *arguments: str | Path) -> None:
    """Compiles what shall run in, or as, a build's probe.  CannotBuild for want of a compiler."""
    # Its own temporary directory: the compiler's would be named by a foreign TMPDIR.
    environment = {**os.environ, "TMPDIR": str(target.parent)}
    try:
        done = subprocess.run(
            [*build.compiler, "-O1", "-D_GNU_SOURCE", "-pthread", "-o", target, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment,
            check=False,
        )
    except FileNotFoundError as error:
        raise CannotBuild(f"{build.needs} is missing: {error}") from error
    if done.returncode != 0:
        raise CannotBuild(f"{build.needs} is missing: {done.stderr.strip()[-200:]}")


def build_probe(name: str, directory: Path) -> Probe:
    """Compiles the probe, unless another process has.

    CannotBuild where this machine has not what it takes.
    """
    build, target = BUILDS[name], directory / f"probe-{name}"
    with (directory / f"{name}.lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not target.exists():
            made = directory / f"new-{name}"
            compile_for(build, made, PROGRAMS / "probe.c", PROGRAMS / f"issue_{build.calls}.c")
            made.chmod(0o755)
            made.rename(target)
    try:  # without a line to read: whether there is a dynamic loader and a kernel for it
        subprocess.run([target], stdin=subprocess.DEVNULL, timeout=PATIENCE, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotBuild(f"what {build.needs} builds does not run here: {error}") from error
    return Probe(target, build.abi, name)


def populate(directory: Path) -> None:
    """Makes the tree that most tests start from."""
    (directory / "file").write_bytes(b"hello")
    (directory / "file").chmod(0o644)
    (directory / "other").write_bytes(b"")
    (directory / "other").chmod(0o600)
    (directory / "tool").write_bytes(b"#!/bin/sh\n")
    (directory / "tool").chmod(0o755)
    (directory / "hard").hardlink_to(directory / "file")
    (directory / "dir").mkdir(mode=0o755)
    (directory / "dir" / "inside").write_bytes(b"1")
    (directory / "dir" / "inside").chmod(0o644)
    (directory / "empty").mkdir(mode=0o755)
    (directory / "link").symlink_to("file")
    (directory / "dirlink").symlink_to("dir")
    (directory / "dangling").symlink_to("missing")
    (directory / "loop").symlink_to("loop")
    os.mkfifo(directory / "fifo", 0o644)
    os.mknod(directory / "socket", stat.S_IFSOCK | 0o644)


TREE = (
    ".", "file", "other", "tool", "hard", "dir", "dir/inside", "empty", "link", "dirlink",
    "dangling", "loop", "fifo", "socket",
)  # fmt: skip
"""Every name that populate() makes."""


def populate_few(directory: Path) -> None:
    """Makes a tree of few files, that random calls meet often."""
    (directory / "a").write_bytes(b"a")
    (directory / "a").chmod(0o644)
    (directory / "b").hardlink_to(directory / "a")
    (directory / "d").mkdir(mode=0o755)
    (directory / "d" / "x").write_bytes(b"xx")
    (directory / "d" / "x").chmod(0o755)
    (directory / "e").mkdir(mode=0o755)
    (directory / "l").symlink_to("a")
    (directory / "ld").symlink_to("d")
    os.mkfifo(directory / "p", 0o644)


FEW = ("a", "b", "d", "d/x", "d/y", "e", "l", "ld", "p", "n", "f/..")
"""The names that populate_few() makes, and some that it does not."""


def everything_below(directory: Path) -> Iterator[Path]:
    """All files of a tree, itself included."""
    yield directory
    yield from directory.rglob("*")
