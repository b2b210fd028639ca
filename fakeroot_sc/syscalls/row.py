"""What a row of the table of system calls says (:mod:`fakeroot_sc.syscalls.table`)."""

from __future__ import annotations

import enum

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


@attrs.frozen
class Refusal:
    """A call that fails with ``errno`` whoever makes it, without asking the supervisor.
    Its number is one in all ABIs, as of all calls since Linux 5.1."""

    name: str
    number: int
    errno: int
    reason: str

    def numbers(self) -> dict[Abi, int]:
        return {abi: self.number | (X32_SYSCALL_BIT if abi is Abi.X32 else 0) for abi in Abi}
