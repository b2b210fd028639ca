# SPDX-License-Identifier: Apache-2.0
"""The kernel's constants that are written by hand are those of its headers."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import compile_c

from fakeroot_sc.syscalls import constants
from fakeroot_sc.syscalls.table import TABLE

PACKAGE = Path(__file__).parents[1] / "fakeroot_sc"
pytestmark = pytest.mark.pure


def test_all_constants_are_the_headers(tmp_path: Path) -> None:
    assert len(list(constants.constants(PACKAGE))) > 30
    compile_c(tmp_path, "constants", constants.check(PACKAGE), "-c")


def test_a_wrong_constant_does_not_build(tmp_path: Path) -> None:
    text = constants.check(PACKAGE).replace("(O_CREAT) == 0x40", "(O_CREAT) == 0x41")
    with pytest.raises(Exception, match="O_CREAT in syscalls/families/creations"):
        compile_c(tmp_path, "constants", text, "-c")


def test_each_call_s_name_is_found_by_a_search() -> None:
    families = PACKAGE / "syscalls" / "families"
    text = "".join(source.read_text() for source in families.glob("*.py"))
    missing = sorted({row.name for row in TABLE if f'"{row.name}"' not in text})
    assert missing == []
