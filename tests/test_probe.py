# SPDX-License-Identifier: Apache-2.0
"""The probes call what the other tests take them to call; those prove nothing otherwise."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import harness
import pytest
from conftest import Probes
from harness import AT_EACCESS, AT_FDCWD, BUILDS, LIBC_BUILDS, PROGRAMS, Probe

FAMILIES = ("stat", "chown", "chmod", "mknod", "ids", "entries")
"""Of calls that a C library has functions for, beside ACCESS."""

ACCESS: dict[str, tuple[Any, ...]] = {
    "access": ("/missing", 0),
    "faccessat": (AT_FDCWD, "/missing", 0),
    "faccessat2": (AT_FDCWD, "/missing", 0, AT_EACCESS),
}


def preload(probe: Probe, directory: Path) -> Path:
    """An object all of whose functions, named like those that the probe calls, give EDOM."""
    called = set(re.findall(r'"(_*[a-z]\w+)"', (PROGRAMS / "issue_libc.c").read_text()))
    called |= {name + "64" for name in called} | {f"__{name}64_time64" for name in called}
    functions = (f"int {name}(void) {{ errno = EDOM; return -1; }}\n" for name in sorted(called))
    source, target = directory / "preload.c", directory / "preload.so"
    source.write_text("#include <errno.h>\n" + "".join(functions))
    options = ("-shared", "-fPIC", "-fno-builtin")
    harness.compile_for(BUILDS[probe.name], target, *options, source)
    return target


def interposed(probe: Probe, directory: Path) -> dict[str, bool]:
    """By call, whether a preloaded object answers."""
    values = {"dirfd": AT_FDCWD, "new_dirfd": AT_FDCWD, "path": "/missing", "new_path": "/missing"}
    calls: dict[str, tuple[Any, ...]] = {name: (name, *given) for name, given in ACCESS.items()}
    for row in (row for family in FAMILIES for row in harness.rows_of(probe.abi, family)):
        calls[row.name] = (row, *(values.get(argument, 0) for argument in row.arguments))
    calls["rmdir"] = ("rmdir", str(directory))  # remove() stands for it if it is a directory
    environment = {**os.environ, "LD_PRELOAD": str(preload(probe, directory))}
    with probe.session(directory, fake=False, environment=environment) as session:
        outcomes = [result.outcome for result in session.calls(calls.values())]
    answers = ("EDOM", str(2**32 - 1))
    return {name: outcome in answers for name, outcome in zip(calls, outcomes, strict=True)}


@pytest.mark.parametrize("build", LIBC_BUILDS)
def test_what_a_c_library_has_a_function_for_can_be_interposed(
    build: str, probes: Probes, tmp_path: Path
) -> None:
    probe = probes(build)
    rows = [row for family in FAMILIES for row in harness.rows_of(probe.abi, family)]
    # No function gives what these calls give.
    narrow = ("ids16", "i386_oldstat", "i386_stat")
    without = {row.name for row in rows if row.variant in narrow}
    if build.startswith("i386-old"):
        without -= {"stat", "lstat", "fstat"}
    without.add("fchmodat2")  # glibc's fchmodat() tries it from 2.39 on, and goes other ways, too
    perhaps = {"statx", "renameat2"} if build.startswith("musl") else set()
    found = {name for name, answered in interposed(probe, tmp_path).items() if not answered}
    assert found - perhaps == without


def test_raw_calls_cannot_be_interposed(probes: Probes, tmp_path: Path) -> None:
    assert not any(interposed(probes("x86-64-dynamic"), tmp_path).values())
