"""Extended attributes, xattr(7): setxattr(2), getxattr(2), listxattr(2), removexattr(2)."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, Subject, Syscall

_SHAPES = {
    "setxattr": (("xattr_name", "value", "size", "xattr_flags"), (188, 226),
                 "does what the user may, and remembers the rest"),
    "getxattr": (("xattr_name", "value", "size"), (191, 229),
                 "what is remembered stands in front of what is real"),
    "listxattr": (("value", "size"), (194, 232),
                  "what is remembered stands beside what is real"),
    "removexattr": (("xattr_name",), (197, 235),
                    "does what the user may, and remembers the rest"),
}  # fmt: skip
_AT_SHAPES = {
    "setxattr": (("xattr_name", "xattr_args", "size"), 463),
    "getxattr": (("xattr_name", "xattr_args", "size"), 464),
    "listxattr": (("value", "size"), 465),
    "removexattr": (("xattr_name",), 466),
}
"""Linux 6.13."""


def rows() -> Iterator[Syscall]:
    for operation, (arguments, (x86_64, i386), reason) in _SHAPES.items():
        for step, (prefix, target, implied) in enumerate(
            (("", "path", 0), ("l", "path", AT_SYMLINK_NOFOLLOW), ("f", "fd", 0))
        ):
            yield Syscall(
                name=prefix + operation,
                family="xattr",
                operation=operation,
                arguments=(target, *arguments),
                subject=Subject.DESCRIPTOR if target == "fd" else Subject.FILE,
                implied_flags=implied,
                passes=operation != "removexattr",
                x86_64=x86_64 + step,
                i386=i386 + step,
                reason=reason,
            )
    for operation, (arguments, number) in _AT_SHAPES.items():
        yield Syscall(
            name=operation + "at",
            family="xattr",
            operation=operation,
            arguments=("dirfd", "path", "flags", *arguments),
            subject=Subject.FILE,
            accepted_flags=AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH,
            x86_64=number,
            i386=number,
            reason=_SHAPES[operation][2],
        )
