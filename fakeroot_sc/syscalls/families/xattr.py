"""Extended attributes: setxattr(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import (
    AT_SYMLINK_NOFOLLOW,
    Subject,
    Syscall,
)


def rows() -> Iterator[Syscall]:
    reason = (
        "an access ACL that says no more than a mode does is set as chmod would; "
        "everything else goes to the kernel"
    )
    for name, target, implied, x86_64, i386 in (
        ("setxattr", "path", 0, 188, 226),
        ("lsetxattr", "path", AT_SYMLINK_NOFOLLOW, 189, 227),
        ("fsetxattr", "fd", 0, 190, 228),
    ):
        yield Syscall(
            name=name,
            family="xattr",
            operation="set_acl",
            arguments=(target, "xattr_name", "value", "size", "xattr_flags"),
            subject=Subject.DESCRIPTOR if target == "fd" else Subject.FILE,
            implied_flags=implied,
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )
