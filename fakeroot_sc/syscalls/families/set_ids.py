"""Changes of credentials: setuid(2), setreuid(2), setresuid(2), setfsuid(2), setgroups(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import Syscall


def rows() -> Iterator[Syscall]:
    triple = ("real", "effective", "saved")
    for name, arguments, x86_64, ids16, ids32 in (
        ("setuid", triple[:1], 105, 23, 213),
        ("setgid", triple[:1], 106, 46, 214),
        ("setreuid", triple[:2], 113, 70, 203),
        ("setregid", triple[:2], 114, 71, 204),
        ("setresuid", triple, 117, 164, 208),
        ("setresgid", triple, 119, 170, 210),
        ("setfsuid", triple[:1], 122, 138, 215),
        ("setfsgid", triple[:1], 123, 139, 216),
        ("setgroups", ("size", "list"), 116, 81, 206),
    ):

        def row(
            full_name: str,
            variant: str,
            operation: str = name,
            arguments: tuple[str, ...] = arguments,
            **number: int,
        ) -> Syscall:
            return Syscall(
                name=full_name,
                family="set_ids",
                operation=operation,
                arguments=arguments,
                variant=variant,
                reason="changes the fake credentials of the thread; the real ones never change",
                **number,  # type: ignore[arg-type]
            )

        yield row(name, "ids32", x86_64=x86_64)
        yield row(name, "ids16", i386=ids16)
        yield row(name + "32", "ids32", i386=ids32)
