"""What changes how paths lead: chroot(2), mount(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import Subject, Syscall


def rows() -> Iterator[Syscall]:
    reason = "goes to the kernel; paths are resolved by the target's own root from then on"
    for name, x86_64, i386 in (
        ("pivot_root", 155, 217),
        ("mount", 165, 21),
        ("umount", None, 22),
        ("umount2", 166, 52),
        ("move_mount", 429, 429),
        ("setns", 308, 346),
        ("mount_setattr", 442, 442),
        ("open_tree_attr", 467, 467),
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
    yield Syscall(
        name="chroot",
        family="views",
        operation="chroot",
        arguments=("path",),
        subject=Subject.FILE,
        x86_64=161,
        i386=61,
        reason="to the root that the process has anyway it succeeds; any other goes to the kernel",
    )
