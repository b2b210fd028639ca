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
    by_path = ("path", "buffer")
    by_descriptor = ("fd", "buffer")

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

    follow = AT_NO_AUTOMOUNT
    nofollow = AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW
    for variant, names, numbers in (
        ("stat", ("stat", "lstat", "fstat"), (4, 6, 5)),
        ("i386_oldstat", ("oldstat", "oldlstat", "oldfstat"), (18, 84, 28)),
        ("i386_stat", ("stat", "lstat", "fstat"), (106, 107, 108)),
        ("i386_stat64", ("stat64", "lstat64", "fstat64"), (195, 196, 197)),
    ):
        abi = "x86_64" if variant == "stat" else "i386"
        shapes = ((by_path, follow), (by_path, nofollow), (by_descriptor, 0))
        for name, number, (arguments, implied) in zip(names, numbers, shapes, strict=True):
            yield row(name, arguments, variant, implied_flags=implied, **{abi: number})

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
