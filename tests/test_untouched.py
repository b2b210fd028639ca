# SPDX-License-Identifier: Apache-2.0
"""Calls that go by themselves, and the one that is refused."""

from __future__ import annotations

import errno
import os
import struct

from harness import AT_FDCWD, Probe, Session, Token, buffer

O_TMPFILE = 0o20200000
AT_SYMLINK_FOLLOW = 0x400


def raw(data: bytes) -> Token:
    return Token("s:" + (data + b"!").hex())


def test_a_ring_is_not_to_be_had(any_probe: Probe, tmp_path: object) -> None:
    with any_probe.session(tmp_path) as fake:  # type: ignore[arg-type]
        fake.fails(errno.ENOSYS, "io_uring_setup", 8, buffer(120))
        fake.fails(errno.ENOSYS, "io_uring_setup", 0, 0)


def test_handles_are_those_of_the_kernel(fake: Session) -> None:
    handle = raw(struct.pack("<II", 0, 0))
    fake.fails(errno.EOVERFLOW, "name_to_handle_at", AT_FDCWD, "file", handle, buffer(4), 0)


def test_attributes_of_inodes_are_those_of_the_kernel(fake: Session) -> None:
    result = fake.call("file_getattr", AT_FDCWD, "file", buffer(24), 24, 0)
    assert result.outcome in ("0", "ENOSYS", "EOPNOTSUPP", "ENOTTY"), result.outcome
    if result.error == 0:
        same = raw(next(iter(result.buffers.values())))
        again = fake.call("file_setattr", AT_FDCWD, "file", same, 24, 0)
        assert again.outcome in ("0", "EINVAL", "EOPNOTSUPP"), again.outcome


def test_nameless_files_get_a_name(fake: Session) -> None:
    number = fake.open(".", O_TMPFILE | os.O_RDWR, 0o640)
    fake.ok("linkat", AT_FDCWD, f"/proc/self/fd/{number}", AT_FDCWD, "named", AT_SYMLINK_FOLLOW)
    assert (fake.owner("named"), fake.mode("named") & 0o7777) == ((0, 0), 0o640)


def test_openat2_opens_and_creates(fake: Session) -> None:
    for flags, mode, resolve in ((os.O_RDONLY, 0, 0x08), (os.O_CREAT | os.O_WRONLY, 0o600, 0)):
        how = raw(struct.pack("<QQQ", flags, mode, resolve))
        name = "file" if not flags else "made"
        fake.ok("close", fake.ok("openat2", AT_FDCWD, name, how, 24))
    assert fake.mode("made") & 0o7777 == 0o600
