"""What a process may do with a file: access(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import (
    AT_EACCESS,
    AT_EMPTY_PATH,
    AT_SYMLINK_NOFOLLOW,
    Subject,
    Syscall,
    any_bit,
)

ACCESS_MODES = 0o7


def rows() -> Iterator[Syscall]:
    for name, arguments, x86_64, i386, accepted in (
        ("access", ("path", "mode"), 21, 33, 0),
        ("faccessat", ("dirfd", "path", "mode"), 269, 307, 0),
        (
            "faccessat2",
            ("dirfd", "path", "mode", "flags"),
            439,
            439,
            AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH,
        ),
    ):
        yield Syscall(
            name=name,
            family="access",
            operation="access",
            arguments=arguments,
            subject=Subject.FILE,
            accepted_flags=accepted,
            # Not with F_OK: everybody gets the same answer, and builds ask it often.
            traps=any_bit("mode", ACCESS_MODES),
            passes=True,
            x86_64=x86_64,
            i386=i386,
            reason="answers as it does for root, by the shown mode and the mount",
        )
