"""The one table of system calls.

Everything that must know a system call is derived from the rows in
:mod:`fakeroot_sc.syscalls.families`: the native dispatch (``native/`` by way of
:mod:`fakeroot_sc.syscalls.generate`), the seccomp filters (:mod:`fakeroot_sc.filter`)
and ``docs/syscalls.rst``.  A number or an argument position is written there and
nowhere else.

Importing this module imports attrs (41 ms), so a plain run never does: it works
from what the build derived.
"""

from __future__ import annotations

import errno

from fakeroot_sc.syscalls.families import (
    access,
    capabilities,
    chmod,
    chown,
    creations,
    entries,
    executions,
    ids,
    limits,
    listings,
    sandboxes,
    set_ids,
    stat,
    times,
    views,
    xattr,
)
from fakeroot_sc.syscalls.row import Abi, Refusal, Syscall

TABLE: tuple[Syscall, ...] = tuple(
    row
    for family in (
        stat,
        access,
        chown,
        chmod,
        creations,
        ids,
        set_ids,
        capabilities,
        limits,
        xattr,
        times,
        listings,
        entries,
        views,
        executions,
        sandboxes,
    )
    for row in family.rows()
)
"""Every call that traps, in the order of docs/syscalls.rst."""


REFUSED: tuple[Refusal, ...] = (
    Refusal(
        name="io_uring_setup",
        number=425,
        errno=errno.ENOSYS,
        reason="could look at files and open them behind the filter's back; programs do without",
    ),
)
"""Every call that fails, in the order of docs/syscalls.rst."""


def rows(abi: Abi) -> dict[int, Syscall]:
    """The rows of one ABI by number (X32_SYSCALL_BIT included)."""
    found: dict[int, Syscall] = {}
    for row in TABLE:
        number = row.number(abi)
        if number is not None:
            found[number] = row
    return found
