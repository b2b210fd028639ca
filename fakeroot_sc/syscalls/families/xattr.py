"""Extended attributes, xattr(7): setxattr(2), getxattr(2), listxattr(2), removexattr(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, Subject, Syscall

_REASONS = {
    "setxattr": "does what the user may, and remembers the rest",
    "getxattr": "what is remembered stands in front of what is real",
    "listxattr": "what is remembered stands beside what is real",
    "removexattr": "does what the user may, and remembers the rest",
}


def _of_path_or_descriptor() -> Iterator[Syscall]:
    value = ("xattr_name", "value", "size")
    for name, operation, arguments, x86_64, i386 in (
        ("setxattr", "setxattr", ("path", *value, "xattr_flags"), 188, 226),
        ("lsetxattr", "setxattr", ("path", *value, "xattr_flags"), 189, 227),
        ("fsetxattr", "setxattr", ("fd", *value, "xattr_flags"), 190, 228),
        ("getxattr", "getxattr", ("path", *value), 191, 229),
        ("lgetxattr", "getxattr", ("path", *value), 192, 230),
        ("fgetxattr", "getxattr", ("fd", *value), 193, 231),
        ("listxattr", "listxattr", ("path", "value", "size"), 194, 232),
        ("llistxattr", "listxattr", ("path", "value", "size"), 195, 233),
        ("flistxattr", "listxattr", ("fd", "value", "size"), 196, 234),
        ("removexattr", "removexattr", ("path", "xattr_name"), 197, 235),
        ("lremovexattr", "removexattr", ("path", "xattr_name"), 198, 236),
        ("fremovexattr", "removexattr", ("fd", "xattr_name"), 199, 237),
    ):
        yield Syscall(
            name=name,
            family="xattr",
            operation=operation,
            arguments=arguments,
            subject=Subject.DESCRIPTOR if arguments[0] == "fd" else Subject.FILE,
            implied_flags=AT_SYMLINK_NOFOLLOW if name == "l" + operation else 0,
            passes=operation != "removexattr",
            x86_64=x86_64,
            i386=i386,
            reason=_REASONS[operation],
        )


def _below_a_directory() -> Iterator[Syscall]:
    """Linux 6.13: one number in all ABIs."""
    value = ("xattr_name", "xattr_args", "size")
    for name, operation, arguments, number in (
        ("setxattrat", "setxattr", value, 463),
        ("getxattrat", "getxattr", value, 464),
        ("listxattrat", "listxattr", ("value", "size"), 465),
        ("removexattrat", "removexattr", ("xattr_name",), 466),
    ):
        yield Syscall(
            name=name,
            family="xattr",
            operation=operation,
            arguments=("dirfd", "path", "flags", *arguments),
            subject=Subject.FILE,
            accepted_flags=AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH,
            x86_64=number,
            i386=number,
            reason=_REASONS[operation],
        )


def rows() -> Iterator[Syscall]:
    yield from _of_path_or_descriptor()
    yield from _below_a_directory()
