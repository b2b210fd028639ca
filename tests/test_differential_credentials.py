# SPDX-License-Identifier: Apache-2.0
"""What calls make of credentials, for real root and for fake root."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Sequence
from typing import Any

import harness
import pytest
from differential import COMPARED, Pair, PairOf, share_capabilities, table_rows, unprivileged
from harness import BAD_POINTERS, BUILDS, LIBC_BUILDS, Token, buffer, garbled
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakeroot_sc.syscalls.row import Abi, Syscall

pytestmark = pytest.mark.root

IDS = (-1, 0, 5, 1000, 65534, 70000)
ALL = 2**41 - 1
VERSIONS = (0x1998_0330, 0x2007_1026, 0x2008_0522)
PR_GET_KEEPCAPS, PR_SET_KEEPCAPS = 7, 8
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_GET_SECUREBITS, PR_SET_SECUREBITS = 23, 24, 27, 28
PR_CAP_AMBIENT = 47
OPTIONS = (
    PR_GET_KEEPCAPS, PR_SET_KEEPCAPS, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_GET_SECUREBITS,
    PR_SET_SECUREBITS, PR_CAP_AMBIENT,
)  # fmt: skip
# The functions of C libraries make every thread change; the probes have but one.
RAW = [build for build in COMPARED if build not in LIBC_BUILDS]


def raw(data: bytes) -> Token:
    """Bytes that are there; one more follows."""
    return Token("s:" + (data + b"!").hex())


def header(version: int = VERSIONS[2], pid: int = 0) -> Token:
    return raw(struct.pack("<Ii", version, pid))


def capabilities(effective: int, permitted: int, inheritable: int) -> Token:
    sets = (effective, permitted, inheritable)
    return raw(struct.pack("<6I", *(x & 0xFFFF_FFFF for x in sets), *(x >> 32 for x in sets)))


def show(pair: Pair) -> list[tuple[Any, ...]]:
    """Calls that tell all of the credentials."""
    wide = "32" if pair.abi is Abi.I386 else ""
    return [
        ("getresuid" + wide, buffer(4), buffer(4), buffer(4)),
        ("getresgid" + wide, buffer(4), buffer(4), buffer(4)),
        ("getgroups" + wide, 16, buffer(64)),
        ("setfsuid" + wide, -1),
        ("setfsgid" + wide, -1),
        ("capget", header(), buffer(24)),
        ("prctl", PR_GET_KEEPCAPS, 0, 0, 0, 0),
        ("prctl", PR_GET_SECUREBITS, 0, 0, 0, 0),
        *(("prctl", PR_CAPBSET_READ, number, 0, 0, 0) for number in (0, 7, 8, 40)),
        *(("prctl", PR_CAP_AMBIENT, 1, number, 0, 0) for number in (0, 7, 8, 10)),
    ]


def in_child(pair: Pair, calls: Sequence[tuple[Any, ...]]) -> None:
    """Makes calls in a child, so that the next ones start from root again."""
    for side in (pair.real, pair.fake):
        side.go_on_in_child()
    for call in calls:
        pair.compare([call, *show(pair)])
    for side in (pair.real, pair.fake):
        side.go_on_in_parent()


def starts(pair: Pair) -> list[list[tuple[Any, ...]]]:
    """Calls that lead to different credentials to start from."""
    wide = "32" if pair.abi is Abi.I386 else ""
    return [
        [],
        [("setresuid" + wide, 5, 1000, 70000), ("setresgid" + wide, 70000, 5, 1000)],
        [("setresgid" + wide, 5, 1000, 0), ("setresuid" + wide, 1000, 5, 0)],
        [("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0), ("setresuid" + wide, 5, 5, 5)],
    ]


@pytest.mark.parametrize(("build", "row"), table_rows("set_ids"))
def test_set_ids_change_what_they_change_for_real_root(
    build: str, row: Syscall, pair_of: PairOf
) -> None:
    if row.operation == "setgroups":
        return
    ids = (*IDS, garbled(5), garbled(-1)) if len(row.arguments) < 3 else IDS[:4]
    with pair_of(build) as pair:
        share_capabilities(pair)
        for start in starts(pair):
            for values in itertools.product(ids, repeat=len(row.arguments)):
                in_child(pair, [*start, (row, *values)])


@pytest.mark.parametrize(
    ("build", "row"),
    [case for case in table_rows("set_ids") if case.values[1].operation == "setgroups"],
)
def test_groups_are_set_as_for_real_root(build: str, row: Syscall, pair_of: PairOf) -> None:
    form = "H" if row.variant == "ids16" else "I"

    def groups(*ids: int) -> Token:
        limit = 1 << 8 * struct.calcsize(form)
        return raw(struct.pack(f"<{len(ids)}{form}", *(one % limit for one in ids)))

    wide = "32" if BUILDS[build].abi is Abi.I386 else ""
    with pair_of(build) as pair:
        share_capabilities(pair)
        for start in ([], [("setresuid" + wide, 5, 5, 5)]):
            in_child(pair, [*start, (row, 0, 0), (row, 3, groups(9, 5, 7)), (row, 1, groups(-1))])
            in_child(pair, [*start, (row, 65537, groups(1)), (row, -1, groups(1))])
            in_child(pair, [*start, *((row, 2, pointer) for pointer in BAD_POINTERS)])
            in_child(pair, [*start, (row, garbled(2), groups(70000, 1)), (row, 1, groups(0))])


@pytest.mark.parametrize("build", RAW)
def test_capabilities_are_told_and_set_as_for_real_root(build: str, pair_of: PairOf) -> None:
    with pair_of(build) as pair:
        share_capabilities(pair)
        pair.compare(
            ("capget", header(version, pid), data)
            for version in (*VERSIONS, 0, 1)
            for pid in (0, -1, 999_999)
            for data in (buffer(24), 0, 1)
        )
        pair.compare(("capget", pointer, buffer(24)) for pointer in BAD_POINTERS)
        pair.compare(("capget", buffer(8), data) for data in (buffer(24), 0))
        pair.compare(("capset", pointer, capabilities(0, 0, 0)) for pointer in BAD_POINTERS)
        pair.compare(("capset", header(), pointer) for pointer in BAD_POINTERS)
        sets = (0, 0x80, 0xFF, ALL, 2**64 - 1)
        for values in itertools.product(sets, (0xFF, ALL), (0, 0x81)):
            in_child(
                pair,
                [
                    ("capset", header(), capabilities(*values)),
                    ("capset", header(VERSIONS[0]), capabilities(0, 0xF, 0)),
                    ("capset", header(), capabilities(1, 1, 0x100)),
                ],
            )


@pytest.mark.parametrize("build", RAW)
def test_prctl_answers_as_for_real_root(build: str, pair_of: PairOf) -> None:
    wide = "32" if BUILDS[build].abi is Abi.I386 else ""
    with pair_of(build) as pair:
        share_capabilities(pair)
        for start in ([], [("setresuid" + wide, 5, 5, 0)]):
            for option in OPTIONS:
                values = (0, 1, 2, 3, 4, 7, 8, 40, 41, 64, 0x2F, 0x100, 0x1000, 0xFFFF_FFFF)
                in_child(pair, [*start, *(("prctl", option, one, 0, 0, 0) for one in values)])
            in_child(
                pair,
                [
                    *start,
                    ("capset", header(), capabilities(ALL, ALL, 0xFF)),
                    *(
                        ("prctl", PR_CAP_AMBIENT, operation, number, *rest)
                        for operation in (2, 1, 3, 4, 5, 0)
                        for number in (0, 7, 8, 41)
                        for rest in ((0, 0), (1, 0), (0, 1))
                    ),
                ],
            )


@pytest.mark.parametrize("build", RAW)
def test_who_has_left_root_may_do_what_the_kernel_would_let_them(
    build: str, pair_of: PairOf
) -> None:
    wide = "32" if BUILDS[build].abi is Abi.I386 else ""
    leaves = [
        [("setresgid" + wide, 1000, 1000, 1000), ("setresuid" + wide, 1000, 1000, 1000)],
        [("setfsuid" + wide, 1000), ("setfsgid" + wide, 1000)],
        [("setresuid" + wide, 1000, -1, -1)],
        [("setresuid" + wide, -1, 1000, -1)],
        [("capset", header(), capabilities(0x8, ALL, 0))],
    ]
    with pair_of(build) as pair:
        share_capabilities(pair)
        pair.prepare(
            [
                ("fchownat", -100, "file", 1000, 1000, 0),
                ("fchownat", -100, "tool", 1000, 5, 0),
                ("fchownat", -100, "dir/inside", 5, 1000, 0),
                ("chmod", ".", 0o755),
                ("chmod", "file", 0o640),
                ("chmod", "tool", 0o6755),
                ("chmod", "dir/inside", 0o2645),
            ]
        )
        for leave in leaves:
            for name in ("file", "tool", "dir/inside", "other", "dir"):
                chowns = itertools.product((-1, 0, 5, 1000), repeat=2)
                in_child(
                    pair,
                    [
                        *leave,
                        *(
                            ("faccessat2", -100, name, mode, flags)
                            for mode in range(8)
                            for flags in (0, harness.AT_EACCESS)
                        ),
                    ],
                )
                for uid, gid in chowns:
                    in_child(pair, [*leave, ("fchownat", -100, name, uid, gid, 0)])
                    pair.compare(pair.looks())
                for mode in (0o644, 0o6755, 0o2644):
                    mode |= 0o111 if name == "dir" else 0  # what is below stays in reach
                    in_child(pair, [*leave, ("chmod", name, mode)])
                    pair.compare(pair.looks())


@pytest.mark.parametrize("build", RAW)
def test_programs_change_credentials_as_for_real_root(build: str, pair_of: PairOf) -> None:
    wide = "32" if BUILDS[build].abi is Abi.I386 else ""
    modes = [0o755, 0o4755, 0o2755, 0o6755, 0o2745]
    with pair_of(build) as pair:
        share_capabilities(pair)
        lay_program(pair)
        for mode, owner in itertools.product(modes, (0, 1000)):
            pair.prepare(
                [("fchownat", -100, "program", owner, owner, 0), ("chmod", "program", mode)]
            )
            # Who is in the group may not execute a file without its bit.
            for start in starts(pair)[: 4 if mode & 0o10 else 1]:
                execute_in_child(pair, [*start, ("setgroups" + wide, 0, 0)])


def lay_program(pair: Pair) -> None:
    """Puts a copy of the probe beside the other files."""
    for side in (pair.real, pair.fake):
        program = side.directory / "program"
        assert isinstance(side.process.args, list)
        program.write_bytes(harness.Path(side.process.args[-1]).read_bytes())
        program.chmod(0o755)
        if side is pair.fake:
            os.chown(program, unprivileged(), unprivileged())


def execute_in_child(pair: Pair, calls: Sequence[tuple[Any, ...]]) -> None:
    for side in (pair.real, pair.fake):
        side.go_on_in_child()
    pair.compare(calls)
    for name in ("missing", "program", "program"):
        outcomes = [side.execute(name) for side in (pair.real, pair.fake)]
        assert outcomes[0] == outcomes[1], name
        pair.compare(show(pair))
    for side in (pair.real, pair.fake):
        side.go_on_in_parent()


steps = st.one_of(
    st.tuples(st.sampled_from(["setuid", "setgid", "setfsuid", "setfsgid"]), st.sampled_from(IDS)),
    st.tuples(
        st.sampled_from(["setresuid", "setresgid"]), *[st.sampled_from(IDS)] * 3
    ),
    st.tuples(st.sampled_from(["setreuid", "setregid"]), *[st.sampled_from(IDS)] * 2),
    st.tuples(
        st.just("prctl"), st.sampled_from(OPTIONS), st.sampled_from([0, 1, 2, 4, 7, 8, 0x10, 0x2F]),
        st.sampled_from([0, 7]), st.just(0), st.just(0),
    ),
    st.builds(
        lambda *sets: ("capset", header(), capabilities(*sets)),
        st.sampled_from([0, 0xC0, 0xFF, ALL]),
        st.sampled_from([0xFF, ALL]),
        st.sampled_from([0, 0x80, ALL]),
    ),
    st.sampled_from([("fork",), ("thread",), ("back",), ("execute",), ("fail to execute",)]),
)  # fmt: skip


class Actors:
    """Who makes the calls: processes and threads, each made by the one before."""

    def __init__(self, pair: Pair) -> None:
        self.sides = (pair.real, pair.fake)
        self.made: list[str] = []

    def move(self, step: str) -> None:
        if step == "back" and not self.made:
            return
        for side in self.sides:
            if step == "fork":
                side.go_on_in_child()
            elif step == "thread":
                side.go_on_in_thread()
            elif step == "back":
                side.go_on_in_parent()
            elif step == "execute":
                assert side.execute("program") == "0"
            else:
                no_arguments = side.call("execve", "program", harness.LOW_POINTER, 0)
                assert no_arguments.outcome == "EFAULT"
        if step == "back":
            self.made.pop()
        elif step in ("fork", "thread"):
            self.made.append(step)
        while step == "execute" and self.made and self.made[-1] == "thread":
            self.made.pop()


@pytest.mark.parametrize("build", RAW)
@settings(
    max_examples=harness.examples(40),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=st.lists(steps, min_size=2, max_size=15))
@example(script=[("setresuid", 5, 5, 0), ("fork",), ("setuid", 0), ("setfsuid", 5)])
@example(script=[("thread",), ("setuid", 5), ("thread",), ("thread",), ("back",), ("back",),
                 ("back",), ("thread",)])  # fmt: skip
@example(script=[("setresuid", 5, 5, 0), ("thread",), ("setresuid", 6, 0, 6), ("thread",),
                 ("setuid", 0), ("thread",), ("back",), ("back",), ("thread",)])  # fmt: skip
@example(script=[("thread",), ("setuid", 5), ("thread",), ("execute",), ("thread",)])
@example(script=[("setresuid", 5, 5, 0), ("thread",), ("setuid", 0), ("fork",), ("thread",),
                 ("execute",), ("back",), ("back",), ("execute",)])  # fmt: skip
@example(script=[("setresuid", 5, 5, 0), ("thread",), ("setuid", 0), ("setfsuid", 5),
                 ("fail to execute",), ("thread",), ("back",), ("back",), ("thread",),
                 ("fork",)])  # fmt: skip
def test_any_sequence_of_changes_agrees(
    build: str, pair_of: PairOf, script: list[tuple[Any, ...]]
) -> None:
    wide = "32" if BUILDS[build].abi is Abi.I386 else ""
    with pair_of(build) as pair:
        share_capabilities(pair)
        if {("execute",), ("fail to execute",)} & {*script}:
            lay_program(pair)
        actors = Actors(pair)
        for name, *arguments in script:
            if not arguments:
                actors.move(name)
                pair.compare(show(pair))
            else:
                full = name + (wide if name.startswith("set") else "")
                pair.compare([(full, *arguments), *show(pair)])
