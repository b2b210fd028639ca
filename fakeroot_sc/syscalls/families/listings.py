"""Directory listings: getdents(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import Subject, Syscall


def rows() -> Iterator[Syscall]:
    for name, variant, x86_64, i386 in (
        ("getdents64", "dirent64", 217, 220),
        ("getdents", "dirent", 78, None),
        ("getdents", "dirent_i386", None, 141),
    ):
        yield Syscall(
            name=name,
            family="listings",
            operation="getdents",
            arguments=("fd", "buffer", "size"),
            subject=Subject.DESCRIPTOR,
            variant=variant,
            passes=True,
            x86_64=x86_64,
            i386=i386,
            reason="shows the type of remembered devices; where there are none, goes to the kernel",
        )
