# SPDX-License-Identifier: Apache-2.0
"""Long random sequences of calls by several processes, real root beside fake root.

Two processes act, fork, execute programs, leave root and come back to it; a third one, who
stays root, looks at every file after each step.  All must be told on both sides the same.

What fake root does not police is left out: who has left root acts on files of the
upper directory only, which everybody may write to and search.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import harness
import pytest
from conftest import Probes
from differential import Pair, share_capabilities, unprivileged
from harness import AT_FDCWD, AT_SYMLINK_NOFOLLOW, Probe, Result, buffer
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fakeroot_sc.syscalls.row import Abi

pytestmark = pytest.mark.root

UPPER = ("a", "b", "d", "e", "l", "ld", "p", "n", "o", "tool")
NAMES = (*UPPER, ".", "d/x", "d/y", "e/z")
ATTRIBUTES = (
    "user.one", "trusted.one", "security.one", "security.capability",
    "system.posix_acl_access", "system.posix_acl_default",
)  # fmt: skip
ALL_CAPABILITIES = 2**41 - 1
CAP_VERSION_3 = 0x2008_0522
DEPTH_MOST = 3


def acl(group: int, mask: int, user: int) -> bytes:
    """An ACL that names a user (struct posix_acl_xattr_header and its entries)."""
    entries = ((1, 6, -1), (2, user, 1000), (4, group, -1), (16, mask, -1), (32, 4, -1))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


CAPABILITY = struct.pack("<IIIII", 0x0200_0001, 0x2400, 0, 0, 0)
VALUES = {
    "user.one": [b"", b"value", b"x" * 300],
    "trusted.one": [b"t", b"y" * 3000],
    "security.one": [b"s"],
    "security.capability": [CAPABILITY],
    "system.posix_acl_access": [acl(4, 6, 7), acl(7, 5, 2)],
    "system.posix_acl_default": [acl(5, 7, 6)],
}

ids = st.sampled_from([-1, 0, 5, 1000, 70000])
names = st.sampled_from(NAMES)
upper_names = st.sampled_from(UPPER)
modes = st.sampled_from([0, 0o200, 0o444, 0o600, 0o640, 0o664, 0o755, 0o2755, 0o4755, 0o6711])
actors = st.integers(0, 1)


class Side:
    """The processes of one side: who looks, and two that act."""

    def __init__(self, stack: contextlib.ExitStack, probe: Probe, place: Path, fake: bool) -> None:
        directory = place / ("fake" if fake else "real")
        directory.mkdir()
        harness.populate_few(directory)
        shutil.copyfile(probe.path, directory / "tool")
        (directory / "tool").chmod(0o755)
        for name in (".", "d", "e"):
            (directory / name).chmod(0o777)
        user = unprivileged() if fake else None
        if user is not None:
            for path in harness.everything_below(directory):
                os.chown(path, user, user, follow_symlinks=False)
        self.looker, *self.actors = stack.enter_context(
            harness.sessions_of_one_run([probe] * 3, directory, fake=fake, user=user)
        )
        self.abi = probe.abi


def listing(result: Result) -> Any:
    """Names and types of a directory, from getdents64(2)."""
    if result.error:
        return result.outcome
    data, entries = result.buffers[1][: result.value], set()
    while data:
        length, kind = struct.unpack_from("<HB", data, 16)
        entries.add((data[19:length].split(b"\0")[0], kind))
        data = data[length:]
    return entries


class Machine(RuleBasedStateMachine):
    """``probe`` is set by the test."""

    probe: Probe

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        place = Path(tempfile.mkdtemp(prefix="fsc-machine-"))
        self.stack.callback(shutil.rmtree, place, ignore_errors=True)
        place.chmod(0o755)
        self.real = Side(self.stack, self.probe, place, fake=False)
        self.fake = Side(self.stack, self.probe, place, fake=True)
        self.depth = [0, 0]
        self.root = [True, True]
        self.wide = "32" if self.probe.abi is Abi.I386 else ""
        for real, fake in zip(self.real.actors, self.fake.actors, strict=True):
            share_capabilities(Pair(real, fake))
        share_capabilities(Pair(self.real.looker, self.fake.looker))
        self.held = held(self.real.looker)
        for side in (self.real, self.fake):
            for session in (side.looker, *side.actors):
                session.ok("setgroups" + self.wide, 0, 0)
        self.compare_all()

    def teardown(self) -> None:
        for side in (self.real, self.fake):
            for session, depth in zip(side.actors, self.depth, strict=True):
                for _ in range(depth):
                    session.go_on_in_parent()
        self.stack.close()

    # ---- what is compared ----

    def both(self, actor: int | None, calls: Iterable[tuple[Any, ...]]) -> list[Result]:
        """Makes calls on both sides, which must answer alike; returns the real ones' results."""
        calls = list(calls)
        real, fake = (
            (side.looker if actor is None else side.actors[actor]).calls(calls)
            for side in (self.real, self.fake)
        )
        for one, other in zip(real, fake, strict=True):
            if "getdents64" in one.call:
                assert listing(one) == listing(other), one.call
            elif "listxattr" in one.call:
                assert _sorted(one) == _sorted(other), one.call
            else:
                assert one.comparable() == other.comparable(), one.call
        return real

    def compare_all(self) -> None:
        """Everything that the third process can see."""
        stat_call, size = ("newfstatat", 144) if self.probe.abi is Abi.X86_64 else ("fstatat64", 96)
        self.both(
            None,
            [(stat_call, AT_FDCWD, name, buffer(size), AT_SYMLINK_NOFOLLOW) for name in NAMES],
        )
        self.both(
            None,
            [
                *(("lgetxattr", name, attribute, buffer(4000), 4000)
                  for name in NAMES for attribute in ATTRIBUTES),
                *(("llistxattr", name, buffer(400), 400) for name in NAMES),
            ],
        )  # fmt: skip
        for name in (".", "d", "e"):
            opened = self.both(None, [("openat", AT_FDCWD, name, os.O_DIRECTORY, 0)])[0]
            if not opened.error:
                self.both(None, [("getdents64", opened.value, buffer(4096), 4096)])
                self.both(None, [("close", opened.value)])

    def compare_credentials(self, actor: int) -> None:
        wide = self.wide
        _, _, _, header = self.both(
            actor,
            [
                ("getresuid" + wide, buffer(4), buffer(4), buffer(4)),
                ("getresgid" + wide, buffer(4), buffer(4), buffer(4)),
                ("getgroups" + wide, 8, buffer(32)),
                ("capget", harness.at_page_end(_capability_header()[:-1]), buffer(24)),
            ],
        )
        low = struct.unpack("<6I", header.buffers[1])
        self.root[actor] = low[0] | low[3] << 32 == self.held

    def act(self, actor: int, *calls: tuple[Any, ...]) -> list[Result]:
        results = self.both(actor, calls)
        self.compare_credentials(actor)
        self.compare_all()
        return results

    def may_use(self, actor: int, *used: str) -> bool:
        return self.root[actor] or all(name in UPPER for name in used)

    # ---- files ----

    @rule(actor=actors, name=names, uid=ids, gid=ids, follow=st.booleans())
    def chown(self, actor: int, name: str, uid: int, gid: int, follow: bool) -> None:
        if self.may_use(actor, name):
            flags = 0 if follow else AT_SYMLINK_NOFOLLOW
            self.act(actor, ("fchownat", AT_FDCWD, name, uid, gid, flags))

    @rule(actor=actors, name=names, mode=modes)
    def chmod(self, actor: int, name: str, mode: int) -> None:
        if name in (".", "d", "e", "ld", "n", "o"):  # may be directories
            mode = 0o777 | (mode & 0o2000)
        if name == "tool":
            mode |= 0o755
        if self.may_use(actor, name):
            self.act(actor, ("chmod", name, mode))

    @rule(actor=actors, name=upper_names, mode=modes, mask=st.sampled_from([0, 0o22, 0o77, 0o277]))
    def create(self, actor: int, name: str, mode: int, mask: int) -> None:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        calls = [("umask", mask), ("openat", AT_FDCWD, name, flags, mode), ("umask", 0o22)]
        opened = self.both(actor, calls)[1]
        if not opened.error:
            self.both(actor, [("close", opened.value)])
        self.act(actor)

    @rule(actor=actors, name=st.sampled_from(["n", "o", "e", "d/y", "e/z"]))
    def make_directory(self, actor: int, name: str) -> None:
        if self.may_use(actor, name):
            self.both(actor, [("umask", 0)])
            self.act(actor, ("mkdirat", AT_FDCWD, name, 0o777), ("umask", 0o22))

    @rule(
        actor=actors,
        name=upper_names,
        kind=st.sampled_from([stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO]),
        mode=modes,
    )
    def make_node(self, actor: int, name: str, kind: int, mode: int) -> None:
        self.act(actor, ("mknod", name, kind | mode, 0x105))

    @rule(actor=actors, name=upper_names, leads_to=upper_names)
    def make_symbolic_link(self, actor: int, name: str, leads_to: str) -> None:
        self.act(actor, ("symlinkat", leads_to, AT_FDCWD, name))

    @precondition(lambda self: any(self.root))
    @rule(name=names, other=names)
    def make_link(self, name: str, other: str) -> None:
        self.act(self.root.index(True), ("linkat", AT_FDCWD, name, AT_FDCWD, other, 0))

    @rule(actor=actors, name=st.sampled_from(["a", "b", "l", "p", "n", "o", "d", "e"]))
    def remove(self, actor: int, name: str) -> None:
        self.act(actor, ("unlink", name), ("rmdir", name))

    @rule(actor=actors, name=st.sampled_from(UPPER[:-1]), other=st.sampled_from(UPPER[:-1]))
    def rename(self, actor: int, name: str, other: str) -> None:
        self.act(actor, ("rename", name, other))

    @precondition(lambda self: any(self.root))
    @rule(name=st.sampled_from(["a", "b", "d/x", "n", "o"]), size=st.integers(0, 9))
    def write(self, name: str, size: int) -> None:
        # A remembered device has contents, of which nobody should know.
        path = self.real.looker.directory / name
        if not path.exists() or path.is_file():
            self.act(self.root.index(True), ("truncate", name, size))

    @rule(
        actor=actors,
        name=names,
        attribute=st.sampled_from(ATTRIBUTES),
        which=st.integers(0, 2),
        flags=st.sampled_from([0, 0, 1, 2]),
    )
    def set_attribute(self, actor: int, name: str, attribute: str, which: int, flags: int) -> None:
        if not self.may_use(actor, name):
            return
        values = VALUES[attribute]
        value = values[which % len(values)]
        token = harness.Token("s:" + (value + b"!").hex())
        self.act(actor, ("setxattr", name, attribute, token, len(value), flags))

    @rule(actor=actors, name=names, attribute=st.sampled_from(ATTRIBUTES))
    def remove_attribute(self, actor: int, name: str, attribute: str) -> None:
        if self.may_use(actor, name):
            self.act(actor, ("removexattr", name, attribute))

    @rule(actor=actors, name=upper_names, now=st.booleans())
    def set_times(self, actor: int, name: str, now: bool) -> None:
        row = "utimensat"
        size = 16 if self.probe.abi is Abi.X86_64 else 8
        times = 0 if now else harness.Token("s:" + (b"\1" + bytes(2 * size - 1) + b"!").hex())
        self.act(actor, (row, AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW))

    @rule(actor=actors, name=upper_names, mode=st.integers(0, 7), effective=st.booleans())
    def access(self, actor: int, name: str, mode: int, effective: bool) -> None:
        flags = harness.AT_EACCESS if effective else 0
        self.both(actor, [("faccessat2", AT_FDCWD, name, mode, flags)])

    # ---- processes ----

    @rule(actor=actors)
    def fork(self, actor: int) -> None:
        if self.depth[actor] < DEPTH_MOST:
            self.depth[actor] += 1
            for side in (self.real, self.fake):
                side.actors[actor].go_on_in_child()
            self.compare_credentials(actor)

    @rule(actor=actors)
    def end_child(self, actor: int) -> None:
        if self.depth[actor] > 0:
            self.depth[actor] -= 1
            for side in (self.real, self.fake):
                side.actors[actor].go_on_in_parent()
            self.compare_credentials(actor)

    @rule(actor=actors)
    def execute(self, actor: int) -> None:
        outcomes = [side.actors[actor].execute("tool") for side in (self.real, self.fake)]
        assert outcomes[0] == outcomes[1], "execve"
        self.compare_credentials(actor)

    @rule(actor=actors, call=st.sampled_from(["uid", "gid"]), real=ids, effective=ids, saved=ids)
    def set_ids(self, actor: int, call: str, real: int, effective: int, saved: int) -> None:
        self.both(actor, [(f"setres{call}" + self.wide, real, effective, saved)])
        self.compare_credentials(actor)

    @rule(actor=actors, call=st.sampled_from(["setuid", "setgid", "setfsuid", "setfsgid"]), one=ids)
    def set_id(self, actor: int, call: str, one: int) -> None:
        self.both(actor, [(call + self.wide, one)])
        self.compare_credentials(actor)

    @rule(actor=actors, groups=st.lists(st.sampled_from([0, 5, 1000]), max_size=3))
    def set_groups(self, actor: int, groups: list[int]) -> None:
        data = struct.pack(f"<{len(groups)}I", *groups) + b"!"
        token = harness.Token("s:" + data.hex())
        self.both(actor, [("setgroups" + self.wide, len(groups), token)])
        self.compare_credentials(actor)

    @rule(actor=actors, option=st.sampled_from([(8, 0), (8, 1), (24, 7), (47, 2), (28, 0)]))
    def control(self, actor: int, option: tuple[int, int]) -> None:
        number, value = option
        self.both(actor, [("prctl", number, value, 7 if number == 47 else 0, 0, 0)])
        self.compare_credentials(actor)

    @rule(
        actor=actors,
        effective=st.sampled_from([0, 0x0F, ALL_CAPABILITIES]),
        permitted=st.sampled_from([0x0F, 0xFF, ALL_CAPABILITIES]),
        inheritable=st.sampled_from([0, 0x80]),
    )
    def set_capabilities(
        self, actor: int, effective: int, permitted: int, inheritable: int
    ) -> None:
        low = [value & 0xFFFF_FFFF for value in (effective, permitted, inheritable)]
        high = [value >> 32 for value in (effective, permitted, inheritable)]
        data = struct.pack("<6I", *low, *high) + b"!"
        header = harness.at_page_end(_capability_header()[:-1])
        self.both(actor, [("capset", header, harness.Token("s:" + data.hex()))])
        self.compare_credentials(actor)


def _capability_header() -> bytes:
    """struct __user_cap_header_struct: version 3, the caller itself."""
    return struct.pack("<Ii", CAP_VERSION_3, 0)


def held(session: harness.Session) -> int:
    """Effective capabilities."""
    told = session.call("capget", harness.at_page_end(_capability_header()[:-1]), buffer(24))
    low = struct.unpack("<6I", told.buffers[1])
    return int(low[0] | low[3] << 32)


def _sorted(result: Result) -> Any:
    if result.error:
        return result.outcome
    return sorted(result.buffers[1][: result.value].split(b"\0"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("build", ["x86-64-static", "x86-64-libc", "i386-static"])
def test_processes_are_told_what_real_root_s_are(build: str, probes: Probes) -> None:
    class Built(Machine):
        probe = probes(build)

    run_state_machine_as_test(
        Built,
        settings=settings(
            max_examples=harness.examples(10),
            # What fails must fail again; new ground is sought with more examples.
            derandomize=not harness.TIMES,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
