"""Whose a file is: chown(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import (
    AT_EMPTY_PATH,
    AT_SYMLINK_NOFOLLOW,
    Subject,
    Syscall,
)


def rows() -> Iterator[Syscall]:
    reason = "remembers the owner and group; the real ones stay, but the time of change moves"
    shapes = {
        "chown": (("path", "uid", "gid"), Subject.FILE, 0),
        "lchown": (("path", "uid", "gid"), Subject.FILE, AT_SYMLINK_NOFOLLOW),
        "fchown": (("fd", "uid", "gid"), Subject.DESCRIPTOR, 0),
    }
    for name, x86_64, i386, ids in (
        ("chown", 92, None, "ids32"),
        ("lchown", 94, None, "ids32"),
        ("fchown", 93, None, "ids32"),
        ("chown", None, 182, "ids16"),
        ("lchown", None, 16, "ids16"),
        ("fchown", None, 95, "ids16"),
        ("chown32", None, 212, "ids32"),
        ("lchown32", None, 198, "ids32"),
        ("fchown32", None, 207, "ids32"),
    ):
        arguments, subject, implied = shapes[name.removesuffix("32")]
        yield Syscall(
            name=name,
            family="chown",
            operation="chown",
            arguments=arguments,
            subject=subject,
            variant=ids,
            implied_flags=implied,
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )
    yield Syscall(
        name="fchownat",
        family="chown",
        operation="chown",
        arguments=("dirfd", "path", "uid", "gid", "flags"),
        subject=Subject.FILE,
        variant="ids32",
        accepted_flags=AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH,
        passes=True,
        x86_64=260,
        i386=298,
        reason=reason,
    )
