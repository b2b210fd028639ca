"""Changes of credentials: setuid(2), setreuid(2), setresuid(2), setfsuid(2), setgroups(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import Syscall


def rows() -> Iterator[Syscall]:
    one, pair, triple = ("real",), ("real", "effective"), ("real", "effective", "saved")
    groups = ("size", "list")
    for name, arguments, variant, x86_64, i386 in (
        ("setuid", one, "ids32", 105, None),
        ("setuid", one, "ids16", None, 23),
        ("setuid32", one, "ids32", None, 213),
        ("setgid", one, "ids32", 106, None),
        ("setgid", one, "ids16", None, 46),
        ("setgid32", one, "ids32", None, 214),
        ("setreuid", pair, "ids32", 113, None),
        ("setreuid", pair, "ids16", None, 70),
        ("setreuid32", pair, "ids32", None, 203),
        ("setregid", pair, "ids32", 114, None),
        ("setregid", pair, "ids16", None, 71),
        ("setregid32", pair, "ids32", None, 204),
        ("setresuid", triple, "ids32", 117, None),
        ("setresuid", triple, "ids16", None, 164),
        ("setresuid32", triple, "ids32", None, 208),
        ("setresgid", triple, "ids32", 119, None),
        ("setresgid", triple, "ids16", None, 170),
        ("setresgid32", triple, "ids32", None, 210),
        ("setfsuid", one, "ids32", 122, None),
        ("setfsuid", one, "ids16", None, 138),
        ("setfsuid32", one, "ids32", None, 215),
        ("setfsgid", one, "ids32", 123, None),
        ("setfsgid", one, "ids16", None, 139),
        ("setfsgid32", one, "ids32", None, 216),
        ("setgroups", groups, "ids32", 116, None),
        ("setgroups", groups, "ids16", None, 81),
        ("setgroups32", groups, "ids32", None, 206),
    ):
        yield Syscall(
            name=name,
            family="set_ids",
            operation=name.removesuffix("32"),
            arguments=arguments,
            variant=variant,
            x86_64=x86_64,
            i386=i386,
            reason="changes the fake credentials of the thread; the real ones never change",
        )
