"""Nodes: mknod(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import (
    Home,
    Subject,
    Syscall,
)


def rows() -> Iterator[Syscall]:
    reason = "creates the node; a device becomes an empty regular file and a record"
    for name, arguments, x86_64, i386 in (
        ("mknod", ("path", "mode", "dev"), 133, 14),
        ("mknodat", ("dirfd", "path", "mode", "dev"), 259, 297),
    ):
        yield Syscall(
            name=name,
            family="mknod",
            operation="mknod",
            home=Home.PYTHON,
            arguments=arguments,
            subject=Subject.ENTRY,
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )
