"""Filters of the program's own: seccomp(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import (
    Masked,
    Syscall,
)

SECCOMP_SET_MODE_FILTER = 1
PR_SET_SECCOMP = 22


def rows() -> Iterator[Syscall]:
    reason = "goes to the kernel; from then on the shim takes care to call nothing unusual"
    for name, arguments, value, x86_64, i386 in (
        ("seccomp", ("seccomp_operation",), SECCOMP_SET_MODE_FILTER, 317, 354),
        ("prctl", ("option",), PR_SET_SECCOMP, 157, 172),
    ):
        yield Syscall(
            name=name,
            family="sandboxes",
            operation="sandbox",
            arguments=arguments,
            traps=(Masked(arguments[0], 0xFFFF_FFFF, value),),
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )
