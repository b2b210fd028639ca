"""Programs: execve(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import (
    AT_EMPTY_PATH,
    AT_SYMLINK_NOFOLLOW,
    Subject,
    Syscall,
)


def rows() -> Iterator[Syscall]:
    reason = "goes to the kernel; LD_PRELOAD is made to fit the program"
    vectors = ("arguments", "environment")
    for name, arguments, accepted, x86_64, x32_own, i386 in (
        ("execve", ("path", *vectors), 0, 59, 520, 11),
        (
            "execveat",
            ("dirfd", "path", *vectors, "flags"),
            AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH,
            322,
            545,
            358,
        ),
    ):
        yield Syscall(
            name=name,
            family="executions",
            operation="exec",
            arguments=arguments,
            subject=Subject.FILE,
            accepted_flags=accepted,
            x86_64=x86_64,
            x32_own=x32_own,
            i386=i386,
            reason=reason,
        )
