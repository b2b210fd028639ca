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

_LIMITS = "look at the limits of processes, memory and descriptors (ulimit -a)"

_STAGES = {
    "PREPARE": ("cannot start the supervisor", _LIMITS),
    "PROC": ("/proc", "the proc file system must be mounted there: mount -t proc proc /proc"),
    "PIDS": (
        "/proc",
        "it is of another PID namespace, and names other processes by the numbers of this one: "
        "mount one here (unshare --mount-proc, bwrap --proc /proc, mount -t proc proc /proc)",
    ),
    "NO_PRIVS": (
        "prctl(PR_SET_NO_NEW_PRIVS)",
        "a sandbox forbids it: it is what lets an ordinary user install a filter",
    ),
    "TRACE": (
        "ptrace(PTRACE_SEIZE)",
        "a sandbox or kernel.yama.ptrace_scope (2 and 3) forbids tracing one's own children, or "
        "a tracer (strace, gdb) has COMMAND already",
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
        "container's seccomp profile and kernel.yama.ptrace_scope (2 and 3 forbid it)",
    ),
    "OUTSIDE": (
        "a call that is to be faked does not reach the supervisor",
        "a sandbox answers it in its place: use --mode auto or ptrace-all, which sees calls "
        "before it does, or run fakeroot-sc outside of it",
    ),
}

_REFUSED = {
    "statx": "a container profile or sandbox from before Linux 4.11 refuses it: update or amend it",
    "clone3": (
        "a container profile or sandbox refuses it; with ENOSYS in place of that, programs would "
        "use clone(2): update or amend it"
    ),
}
_SANDBOX = "a container profile or sandbox refuses it, which every run needs: allow it there"


def _explain_call(call: str, number: int) -> tuple[str, str]:
    """What has failed, and what to do about that."""
    if number in (errno.EPERM, errno.EACCES, errno.ENOSYS):
        return f"{call}(2)", _REFUSED.get(call, _SANDBOX)
    return f"{call}(2)", _LIMITS


def explain(stage: str, number: int, call: str, command: str) -> tuple[str, int]:
    """(``what: why: what to do``, exit status) for a stage of launch.h, its errno, and the
    system call that was refused, or ""."""
    why = os.strerror(number) if number else "nothing was done"
    if stage == "EXECUTE":
        return f"{command}: {why}", 127 if number == errno.ENOENT else 126
    if stage == "FILTER":
        advice = _FILTER.get(number, _NO_NOTIFICATION)
        return f"cannot install the seccomp filter: {why}: {advice}", TROUBLE
    what, advice = _STAGES[stage]
    if stage == "PIDS":
        why = "not of this PID namespace"
    if stage == "OUTSIDE":
        what = f"{call}(2)"
    elif call:
        what, advice = _explain_call(call, number)
    if number in _SHORTAGES:
        advice = _LIMITS
    if advice is _LIMITS:
        advice = f"{_LIMITS}{_limits()}"
    return f"{what}: {why}: {advice}", TROUBLE


_SHORTAGES = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def _limits() -> str:
    """Those that are set, and can be the reason."""
    try:
        import resource
    except ImportError:  # of which the limits may be the reason, too
        return ""
    found = ""
    kinds = (("v", resource.RLIMIT_AS, 1024), ("d", resource.RLIMIT_DATA, 1024))
    for option, kind, unit in (*kinds, ("u", resource.RLIMIT_NPROC, 1)):
        soft = resource.getrlimit(kind)[0]
        if soft != resource.RLIM_INFINITY:
            found += f", -{option} {soft // unit}"
    return f": here -n {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}{found}"


def explain_lack(error: BaseException) -> str:
    """One line for what ends where memory or descriptors are short, outside of the stages."""
    why = "no memory" if isinstance(error, MemoryError) else str(error)
    return f"cannot start the supervisor: {why}: {_LIMITS}{_limits()}"


def explain_fall_back(mode: str, stage: str, number: int, call: str) -> str:
    """One line: which mode is used in place of a better one, and why."""
    what = "the seccomp filter cannot be installed" if stage == "FILTER" else _STAGES[stage][0]
    if number == errno.EBUSY:
        what = "another supervisor already listens to this process"
    elif stage == "OUTSIDE":
        what = f"a sandbox answers {call}(2) itself"
    if stage == "OUTSIDE" and number == errno.EBUSY:
        what += f" and intercepts {call}(2)"
    cost = "slower" if mode == "ptrace" else "much slower: every system call stops"
    why = os.strerror(number) if number else "nothing was done"
    return f"using --mode {mode} ({cost}; strace and gdb do not work inside): {what}: {why}"
