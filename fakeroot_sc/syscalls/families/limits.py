"""getrlimit(2) and its kin, of the one limit that carries the fake credentials' tag."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import Masked, Syscall

RLIMIT_LOCKS = 10


def rows() -> Iterator[Syscall]:
    pair = ("resource", "limits")
    for name, operation, arguments, variant, x86_64, i386 in (
        ("getrlimit", "getrlimit", pair, "rlimit64", 97, None),
        ("getrlimit", "getrlimit", pair, "rlimit_signed", None, 76),
        ("ugetrlimit", "getrlimit", pair, "rlimit32", None, 191),
        ("setrlimit", "setrlimit", pair, "rlimit64", 160, None),
        ("setrlimit", "setrlimit", pair, "rlimit32", None, 75),
        ("prlimit64", "prlimit", ("pid", "resource", "limits", "old_limits"), "rlimit64",
         302, 340),
    ):  # fmt: skip
        yield Syscall(
            name=name,
            family="limits",
            operation=operation,
            arguments=arguments,
            variant=variant,
            traps=(Masked("resource", 0xFFFF_FFFF, RLIMIT_LOCKS),),
            passes=operation == "prlimit",
            x86_64=x86_64,
            i386=i386,
            reason="of RLIMIT_LOCKS, which nothing heeds, shows what the session started with",
        )
