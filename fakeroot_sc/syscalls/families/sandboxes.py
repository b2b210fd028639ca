"""Filters, tracers, namespaces: seccomp(2), ptrace(2), clone(2), unshare(2).  prctl(2) is in
:mod:`.capabilities`."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import Masked, Syscall, any_bit

SECCOMP_SET_MODE_FILTER = 1
CLONE_UNTRACED = 0x0080_0000
CLONE_NEWUSER = 0x1000_0000
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
        operation="clone",
        arguments=("clone_flags",),
        traps=any_bit("clone_flags", CLONE_UNTRACED | CLONE_NEWUSER),
        x86_64=56,
        i386=120,
        reason="goes to the kernel; under --mode ptrace without CLONE_UNTRACED, since nobody"
        " would answer the child's calls; of a user namespace for the child is noted",
    )
    yield Syscall(
        name="clone3",
        family="sandboxes",
        operation="clone3",
        arguments=("clone_args", "size"),
        # No size that the kernel takes. A session with capabilities traps all (namespace.c).
        traps=(Masked("size", 0xFFFF_FFFF, 0xFFFF_FFFF),),
        x86_64=435,
        i386=435,
        reason="goes to the kernel; where the supervisor has real capabilities all are looked at,"
        " and a user namespace for the child is noted",
    )
    yield Syscall(
        name="unshare",
        family="sandboxes",
        operation="namespace",
        arguments=("clone_flags",),
        traps=(Masked("clone_flags", CLONE_NEWUSER, CLONE_NEWUSER),),
        x86_64=272,
        i386=310,
        reason="goes to the kernel; whoever is in another user namespace has no rights by ours",
    )
    yield Syscall(
        name="landlock_restrict_self",
        family="sandboxes",
        operation="landlock",
        arguments=("fd", "landlock_flags"),
        x86_64=446,
        i386=446,
        reason="goes to the kernel; what is done in the thread's place keeps to the same rules",
    )
