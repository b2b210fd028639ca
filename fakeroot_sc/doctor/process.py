"""What a process here has: /proc, limits."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

from fakeroot_sc.doctor.finding import Finding, Verdict, good
from fakeroot_sc.syscalls.families.limits import RLIMIT_LOCKS

DESCRIPTORS_LEAST = 64


def _proc() -> Finding:
    name, mount = "/proc", "mount -t proc proc /proc, in the same PID namespace"
    try:
        told = os.readlink("/proc/self")
    except OSError as error:
        return Finding(name, Verdict.MISSING, error.strerror or "", "no run starts", mount)
    if told != str(os.getpid()):
        return Finding(
            name,
            Verdict.MISSING,
            f"it is of another PID namespace: this process is {os.getpid()} and {told} there",
            "processes cannot be found in it",
            f"{mount}; unshare --mount-proc, bwrap --proc /proc",
        )
    return good(name, "mounted, and of this PID namespace")


def look() -> Iterator[Finding]:
    """This process's part."""
    yield _proc()
    locks = resource.getrlimit(RLIMIT_LOCKS)[1]
    if locks != resource.RLIM_INFINITY:
        yield Finding(
            "ulimit -x",
            Verdict.LIMITED,
            f"at most {locks} locks",
            "setuid(2) and its kin fail inside (EAGAIN): who a process is told to be is kept there",
            "ulimit -Hx unlimited, by whoever set the limit",
        )
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 <= descriptors < DESCRIPTORS_LEAST:
        yield Finding(
            "ulimit -n",
            Verdict.LIMITED,
            f"at most {descriptors} descriptors",
            "few calls can be answered at a time",
            "a higher limit (1024 is usual)",
        )
