# SPDX-License-Identifier: Apache-2.0
"""Who a program believes it is."""

from __future__ import annotations

import errno
import os
import struct
from itertools import product
from pathlib import Path

import harness
from harness import (
    BAD_POINTERS,
    Probe,
    Session,
    buffer,
    buffer_at_page_end,
    buffer_cut,
    buffer_read_only,
    garbled,
)

from fakeroot_sc.syscalls.row import Syscall


def width(row: Syscall) -> int:
    return 2 if row.variant == "ids16" else 4


ONE_ID = ("getuid", "getgid", "geteuid", "getegid")
THREE_IDS = ("getresuid", "getresgid")


def rows(session: Session, *operations: str) -> list[Syscall]:
    families = ("ids", "set_ids")
    every = [row for family in families for row in harness.rows_of(session.abi, family)]
    found = [row for row in every if row.operation in operations]
    assert found
    return found


def test_every_call_says_root(any_probe: Probe, tmp_path: Path) -> None:
    with any_probe.session(tmp_path) as fake:
        for row in rows(fake, *ONE_ID):
            assert fake.ok(row) == 0, row.name
            assert fake.ok(row, garbled(7), -1, 1) == 0, row.name
        for row in rows(fake, *THREE_IDS):
            cell = buffer(width(row))
            result = fake.call(row, cell, cell, cell)
            assert (result.outcome, result.intact) == ("0", True), row.name
            assert set(result.buffers.values()) == {bytes(width(row))}, row.name


def test_a_child_and_a_thread_are_root_as_well(fake: Session) -> None:
    fake.go_on_in_child()
    assert fake.ok("geteuid") == 0
    fake.go_on_in_thread()
    assert fake.ok("getuid") == 0


def test_unknown_is_real_is_about_files_alone(probe: Probe, tmp_path: Path) -> None:
    with probe.session(tmp_path, "-u") as fake:
        assert fake.ok("getuid") == 0


def test_root_s_group_is_the_only_one(fake: Session) -> None:
    for row in rows(fake, "getgroups"):
        assert fake.ok(row, 0, 0) == 1
        assert fake.ok(row, garbled(0), buffer(4)) == 1
        for size in (1, 2, 64, 65536, garbled(1)):
            result = fake.call(row, size, buffer(4 * width(row)))
            assert (result.outcome, result.intact) == ("1", True)
            untouched = b"\xa5" * (3 * width(row))
            assert result.buffers[1] == bytes(width(row)) + untouched
        for size in (-1, -5, -(2**31)):
            fake.fails(errno.EINVAL, row, size, buffer(4))


def test_16_bit_calls_write_16_bits(fake32: Session) -> None:
    for row in rows(fake32, *THREE_IDS):
        wide = buffer(4)
        result = fake32.call(row, wide, wide, wide)
        for data in result.buffers.values():
            expected = struct.pack("<I", 0) if width(row) == 4 else b"\0\0\xa5\xa5"
            assert data == expected, row.name


def test_a_bad_pointer_is_efault(fake: Session) -> None:
    for row in rows(fake, *THREE_IDS):
        good = buffer_at_page_end(width(row))
        bad: tuple[harness.Argument, ...] = (
            *BAD_POINTERS,
            buffer_cut(width(row), 1),
            buffer_read_only(width(row)),
        )
        fake.ok(row, good, good, good)
        for position, pointer in product(range(3), bad):
            call: list[harness.Argument] = [good, good, good]
            call[position] = pointer
            fake.fails(errno.EFAULT, row, *call)
    for row in rows(fake, "getgroups"):
        fake.ok(row, 1, buffer_at_page_end(width(row)))
        for pointer in (*BAD_POINTERS, buffer_cut(width(row), 1), buffer_read_only(4)):
            fake.fails(errno.EFAULT, row, 1, pointer)


def test_the_process_s_real_ids_are_untouched(fake64: Session) -> None:
    status = Path(f"/proc/{fake64.ok('getpid')}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("Uid:"))
    assert set(line.split()[1:]) == {str(os.getuid())}
