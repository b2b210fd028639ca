"""Filters of the program's own: seccomp(2).  prctl(2) is in :mod:`.capabilities`."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import Masked, Syscall

SECCOMP_SET_MODE_FILTER = 1


def rows() -> Iterator[Syscall]:
    yield Syscall(
        name="seccomp",
        family="sandboxes",
        operation="sandbox",
        arguments=("seccomp_operation",),
        traps=(Masked("seccomp_operation", 0xFFFF_FFFF, SECCOMP_SET_MODE_FILTER),),
        x86_64=317,
        i386=354,
        reason="goes to the kernel; from then on the shim takes care to call nothing unusual",
    )
