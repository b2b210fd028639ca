"""What a process is told of its credentials: getuid(2), getresuid(2), getgroups(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import (
    Syscall,
)


def rows() -> Iterator[Syscall]:
    reason = "answers with the fake credentials of the process"

    def row(name: str, operation: str, arguments: tuple[str, ...], **more: object) -> Syscall:
        return Syscall(
            name=name,
            family="ids",
            operation=operation,
            arguments=arguments,
            passes=True,
            reason=reason,
            **more,  # type: ignore[arg-type]
        )

    for name, x86_64, ids16, ids32 in (
        ("getuid", 102, 24, 199),
        ("getgid", 104, 47, 200),
        ("geteuid", 107, 49, 201),
        ("getegid", 108, 50, 202),
    ):
        yield row(name, "getid", (), x86_64=x86_64, variant="ids32")
        yield row(name, "getid", (), i386=ids16, variant="ids16")
        yield row(name + "32", "getid", (), i386=ids32, variant="ids32")
    for name, x86_64, ids16, ids32 in (("getresuid", 118, 165, 209), ("getresgid", 120, 171, 211)):
        triple = ("real", "effective", "saved")
        yield row(name, "getresid", triple, x86_64=x86_64, variant="ids32")
        yield row(name, "getresid", triple, i386=ids16, variant="ids16")
        yield row(name + "32", "getresid", triple, i386=ids32, variant="ids32")
    groups = ("size", "list")
    yield row("getgroups", "getgroups", groups, x86_64=115, variant="ids32")
    yield row("getgroups", "getgroups", groups, i386=80, variant="ids16")
    yield row("getgroups32", "getgroups", groups, i386=205, variant="ids32")
