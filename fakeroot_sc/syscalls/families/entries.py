"""Directory entries that go: unlink(2), rmdir(2), rename(2); and linkat(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import (
    AT_EMPTY_PATH,
    AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW,
    Masked,
    Subject,
    Syscall,
    any_bit,
)

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2


def rows() -> Iterator[Syscall]:
    reason = "retires the record of a file whose last link has gone"

    def row(name: str, operation: str, arguments: tuple[str, ...], **more: object) -> Syscall:
        return Syscall(
            name=name,
            family="entries",
            operation=operation,
            arguments=arguments,
            subject=Subject.ENTRY,
            passes=True,
            reason=reason,
            **more,  # type: ignore[arg-type]
        )

    yield row("unlink", "unlink", ("path",), x86_64=87, i386=10)
    yield row("rmdir", "unlink", ("path",), x86_64=84, i386=40, implied_flags=AT_REMOVEDIR)
    yield row(
        "unlinkat",
        "unlink",
        ("dirfd", "path", "flags"),
        x86_64=263,
        i386=301,
        accepted_flags=AT_REMOVEDIR,
    )
    pair = ("dirfd", "path", "new_dirfd", "new_path")
    yield row("rename", "rename", ("path", "new_path"), x86_64=82, i386=38)
    yield row("renameat", "rename", pair, x86_64=264, i386=302)
    yield row(
        "renameat2",
        "rename",
        (*pair, "flags"),
        x86_64=316,
        i386=353,
        traps=(Masked("flags", RENAME_NOREPLACE | RENAME_EXCHANGE, 0),),
    )
    yield Syscall(
        name="linkat",
        family="entries",
        operation="link",
        arguments=(*pair, "flags"),
        subject=Subject.FILE,
        traps=any_bit("flags", AT_EMPTY_PATH | AT_SYMLINK_FOLLOW),
        passes=True,
        x86_64=265,
        i386=303,
        reason="root gives what is open a name, and its record lasts; other links are the kernel's",
    )
