"""What its mode is: chmod(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import (
    AT_EMPTY_PATH,
    AT_SYMLINK_NOFOLLOW,
    Subject,
    Syscall,
)


def rows() -> Iterator[Syscall]:
    reason = "changes the real mode as far as the owner stays able to work, remembers the rest"
    for name, arguments, x86_64, i386, accepted in (
        ("chmod", ("path", "mode"), 90, 15, 0),
        ("fchmod", ("fd", "mode"), 91, 94, 0),
        ("fchmodat", ("dirfd", "path", "mode"), 268, 306, 0),
        (
            "fchmodat2",
            ("dirfd", "path", "mode", "flags"),
            452,
            452,
            AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH,
        ),
    ):
        yield Syscall(
            name=name,
            family="chmod",
            operation="chmod",
            arguments=arguments,
            subject=Subject.DESCRIPTOR if arguments[0] == "fd" else Subject.FILE,
            accepted_flags=accepted,
            passes=True,
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )
