"""What a process is told of its credentials: getuid(2), getresuid(2), getgroups(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import Syscall


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

    triple = ("real", "effective", "saved")
    groups = ("size", "list")
    for name, arguments, x86_64, ids16, ids32 in (
        ("getuid", (), 102, 24, 199),
        ("getgid", (), 104, 47, 200),
        ("geteuid", (), 107, 49, 201),
        ("getegid", (), 108, 50, 202),
        ("getresuid", triple, 118, 165, 209),
        ("getresgid", triple, 120, 171, 211),
        ("getgroups", groups, 115, 80, 205),
    ):
        yield row(name, name, arguments, x86_64=x86_64, variant="ids32")
        yield row(name, name, arguments, i386=ids16, variant="ids16")
        yield row(name + "32", name, arguments, i386=ids32, variant="ids32")
