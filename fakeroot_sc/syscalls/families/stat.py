"""How a file looks: stat(2), statx(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import (
    AT_EMPTY_PATH,
    AT_NO_AUTOMOUNT,
    AT_STATX_SYNC_TYPE,
    AT_SYMLINK_NOFOLLOW,
    Subject,
    Syscall,
)


def rows() -> Iterator[Syscall]:
    reason = "shows the remembered owner, mode, type and device number"

    def row(name: str, arguments: tuple[str, ...], variant: str, **more: object) -> Syscall:
        subject = Subject.DESCRIPTOR if arguments[0] == "fd" else Subject.FILE
        return Syscall(
            name=name,
            family="stat",
            operation="stat",
            arguments=arguments,
            variant=variant,
            subject=subject,
            passes=True,
            reason=reason,
            **more,  # type: ignore[arg-type]
        )

    for name, variant, x86_64, i386 in (
        ("stat", "stat", 4, None),
        ("lstat", "stat", 6, None),
        ("fstat", "stat", 5, None),
        ("oldstat", "i386_oldstat", None, 18),
        ("oldlstat", "i386_oldstat", None, 84),
        ("oldfstat", "i386_oldstat", None, 28),
        ("stat", "i386_stat", None, 106),
        ("lstat", "i386_stat", None, 107),
        ("fstat", "i386_stat", None, 108),
        ("stat64", "i386_stat64", None, 195),
        ("lstat64", "i386_stat64", None, 196),
        ("fstat64", "i386_stat64", None, 197),
    ):
        if "fstat" in name:
            yield row(name, ("fd", "buffer"), variant, x86_64=x86_64, i386=i386)
            continue
        implied = AT_NO_AUTOMOUNT | (AT_SYMLINK_NOFOLLOW if "lstat" in name else 0)
        yield row(
            name, ("path", "buffer"), variant, implied_flags=implied, x86_64=x86_64, i386=i386
        )

    accepted = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE
    at = ("dirfd", "path", "buffer", "flags")
    yield row("newfstatat", at, "stat", x86_64=262, accepted_flags=accepted)
    yield row("fstatat64", at, "i386_stat64", i386=300, accepted_flags=accepted)
    yield row(
        "statx",
        ("dirfd", "path", "flags", "mask", "buffer"),
        "statx",
        x86_64=332,
        i386=383,
        accepted_flags=accepted,
    )
