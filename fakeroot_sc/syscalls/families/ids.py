"""What a process is told of its credentials: getuid(2), getresuid(2), getgroups(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import Syscall


def rows() -> Iterator[Syscall]:
    triple = ("real", "effective", "saved")
    groups = ("size", "list")
    for name, arguments, variant, x86_64, i386 in (
        ("getuid", (), "ids32", 102, None),
        ("getuid", (), "ids16", None, 24),
        ("getuid32", (), "ids32", None, 199),
        ("getgid", (), "ids32", 104, None),
        ("getgid", (), "ids16", None, 47),
        ("getgid32", (), "ids32", None, 200),
        ("geteuid", (), "ids32", 107, None),
        ("geteuid", (), "ids16", None, 49),
        ("geteuid32", (), "ids32", None, 201),
        ("getegid", (), "ids32", 108, None),
        ("getegid", (), "ids16", None, 50),
        ("getegid32", (), "ids32", None, 202),
        ("getresuid", triple, "ids32", 118, None),
        ("getresuid", triple, "ids16", None, 165),
        ("getresuid32", triple, "ids32", None, 209),
        ("getresgid", triple, "ids32", 120, None),
        ("getresgid", triple, "ids16", None, 171),
        ("getresgid32", triple, "ids32", None, 211),
        ("getgroups", groups, "ids32", 115, None),
        ("getgroups", groups, "ids16", None, 80),
        ("getgroups32", groups, "ids32", None, 205),
    ):
        yield Syscall(
            name=name,
            family="ids",
            operation=name.removesuffix("32"),
            arguments=arguments,
            variant=variant,
            passes=True,
            x86_64=x86_64,
            i386=i386,
            reason="answers with the fake credentials of the process",
        )
