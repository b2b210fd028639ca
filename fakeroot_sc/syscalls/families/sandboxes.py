"""Filters and tracers: seccomp(2), ptrace(2), clone(2) without the tracer.  prctl(2) is in
:mod:`.capabilities`."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import Masked, Syscall

SECCOMP_SET_MODE_FILTER = 1
CLONE_UNTRACED = 0x0080_0000
PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE = 0, 16, 0x4206


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
    yield Syscall(
        name="ptrace",
        family="sandboxes",
        operation="tracing",
        arguments=("ptrace_request",),
        traps=tuple(
            Masked("ptrace_request", 0xFFFF_FFFF, request)
            for request in (PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE)
        ),
        x86_64=101,
        x32_own=521,
        i386=26,
        reason="goes to the kernel; under --mode ptrace, where it cannot work, a message says so",
    )
    yield Syscall(
        name="clone",
        family="sandboxes",
        operation="untraced",
        arguments=("clone_flags",),
        traps=(Masked("clone_flags", CLONE_UNTRACED, CLONE_UNTRACED),),
        x86_64=56,
        i386=120,
        reason="goes to the kernel; under --mode ptrace without CLONE_UNTRACED, since nobody"
        " would answer the child's calls",
    )
