"""What can keep a run from starting, and what to do about it.

Imported only when something went wrong.
"""

import errno
import os

from fakeroot_sc.plan import TROUBLE

_NO_NOTIFICATION = (
    "fakeroot-sc needs seccomp user notification (Linux 5.5 or newer, CONFIG_SECCOMP_FILTER)"
)

_FILTER = {
    errno.ENOSYS: (
        "the kernel has no seccomp(2), or a sandbox hides it: "
        f"{_NO_NOTIFICATION}; gVisor and old WSL do not have it"
    ),
    errno.EPERM: (
        "a container profile or sandbox forbids seccomp(2): allow it there (Docker's default "
        "profile does), or run with --security-opt seccomp=unconfined"
    ),
    errno.EACCES: ("no_new_privs could not be set: a sandbox forbids prctl(PR_SET_NO_NEW_PRIVS)"),
    errno.EINVAL: f"this kernel refuses user notification: {_NO_NOTIFICATION}",
    errno.EBUSY: (
        "another supervisor already listens to this process (LXD or Incus with system call "
        "interception, a sandbox): there can be only one; use --mode ptrace, turn its "
        "interception off, or run fakeroot-sc outside of it"
    ),
}

_STAGES = {
    "PREPARE": (
        "cannot start the supervisor",
        "look at the limits of processes, memory and descriptors (ulimit -a)",
    ),
    "PROC": ("/proc", "the proc file system must be mounted there: mount -t proc proc /proc"),
    "STATX": (
        "statx(2)",
        "a container profile or sandbox from before Linux 4.11 refuses it: update or amend it",
    ),
    "NO_PRIVS": (
        "prctl(PR_SET_NO_NEW_PRIVS)",
        "a sandbox forbids it: it is what lets an ordinary user install a filter",
    ),
    "TRACE": (
        "ptrace(PTRACE_SEIZE)",
        "a sandbox or kernel.yama.ptrace_scope 3 forbids tracing one's own children, or a "
        "tracer (strace, gdb) has COMMAND already",
    ),
    "HANDOVER": (
        "handing the seccomp listener to the supervisor",
        "a sandbox forbids passing descriptors (sendmsg with SCM_RIGHTS), or killed the process",
    ),
    "RECEIVE": (
        "receiving and answering seccomp notifications",
        "a sandbox forbids their ioctl(2) requests (SECCOMP_IOCTL_NOTIF_RECV, _SEND): allow them",
    ),
    "ANSWER": (
        "the trial call was not answered by the supervisor",
        "a sandbox or tracer answers system calls in its place: run fakeroot-sc outside of it; "
        "--mode ptrace-all needs PTRACE_GET_SYSCALL_INFO (Linux 5.3)",
    ),
    "MEMORY": (
        "cannot read or write the memory of COMMAND",
        "process_vm_readv(2), process_vm_writev(2) or /proc/PID/mem must be allowed: see the "
        "container's seccomp profile and kernel.yama.ptrace_scope (3 forbids it)",
    ),
}


def explain(stage: str, number: int, command: str) -> tuple[str, int]:
    """(``what: why: what to do``, exit status) for a stage of launch.h and its errno."""
    why = os.strerror(number)
    if stage == "EXECUTE":
        return f"{command}: {why}", 127 if number == errno.ENOENT else 126
    if stage == "FILTER":
        advice = _FILTER.get(number, _NO_NOTIFICATION)
        return f"cannot install the seccomp filter: {why}: {advice}", TROUBLE
    what, advice = _STAGES[stage]
    return f"{what}: {why}: {advice}", TROUBLE


def explain_fall_back(mode: str, stage: str, number: int) -> str:
    """One line: which mode is used in place of a better one, and why."""
    what = "the seccomp filter cannot be installed" if stage == "FILTER" else _STAGES[stage][0]
    if number == errno.EBUSY:
        what = "another supervisor already listens to this process"
    cost = "slower" if mode == "ptrace" else "much slower: every system call stops"
    return (
        f"using --mode {mode} ({cost}; strace and gdb do not work inside): "
        f"{what}: {os.strerror(number)}"
    )
