"""What makes files: open(2), mkdir(2), symlink(2), mknod(2); and umask(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import Masked, Subject, Syscall, any_bit

O_ACCMODE, O_WRONLY, O_RDWR = 3, 1, 2
O_CREAT = 0o100
O_TMPFILE = 0o20000000
"""Without O_DIRECTORY, which comes with it."""
OWNER = 0o700
SYS_BIND = 2


def _opening() -> Iterator[Syscall]:
    # To write to what is there is seldom, but for new files: it may be a map of ids.
    writes = tuple(Masked("open_flags", O_ACCMODE, mode) for mode in (O_WRONLY, O_RDWR))
    creates = any_bit("open_flags", O_CREAT | O_TMPFILE) + writes
    for name, arguments, traps, x86_64, i386 in (
        ("open", ("path", "open_flags", "mode"), creates, 2, 5),
        ("openat", ("dirfd", "path", "open_flags", "mode"), creates, 257, 295),
        ("creat", ("path", "mode"), (), 85, 8),
        ("openat2", ("dirfd", "path", "how", "size"), (), 437, 437),
    ):
        yield Syscall(
            name=name,
            family="creations",
            operation="open",
            arguments=arguments,
            subject=Subject.FILE,
            traps=traps,
            passes=True,
            x86_64=x86_64,
            i386=i386,
            reason="a new file belongs to the fake ids, and stays open to the user whatever its "
            "mode; root's map of ids is written with the real ones; anything else goes to the "
            "kernel",
        )


def rows() -> Iterator[Syscall]:
    yield from _opening()
    for name, operation, arguments, x86_64, i386, reason in (
        ("mkdir", "mkdir", ("path", "mode"), 83, 39,
         "a new directory belongs to the fake ids; root's own goes to the kernel"),
        ("mkdirat", "mkdir", ("dirfd", "path", "mode"), 258, 296,
         "a new directory belongs to the fake ids; root's own goes to the kernel"),
        ("symlink", "symlink", ("link_target", "path"), 88, 83,
         "a new link belongs to the fake ids; root's own goes to the kernel"),
        ("symlinkat", "symlink", ("link_target", "dirfd", "path"), 266, 304,
         "a new link belongs to the fake ids; root's own goes to the kernel"),
        ("mknod", "mknod", ("path", "mode", "dev"), 133, 14,
         "creates the node; a device becomes an empty regular file and a record"),
        ("mknodat", "mknod", ("dirfd", "path", "mode", "dev"), 259, 297,
         "creates the node; a device becomes an empty regular file and a record"),
    ):  # fmt: skip
        yield Syscall(
            name=name,
            family="creations",
            operation=operation,
            arguments=arguments,
            subject=Subject.ENTRY,
            passes=operation != "mknod",
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )
    yield Syscall(
        name="umask",
        family="creations",
        operation="umask",
        arguments=("mask",),
        traps=any_bit("mask", OWNER),
        x86_64=95,
        i386=60,
        reason="goes to the kernel; new files are looked at from then on",
    )
    for name, socket_arguments, traps, number, number32 in (
        ("bind", ("fd", "address", "size"), (), 49, 361),
        ("socketcall", ("socket_call", "socket_args"),
         (Masked("socket_call", 0xFFFF_FFFF, SYS_BIND),), None, 102),
    ):  # fmt: skip
        yield Syscall(
            name=name,
            family="creations",
            operation="bind",
            arguments=socket_arguments,
            traps=traps,
            passes=name == "bind",
            x86_64=number,
            i386=number32,
            reason="a socket's file belongs to the fake ids; anything else goes to the kernel",
        )
