"""What changes how paths lead: chroot(2), mount(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import (
    Syscall,
)


def rows() -> Iterator[Syscall]:
    reason = "goes to the kernel; paths are resolved by the target's own root from then on"
    for name, x86_64, i386 in (
        ("chroot", 161, 61),
        ("pivot_root", 155, 217),
        ("mount", 165, 21),
        ("umount", None, 22),
        ("umount2", 166, 52),
        ("move_mount", 429, 429),
        ("setns", 308, 346),
    ):
        yield Syscall(
            name=name,
            family="views",
            operation="view",
            arguments=(),
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )
