# SPDX-License-Identifier: Apache-2.0
"""The inode table against a dict. What it promises beside a writer is in native/table_stress.c."""

import errno
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fakeroot_sc import _core

pytestmark = pytest.mark.pure

# dev, ino, btime_sec, btime_nsec, fields, uid, gid, mode, rdev, xattrs
Record: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int]
Key: TypeAlias = tuple[int, int]

ROOMY = 1 << 20
CRAMPED = 12288  # some 150 records, one doubling of the buckets

U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
I64_MIN, I64_MAX = -(2**63), 2**63 - 1

u32 = st.sampled_from([0, 1, 2**31, U32_MAX]) | st.integers(0, U32_MAX)
u64 = st.sampled_from([0, 1, 2**32, 2**63, U64_MAX]) | st.integers(0, U64_MAX)
i64 = st.sampled_from([I64_MIN, -1, 0, I64_MAX]) | st.integers(I64_MIN, I64_MAX)

# Small ranges, so that keys meet again; with halves exchanged, so that weak hashing shows.
few = st.integers(0, 7) | st.integers(0, 7).map(lambda number: number << 32)
keys = st.tuples(few, st.integers(0, 40) | few) | st.tuples(u64, u64)
values = st.tuples(i64, u32, u32, u32, u32, u32, u32, u32)
records = st.builds(lambda key, value: key + value, keys, values)


def record_of(ino: int, uid: int = 0) -> Record:
    """A record like those of a build: one device, a recent birth."""
    return (0x801, ino, 1_700_000_000, 5, 3, uid, 0, 0, 0, 0)


def fill(table: _core.InodeTable) -> int:
    """Put records with inode numbers from 0 until one is refused; return its number."""
    for ino in range(10_000):
        try:
            table.put(*record_of(ino))
        except OSError as error:
            assert error.errno == errno.ENOSPC
            return ino
    raise AssertionError("a small table never gets full")


class TableMachine(RuleBasedStateMachine):
    """Any sequence of operations leaves the table with what a dict would hold."""

    size = ROOMY

    def __init__(self) -> None:
        super().__init__()
        self.table = _core.InodeTable(self.size)
        self.model: dict[Key, Record] = {}

    def put_into_both(self, record: Record) -> None:
        try:
            self.table.put(*record)
        except OSError as error:
            assert error.errno == errno.ENOSPC
            assert self.size == CRAMPED, "a roomy table was full"
            assert record[:2] not in self.model, "replacing needed room"
        else:
            self.model[record[:2]] = record

    @rule(record=records)
    def put(self, record: Record) -> None:
        self.put_into_both(record)

    @rule(first=st.integers(0, 1000), number=st.integers(1, 100), uid=u32)
    def put_many(self, first: int, number: int, uid: int) -> None:
        for ino in range(first, first + number):
            self.put_into_both(record_of(ino, uid))

    @rule(key=keys)
    def remove(self, key: Key) -> None:
        assert self.table.remove(*key) == (self.model.pop(key, None) is not None)

    @rule(data=st.data())
    def remove_one_that_is_there(self, data: st.DataObject) -> None:
        if self.model:
            key = data.draw(st.sampled_from(sorted(self.model)))
            assert self.table.remove(*key) is True
            del self.model[key]

    @rule(first=st.integers(0, 1000), number=st.integers(1, 100))
    def remove_many(self, first: int, number: int) -> None:
        for ino in range(first, first + number):
            key = record_of(ino)[:2]
            assert self.table.remove(*key) == (self.model.pop(key, None) is not None)

    @rule(key=keys)
    def find(self, key: Key) -> None:
        assert self.table.find(*key) == self.model.get(key)

    @invariant()
    def every_record_is_found(self) -> None:
        for key, record in self.model.items():
            assert self.table.find(*key) == record

    @invariant()
    def every_record_is_listed_once(self) -> None:
        assert sorted(self.table) == sorted(self.model.values())

    @invariant()
    def the_length_is_the_number_of_records(self) -> None:
        assert len(self.table) == len(self.model)

    @invariant()
    def no_more_is_used_than_there_is(self) -> None:
        assert 0 < self.table.used <= self.size


class CrampedTableMachine(TableMachine):
    """The same, in a region that is soon full."""

    size = CRAMPED


STEPS = settings(max_examples=60, stateful_step_count=30, deadline=None)

TestTableIsADict = TableMachine.TestCase
TestTableIsADict.settings = STEPS
TestCrampedTableIsADict = CrampedTableMachine.TestCase
TestCrampedTableIsADict.settings = STEPS


def test_a_new_table_is_empty() -> None:
    table = _core.InodeTable(ROOMY)
    assert len(table) == 0
    assert list(table) == []
    assert table.find(0, 0) is None


@given(record=records)
def test_a_record_is_found_as_it_was_put(record: Record) -> None:
    table = _core.InodeTable(CRAMPED)
    table.put(*record)
    assert table.find(*record[:2]) == record
    assert list(table) == [record]


@pytest.mark.parametrize(
    "record",
    [
        (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (U64_MAX, U64_MAX, I64_MAX) + (U32_MAX,) * 7,
        (U64_MAX, 0, I64_MIN, 0, U32_MAX, 0, U32_MAX, 0, U32_MAX, 0),
        (0, U64_MAX, -1, U32_MAX, 0, U32_MAX, 0, U32_MAX, 0, U32_MAX),
    ],
)
def test_extreme_values_are_kept_whole(record: Record) -> None:
    table = _core.InodeTable(CRAMPED)
    table.put(*record)
    assert table.find(*record[:2]) == record


def test_device_and_inode_number_are_not_confused() -> None:
    table = _core.InodeTable(CRAMPED)
    table.put(1, 2, *record_of(0)[2:])
    assert table.find(2, 1) is None
    assert table.find(1 << 32, 2) is None
    assert table.find(1, 2 << 32) is None


def test_a_second_put_replaces_the_record() -> None:
    table = _core.InodeTable(CRAMPED)
    table.put(*record_of(7, uid=1))
    used = table.used
    table.put(*record_of(7, uid=2))
    assert table.find(*record_of(7)[:2]) == record_of(7, uid=2)
    assert len(table) == 1
    assert table.used == used


def test_a_removed_record_is_not_found() -> None:
    table = _core.InodeTable(CRAMPED)
    table.put(*record_of(7))
    assert table.remove(*record_of(7)[:2]) is True
    assert table.find(*record_of(7)[:2]) is None
    assert table.remove(*record_of(7)[:2]) is False
    assert len(table) == 0
    assert list(table) == []


def test_a_full_table_refuses_and_is_unchanged() -> None:
    table = _core.InodeTable(CRAMPED)
    refused = fill(table)
    before, used = list(table), table.used
    with pytest.raises(OSError) as caught:
        table.put(*record_of(refused))
    assert caught.value.errno == errno.ENOSPC
    assert list(table) == before
    assert sorted(table) == [record_of(ino) for ino in range(refused)]
    assert table.used == used <= CRAMPED
    assert table.find(*record_of(refused)[:2]) is None


def test_a_full_table_still_replaces() -> None:
    table = _core.InodeTable(CRAMPED)
    fill(table)
    table.put(*record_of(0, uid=9))
    assert table.find(*record_of(0)[:2]) == record_of(0, uid=9)


def test_room_of_a_removed_record_is_used_again() -> None:
    table = _core.InodeTable(CRAMPED)
    refused = fill(table)
    for ino in range(refused, refused + 1000):
        assert table.remove(*record_of(ino - refused)[:2]) is True
        table.put(*record_of(ino))
    assert len(table) == refused
    assert sorted(table) == [record_of(ino) for ino in range(1000, refused + 1000)]


def test_a_region_too_small_for_a_table_is_refused() -> None:
    for size in (0, 1, 63, 64, 1024):
        with pytest.raises(OSError) as caught:
            _core.InodeTable(size)
        assert caught.value.errno == errno.EINVAL


def test_a_record_costs_at_most_96_bytes() -> None:
    number = 200_000
    table = _core.InodeTable(96 * number)
    for ino in range(number):
        table.put(*record_of(ino))
    assert len(table) == number
    assert table.used <= 96 * number
    for ino in range(0, number, 997):
        assert table.find(*record_of(ino)[:2]) == record_of(ino)
