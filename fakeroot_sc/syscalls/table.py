"""The one table of system calls.

Everything that must know a system call is derived from the rows below: the
native dispatch (``native/`` by way of :mod:`fakeroot_sc.syscalls.generate`), the
seccomp filters (:mod:`fakeroot_sc.filter`) and ``docs/syscalls.rst``.  A number
or an argument position is written here and nowhere else.

Importing this module imports attrs (41 ms), so a plain run never does: it works
from what the build derived.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

import attrs

X32_SYSCALL_BIT = 0x4000_0000
"""What an x32 program adds to a call's x86-64 number (<asm/unistd.h>)."""


class Abi(enum.Enum):
    """A way into the kernel.

    x32 shares AUDIT_ARCH_X86_64 and is told apart by X32_SYSCALL_BIT.
    """

    X86_64 = "x86_64"
    X32 = "x32"
    I386 = "i386"

    @property
    def audit_arch(self) -> int:
        return 0x4000_0003 if self is Abi.I386 else 0xC000_003E

    @property
    def register_bits(self) -> int:
        return 32 if self is Abi.I386 else 64


class Home(enum.Enum):
    """Who answers: the native loop without the GIL, or a Python handler."""

    NATIVE = "native"
    PYTHON = "python"


class Subject(enum.Enum):
    """How a call names the file it is about."""

    NONE = "none"
    FILE = "file"
    """A path below a directory descriptor, resolved to the file itself."""
    DESCRIPTOR = "descriptor"
    """An open descriptor."""
    ENTRY = "entry"
    """A directory entry: resolved to its directory and last component."""


@attrs.frozen
class Masked:
    """Holds while ``argument & mask == value``; mask is 32 bits wide."""

    argument: str
    mask: int
    value: int


def any_bit(argument: str, mask: int) -> tuple[Masked, ...]:
    """Alternatives that together say ``argument & mask != 0``, which no single one can."""
    bits = [1 << position for position in range(32) if mask >> position & 1]
    return tuple(Masked(argument, bit, bit) for bit in bits)


AT_SYMLINK_NOFOLLOW = 0x100
AT_EACCESS = 0x200
AT_REMOVEDIR = 0x200
AT_SYMLINK_FOLLOW = 0x400
AT_NO_AUTOMOUNT = 0x800
AT_EMPTY_PATH = 0x1000
AT_STATX_SYNC_TYPE = 0x6000
ACCESS_MODES = 0o7
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2


@attrs.frozen
class Syscall:
    """One call in one or more ABIs.

    ``arguments`` are in register order; native code finds a call's path, flags
    or ids by these names.  ``operation`` names the handler: a native operation
    (``native/ops_*.c``) or a function in the Python module of the family.
    ``variant`` selects a data layout among the calls of one operation.
    ``implied_flags`` are the AT_* flags the call has without an argument for
    them, ``accepted_flags`` those its flags argument may carry (else EINVAL).
    ``x32_own`` is the number on x32 where that is not the one on x86-64.
    ``traps`` are alternatives: the call traps while any of them holds, and always if
    there are none.
    ``passes`` says that the shim may make the call itself under the session's
    pass.  ``reason`` is one sentence for docs/syscalls.rst.
    """

    name: str
    family: str
    operation: str
    arguments: tuple[str, ...]
    reason: str
    x86_64: int | None = None
    x32_own: int | None = None
    i386: int | None = None
    home: Home = Home.NATIVE
    subject: Subject = Subject.NONE
    variant: str = ""
    implied_flags: int = 0
    accepted_flags: int = 0
    traps: tuple[Masked, ...] = ()
    passes: bool = False

    @property
    def x32(self) -> int | None:
        """With X32_SYSCALL_BIT.  x32 shares the numbers of most calls; those that take
        pointers in memory have their own (512 to 547)."""
        number = self.x86_64 if self.x32_own is None else self.x32_own
        return None if number is None else number | X32_SYSCALL_BIT

    def number(self, abi: Abi) -> int | None:
        """The number a program of that ABI passes, X32_SYSCALL_BIT included."""
        if abi is Abi.X86_64:
            return self.x86_64
        return self.x32 if abi is Abi.X32 else self.i386

    def position(self, argument: str) -> int:
        """Register index of an argument; ValueError if the call has none so named."""
        return self.arguments.index(argument)


def _stat() -> Iterator[Syscall]:
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


def _access() -> Iterator[Syscall]:
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


def _chown() -> Iterator[Syscall]:
    reason = "remembers the owner and group; the real ones are never touched"
    shapes = {
        "chown": (("path", "uid", "gid"), Subject.FILE, 0),
        "lchown": (("path", "uid", "gid"), Subject.FILE, AT_SYMLINK_NOFOLLOW),
        "fchown": (("fd", "uid", "gid"), Subject.DESCRIPTOR, 0),
    }
    for name, x86_64, i386, ids in (
        ("chown", 92, None, "ids32"),
        ("lchown", 94, None, "ids32"),
        ("fchown", 93, None, "ids32"),
        ("chown", None, 182, "ids16"),
        ("lchown", None, 16, "ids16"),
        ("fchown", None, 95, "ids16"),
        ("chown32", None, 212, "ids32"),
        ("lchown32", None, 198, "ids32"),
        ("fchown32", None, 207, "ids32"),
    ):
        arguments, subject, implied = shapes[name.removesuffix("32")]
        yield Syscall(
            name=name,
            family="chown",
            operation="chown",
            arguments=arguments,
            subject=subject,
            variant=ids,
            implied_flags=implied,
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )
    yield Syscall(
        name="fchownat",
        family="chown",
        operation="chown",
        arguments=("dirfd", "path", "uid", "gid", "flags"),
        subject=Subject.FILE,
        variant="ids32",
        accepted_flags=AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH,
        x86_64=260,
        i386=298,
        reason=reason,
    )


def _chmod() -> Iterator[Syscall]:
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
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )


def _mknod() -> Iterator[Syscall]:
    reason = "creates the node; a device becomes an empty regular file and a record"
    for name, arguments, x86_64, i386 in (
        ("mknod", ("path", "mode", "dev"), 133, 14),
        ("mknodat", ("dirfd", "path", "mode", "dev"), 259, 297),
    ):
        yield Syscall(
            name=name,
            family="mknod",
            operation="mknod",
            home=Home.PYTHON,
            arguments=arguments,
            subject=Subject.ENTRY,
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )


def _ids() -> Iterator[Syscall]:
    reason = "answers with the fake credentials of the process"

    def row(name: str, operation: str, arguments: tuple[str, ...], **more: object) -> Syscall:
        return Syscall(
            name=name,
            family="ids",
            operation=operation,
            arguments=arguments,
            passes=True,
            reason=reason,
            **more,  # type: ignore[arg-type]
        )

    for name, x86_64, ids16, ids32 in (
        ("getuid", 102, 24, 199),
        ("getgid", 104, 47, 200),
        ("geteuid", 107, 49, 201),
        ("getegid", 108, 50, 202),
    ):
        yield row(name, "getid", (), x86_64=x86_64, variant="ids32")
        yield row(name, "getid", (), i386=ids16, variant="ids16")
        yield row(name + "32", "getid", (), i386=ids32, variant="ids32")
    for name, x86_64, ids16, ids32 in (("getresuid", 118, 165, 209), ("getresgid", 120, 171, 211)):
        triple = ("real", "effective", "saved")
        yield row(name, "getresid", triple, x86_64=x86_64, variant="ids32")
        yield row(name, "getresid", triple, i386=ids16, variant="ids16")
        yield row(name + "32", "getresid", triple, i386=ids32, variant="ids32")
    groups = ("size", "list")
    yield row("getgroups", "getgroups", groups, x86_64=115, variant="ids32")
    yield row("getgroups", "getgroups", groups, i386=80, variant="ids16")
    yield row("getgroups32", "getgroups", groups, i386=205, variant="ids32")


def _set_ids() -> Iterator[Syscall]:
    reason = "succeeds where it sets the ids that are shown (root's), else goes to the kernel"
    triple = ("real", "effective", "saved")
    for name, arguments, x86_64, ids16, ids32 in (
        ("setuid", triple[:1], 105, 23, 213),
        ("setgid", triple[:1], 106, 46, 214),
        ("setreuid", triple[:2], 113, 70, 203),
        ("setregid", triple[:2], 114, 71, 204),
        ("setresuid", triple, 117, 164, 208),
        ("setresgid", triple, 119, 170, 210),
    ):

        def row(
            name: str, variant: str, arguments: tuple[str, ...] = arguments, **number: int
        ) -> Syscall:
            return Syscall(
                name=name,
                family="setids",
                operation="setid",
                arguments=arguments,
                variant=variant,
                reason=reason,
                **number,  # type: ignore[arg-type]
            )

        yield row(name, "ids32", x86_64=x86_64)
        yield row(name, "ids16", i386=ids16)
        yield row(name + "32", "ids32", i386=ids32)


def _acls() -> Iterator[Syscall]:
    reason = (
        "an access ACL that says no more than a mode does is set as chmod would; "
        "everything else goes to the kernel"
    )
    for name, target, implied, x86_64, i386 in (
        ("setxattr", "path", 0, 188, 226),
        ("lsetxattr", "path", AT_SYMLINK_NOFOLLOW, 189, 227),
        ("fsetxattr", "fd", 0, 190, 228),
    ):
        yield Syscall(
            name=name,
            family="xattr",
            operation="set_acl",
            arguments=(target, "xattr_name", "value", "size", "xattr_flags"),
            subject=Subject.DESCRIPTOR if target == "fd" else Subject.FILE,
            implied_flags=implied,
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )


def _listings() -> Iterator[Syscall]:
    for name, variant, x86_64, i386 in (
        ("getdents64", "dirent64", 217, 220),
        ("getdents", "dirent", 78, None),
    ):
        yield Syscall(
            name=name,
            family="listings",
            operation="getdents",
            arguments=("fd", "buffer", "size"),
            subject=Subject.DESCRIPTOR,
            variant=variant,
            passes=True,
            x86_64=x86_64,
            i386=i386,
            reason="shows the type of remembered devices; where there are none, goes to the kernel",
        )


def _entries() -> Iterator[Syscall]:
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


def _views() -> Iterator[Syscall]:
    reason = "goes to the kernel; paths are resolved by the target's own root from then on"
    for name, x86_64, i386 in (
        ("chroot", 161, 61),
        ("pivot_root", 155, 217),
        ("mount", 165, 21),
        ("umount", None, 22),
        ("umount2", 166, 52),
        ("move_mount", 429, 429),
        ("setns", 308, 346),
    ):
        yield Syscall(
            name=name,
            family="views",
            operation="view",
            arguments=(),
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )


def _executions() -> Iterator[Syscall]:
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


SECCOMP_SET_MODE_FILTER = 1
PR_SET_SECCOMP = 22


def _sandboxes() -> Iterator[Syscall]:
    reason = "goes to the kernel; from then on the shim takes care to call nothing unusual"
    for name, arguments, value, x86_64, i386 in (
        ("seccomp", ("seccomp_operation",), SECCOMP_SET_MODE_FILTER, 317, 354),
        ("prctl", ("option",), PR_SET_SECCOMP, 157, 172),
    ):
        yield Syscall(
            name=name,
            family="sandboxes",
            operation="sandbox",
            arguments=arguments,
            traps=(Masked(arguments[0], 0xFFFF_FFFF, value),),
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )


TABLE: tuple[Syscall, ...] = (
    *_stat(),
    *_access(),
    *_chown(),
    *_chmod(),
    *_mknod(),
    *_ids(),
    *_set_ids(),
    *_acls(),
    *_listings(),
    *_entries(),
    *_views(),
    *_executions(),
    *_sandboxes(),
)
"""Every call that traps, in the order of docs/syscalls.rst."""


def rows(abi: Abi) -> dict[int, Syscall]:
    """The rows of one ABI by number (X32_SYSCALL_BIT included)."""
    found: dict[int, Syscall] = {}
    for row in TABLE:
        number = row.number(abi)
        if number is not None:
            found[number] = row
    return found
