"""What the kernel has, and lets this process use: found in children that try it."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator

from fakeroot_sc import bpf
from fakeroot_sc.doctor.finding import Finding, Verdict, good
from fakeroot_sc.doctor.surroundings import Surroundings, advice
from fakeroot_sc.syscalls.families.sandboxes import SECCOMP_SET_MODE_FILTER

SYS_SECCOMP = 317
SYS_UNSHARE = 272
SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 32
NOTIF_SET_FLAGS = 0x40082104
NOTIF_ADDFD = 0x40182103
ADDFD_FLAG_SEND = 2
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
NO_CALL = 0x7FFF_FFFF
"""A number that no call has: the trial filter traps it alone."""

_TRIAL = (
    bpf.Instruction(bpf.LD | bpf.W | bpf.ABS, k=bpf.OFFSET_NR),
    bpf.Instruction(bpf.JMP | bpf.JEQ | bpf.K, jt=0, jf=1, k=NO_CALL),
    bpf.Instruction(bpf.RET | bpf.K, k=bpf.RET_USER_NOTIF),
    bpf.Instruction(bpf.RET | bpf.K, k=bpf.RET_ALLOW),
)

UNKNOWN = -1
"""In the place of an errno: the child was killed before it could tell."""


def _in_child(act: Callable[[], int]) -> int:
    """The errno that ``act`` gives in a child process, or UNKNOWN."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        number = UNKNOWN
        try:
            number = act()
        finally:
            os.write(writer, struct.pack("i", number))
            os._exit(0)
    os.close(writer)
    told = os.read(reader, 4)
    os.close(reader)
    os.waitpid(child, 0)
    return int(struct.unpack("i", told)[0]) if len(told) == 4 else UNKNOWN


def _call(*arguments: object) -> int:
    """syscall(2): its value, or a negative errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    value = libc.syscall(*arguments)
    return -ctypes.get_errno() if value < 0 else value


def _listen(flags: int) -> int:
    """A listener of a filter that traps nothing, or a negative errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return -ctypes.get_errno()
    text = ctypes.create_string_buffer(bpf.pack(_TRIAL))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(_TRIAL), ctypes.addressof(text)))
    return _call(
        ctypes.c_long(SYS_SECCOMP),
        ctypes.c_long(SECCOMP_SET_MODE_FILTER),
        ctypes.c_long(flags | SECCOMP_FILTER_FLAG_NEW_LISTENER),
        program,
    )


def _try_listener(flags: int = 0) -> int:
    return max(-_listen(flags), 0)


def _try_request(request: int, argument: int | bytes) -> int:
    import fcntl

    listener = _listen(0)
    if listener < 0:
        return -listener
    try:
        fcntl.ioctl(listener, request, argument)
    except OSError as error:
        return error.errno or UNKNOWN
    return 0


def _why(number: int) -> str:
    return "the trial was killed" if number == UNKNOWN else os.strerror(number)


def _listener(found: list[Surroundings]) -> Finding:
    name, number = "seccomp listener", _in_child(_try_listener)
    if number == 0:
        return good(name, "seccomp(2) gives one")
    cost = "calls stop under ptrace: several times slower for what the shim cannot answer"
    what = f"refused: {_why(number)}"
    if number == errno.EBUSY:
        what = "another supervisor listens to this process already"
    otherwise = "allow seccomp(2) with SECCOMP_FILTER_FLAG_NEW_LISTENER (Linux 5.5) in the sandbox"
    return Finding(name, Verdict.SLOWER, what, cost, advice(found, "seccomp", otherwise))


def _refinements() -> Iterator[Finding]:
    """What makes a listener better; asked only where one can be had."""
    waits = _in_child(lambda: _try_listener(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV))
    if waits:
        yield Finding(
            "interruptions",
            Verdict.LIMITED,
            "no SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19)",
            "handlers that were set without SA_RESTART interrupt trapped calls more often",
            "a newer kernel",
        )
    addfd = struct.pack("=QIIII", 0, ADDFD_FLAG_SEND, 0, 0, 0)
    if _in_child(lambda: _try_request(NOTIF_ADDFD, addfd)) in (errno.EINVAL, errno.ENOTTY):
        yield Finding(
            "descriptors in one step",
            Verdict.LIMITED,
            "no SECCOMP_ADDFD_FLAG_SEND (Linux 5.14)",
            "a signal may interrupt the creation of a file after it has been made",
            "a newer kernel",
        )
    if _in_child(lambda: _try_request(NOTIF_SET_FLAGS, 1)):
        yield Finding(
            "wake-ups",
            Verdict.SLOWER,
            "no SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (Linux 6.6)",
            "a notification takes some three times as long",
            "a newer kernel",
        )
    else:
        yield good("wake-ups", "a notification hands its processor over (Linux 6.6)")


def _yama() -> Finding | None:
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
            scope = int(file.read())
    except (OSError, ValueError):
        return None
    if scope < 2:
        return good("Yama", f"kernel.yama.ptrace_scope {scope}: a parent may read its children")
    return Finding(
        "Yama",
        Verdict.MISSING if os.geteuid() else Verdict.NOTED,
        f"kernel.yama.ptrace_scope {scope}: only "
        + ("an administrator" if scope == 2 else "nobody")
        + " may read another process's memory",
        "the supervisor cannot read the arguments of calls",
        "as administrator: sysctl kernel.yama.ptrace_scope=1",
    )


def _user_namespaces() -> Finding:
    number = _in_child(
        lambda: max(-_call(ctypes.c_long(SYS_UNSHARE), ctypes.c_long(CLONE_NEWUSER)), 0)
    )
    if number == 0:
        return good("user namespaces", "open (not needed)")
    return Finding("user namespaces", Verdict.NOTED, f"closed: {_why(number)}", "none: not needed")


def look(found: list[Surroundings]) -> Iterator[Finding]:
    """The kernel's part."""
    system = os.uname()
    name = f"{system.sysname} {system.release}, {system.machine}"
    if system.machine != "x86_64":
        yield Finding("machine", Verdict.MISSING, name, "fakeroot-sc serves x86-64 alone")
    else:
        yield good("machine", name)
    listener = _listener(found)
    yield listener
    if listener.verdict is Verdict.GOOD:
        yield from _refinements()
    yama = _yama()
    if yama:
        yield yama
    yield _user_namespaces()
