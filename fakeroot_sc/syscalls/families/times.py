"""Times of files: utimensat(2), utimes(2), utime(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, Subject, Syscall


def rows() -> Iterator[Syscall]:
    path = ("path", "times")
    at = ("dirfd", "path", "times")
    flags = (*at, "flags")
    for name, arguments, variant, x86_64, i386 in (
        ("utimensat", flags, "times_ns64", 280, None),
        ("utimensat", flags, "times_ns32", None, 320),
        ("utimensat_time64", flags, "times_ns64", None, 412),
        ("futimesat", at, "times_us64", 261, None),
        ("futimesat", at, "times_us32", None, 299),
        ("utimes", path, "times_us64", 235, None),
        ("utimes", path, "times_us32", None, 271),
        ("utime", path, "times_s64", 132, None),
        ("utime", path, "times_s32", None, 30),
    ):
        yield Syscall(
            name=name,
            family="times",
            operation="times",
            arguments=arguments,
            variant=variant,
            subject=Subject.FILE,
            accepted_flags=AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH if "flags" in arguments else 0,
            passes=True,
            x86_64=x86_64,
            i386=i386,
            reason="times are real; who has left root is held to the shown owner, and a "
            "remembered capability is kept",
        )
