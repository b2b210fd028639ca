"""Every call that the kernel knows is in the table or in the list of those that never trap."""

from __future__ import annotations

from collections import Counter

import pytest
import system_calls  # type: ignore[import-untyped]

from fakeroot_sc.syscalls.row import Abi
from fakeroot_sc.syscalls.table import REFUSED, TABLE
from fakeroot_sc.syscalls.untrapped import UNTRAPPED

pytestmark = pytest.mark.pure

ORACLE = system_calls.syscalls()
LISTED = [name for group in UNTRAPPED for name in group.names]
TRAPPED = {row.name for row in TABLE} | {one.name for one in REFUSED}


def known(abi: Abi) -> set[str]:
    return set(ORACLE.load_arch_table(abi.value))


@pytest.mark.parametrize("abi", Abi)
def test_every_call_the_kernel_knows_is_classified(abi: Abi) -> None:
    assert len(known(abi)) > 300
    assert known(abi) - TRAPPED - set(LISTED) == set()


def test_no_call_is_classified_twice() -> None:
    assert [name for name, count in Counter(LISTED).items() if count > 1] == []
    assert TRAPPED & set(LISTED) == set()


def test_the_list_names_only_calls_that_some_kernel_has() -> None:
    everywhere = set().union(*(known(abi) for abi in Abi))
    assert set(LISTED) - everywhere == set()


def test_every_group_gives_a_reason_and_a_call() -> None:
    for group in UNTRAPPED:
        assert group.names
        assert group.reason
