"""The truth table: what the compiled filter decides for every call, on the BPF simulator.

The expectation is written here anew, from the table alone.
"""

from __future__ import annotations

import ctypes.util
import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import system_calls  # type: ignore[import-untyped]
from hypothesis import example, given
from hypothesis import strategies as st

from fakeroot_sc import bpf, passes
from fakeroot_sc import filter as filters
from fakeroot_sc.filter import BOUND_ARGUMENT
from fakeroot_sc.syscalls import generate
from fakeroot_sc.syscalls.row import X32_SYSCALL_BIT, Abi, Masked, Syscall
from fakeroot_sc.syscalls.table import REFUSED, TABLE, rows

pytestmark = pytest.mark.pure

ROOT = Path(__file__).parent.parent
PASS = 0x8BAD_F00D_1234_5678
STOCK = filters.compile_filter()
PROGRAM = bpf.unpack(passes.patch_pass(STOCK, PASS))

Program = list[bpf.Instruction]
CALLS = [(abi, number, row) for abi in Abi for number, row in rows(abi).items()]
registers = st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6)
plain_words = st.sampled_from([0, 1, 2, 3, 4, 7, 0x100, 0xFFFF_FF9C, 0xFFFF_FFFF])
HIGH_GARBAGE = (0, 1, 0xFFFF_FFFF, 0xDEAD_BEEF)


def every_call(check: Callable[[Abi, int, Syscall], None]) -> Callable[[], None]:
    """Makes a test of a check: it names all rows that fail."""

    def test() -> None:
        failed = []
        for abi, number, row in CALLS:
            try:
                check(abi, number, row)
            except AssertionError as error:
                failed.append(f"{abi.value} {row.name} {number & ~X32_SYSCALL_BIT}: {error}")
        assert not failed, "\n".join(failed)

    test.__name__ = check.__name__
    return test


def decide(abi: Abi, number: int, args: list[int], program: Program = PROGRAM) -> int:
    return bpf.run(program, number, abi.audit_arch, 0x7FFF_1234_5678, args)


def carries_pass(abi: Abi, args: list[int]) -> bool:
    difference = args[5] ^ args[1] ^ PASS
    return difference & (1 << abi.register_bits) - 1 == 0


def holds(masked: Masked, row: Syscall, args: list[int]) -> bool:
    return args[row.position(masked.argument)] % 2**32 & masked.mask == masked.value


def expected(abi: Abi, row: Syscall, args: list[int]) -> int:
    if row.traps and not any(holds(masked, row, args) for masked in row.traps):
        return bpf.RET_ALLOW
    if row.passes and carries_pass(abi, args):
        return bpf.RET_ALLOW
    return bpf.RET_USER_NOTIF


def trapping(row: Syscall, high: int = 0xDEAD_BEEF, alternative: int = 0) -> list[int]:
    """Arguments under which the row traps, with garbage in the high halves."""
    args = [high << 32 | 0x1357_9BDF + index for index in range(6)]
    for masked in row.traps[alternative : alternative + 1]:
        args[row.position(masked.argument)] = high << 32 | masked.value
    return args


def with_pass(args: list[int], value: int = PASS) -> list[int]:
    return [*args[:5], args[1] ^ value]


# The rows


@every_call
def test_a_call_traps_whatever_its_other_registers_hold(
    abi: Abi, number: int, row: Syscall
) -> None:
    for high in HIGH_GARBAGE:
        for alternative in range(len(row.traps) or 1):
            args = trapping(row, high, alternative)
            assert decide(abi, number, args) == bpf.RET_USER_NOTIF
    assert not bpf.is_constant_allow(PROGRAM, number, abi.audit_arch)


@pytest.mark.parametrize(("abi", "number", "row"), [entry for entry in CALLS if entry[2].traps])
@given(word=plain_words | st.integers(0, 2**32 - 1), high=st.sampled_from(HIGH_GARBAGE))
def test_a_predicate_looks_at_the_low_32_bits_alone(
    abi: Abi, number: int, row: Syscall, word: int, high: int
) -> None:
    (argument,) = {masked.argument for masked in row.traps}
    args = trapping(row)
    args[row.position(argument)] = high << 32 | word
    trapped = any(word & masked.mask == masked.value for masked in row.traps)
    decision = bpf.RET_USER_NOTIF if trapped else bpf.RET_ALLOW
    assert decide(abi, number, args) == decision


@pytest.mark.parametrize(
    ("abi", "number", "row"), [entry for entry in CALLS if entry[2].family == "access"]
)
def test_whether_a_file_exists_is_the_kernel_s_to_say(abi: Abi, number: int, row: Syscall) -> None:
    for mode in (*range(16), 0o10, 0o777, 0xFFFF_FFF8, 0xFFFF_FFFF):
        args = trapping(row)
        args[row.position("mode")] = 0xDEAD_BEEF << 32 | mode
        decision = bpf.RET_USER_NOTIF if mode & 0o7 else bpf.RET_ALLOW
        assert decide(abi, number, args) == decision


@every_call
def test_the_pass_opens_exactly_the_rows_that_say_so(abi: Abi, number: int, row: Syscall) -> None:
    decision = bpf.RET_ALLOW if row.passes else bpf.RET_USER_NOTIF
    for high in HIGH_GARBAGE:
        assert decide(abi, number, with_pass(trapping(row, high))) == decision


@every_call
def test_a_wrong_pass_opens_nothing(abi: Abi, number: int, row: Syscall) -> None:
    wrong = [PASS ^ 1 << bit for bit in range(abi.register_bits)]
    wrong += [0, PASS >> 32, PASS ^ 0xFFFF_FFFF, 0x4853_4150_4C53_4150]
    for value in wrong:
        assert decide(abi, number, with_pass(trapping(row), value)) == bpf.RET_USER_NOTIF


@every_call
def test_one_word_of_the_pass_is_enough_for_i386_only(abi: Abi, number: int, row: Syscall) -> None:
    low_right = with_pass(trapping(row), PASS ^ 0xFFFF_FFFF << 32)
    opened = row.passes and abi is Abi.I386
    assert decide(abi, number, low_right) == (bpf.RET_ALLOW if opened else bpf.RET_USER_NOTIF)
    high_right = with_pass(trapping(row), PASS ^ 0xFFFF_FFFF)
    assert decide(abi, number, high_right) == bpf.RET_USER_NOTIF


@every_call
def test_a_pass_bound_to_another_call_opens_nothing(abi: Abi, number: int, row: Syscall) -> None:
    if BOUND_ARGUMENT in {row.position(masked.argument) for masked in row.traps}:
        return  # the other call does not trap
    args = with_pass(trapping(row))
    args[1] ^= 1 << 4  # outside of what any predicate looks at
    assert decide(abi, number, args) == bpf.RET_USER_NOTIF


@given(entry=st.sampled_from(CALLS), args=registers, right=st.booleans(), data=st.data())
def test_the_filter_decides_as_the_table_says(
    entry: tuple[Abi, int, Syscall], args: list[int], right: bool, data: st.DataObject
) -> None:
    abi, number, row = entry
    args = [data.draw(plain_words) if data.draw(st.booleans()) else value for value in args]
    if right:
        args = with_pass(args)
    if abi is Abi.I386:
        args = [value % 2**32 for value in args]
    assert decide(abi, number, args) == expected(abi, row, args)


# Everything else


def outside() -> Iterator[tuple[int, int]]:
    """(arch, number) of all calls of 0 to 1023, and some far ones, that are not in the table."""
    far = (2**31 - 1, 2**31, 0x3FFF_FFFF, 0x8000_0004, 0xC000_0004)
    for arch in (Abi.X86_64.audit_arch, Abi.I386.audit_arch):
        for number in itertools.chain(range(1024), far, range(-5, 0)):
            for candidate in {number, number | X32_SYSCALL_BIT} if number >= 0 else {number}:
                known = {n for abi in Abi if abi.audit_arch == arch for n in rows(abi)}
                known |= {number for one in REFUSED for number in one.numbers().values()}
                if candidate not in known:
                    yield arch, candidate


def test_a_number_outside_the_table_is_allowed_by_number_alone() -> None:
    wrong = [
        (hex(arch), number)
        for arch, number in outside()
        if not bpf.is_constant_allow(PROGRAM, number, arch)
        or bpf.run(PROGRAM, number, arch, 0, with_pass([0] * 6)) != bpf.RET_ALLOW
        or bpf.run(PROGRAM, number, arch) != bpf.RET_ALLOW
    ]
    assert not wrong


def test_minus_one_is_allowed_on_every_arch() -> None:
    for abi in Abi:
        assert bpf.is_constant_allow(PROGRAM, -1, abi.audit_arch)


def test_what_is_refused_fails_on_every_abi_with_or_without_the_pass() -> None:
    for one in REFUSED:
        for abi, number in one.numbers().items():
            for args in ([0] * 6, with_pass([7] * 6)):
                assert decide(abi, number, args) == bpf.RET_ERRNO | one.errno


def test_the_x32_bit_means_nothing_on_i386() -> None:
    for number in rows(Abi.I386):
        assert decide(Abi.I386, number | X32_SYSCALL_BIT, [0] * 6) == bpf.RET_ALLOW


@pytest.mark.parametrize("arch", [0, 0xC000_00B7, 0x4000_0028, 0x4000_003E, 0xFFFF_FFFF])
def test_an_unknown_arch_is_allowed(arch: int) -> None:
    for _, number, _ in CALLS:
        assert bpf.is_constant_allow(PROGRAM, number, arch)


REFUSALS = {bpf.RET_ERRNO | one.errno for one in REFUSED}
DECISIONS = {bpf.RET_ALLOW, bpf.RET_USER_NOTIF, *REFUSALS}


@given(nr=st.integers(-(2**31), 2**31 - 1), arch=st.integers(0, 2**32 - 1), args=registers)
@example(nr=4, arch=0xC000_003E, args=[0] * 6)
def test_the_filter_only_ever_allows_notifies_or_refuses(
    nr: int, arch: int, args: list[int]
) -> None:
    assert bpf.run(PROGRAM, nr, arch, 0, args) in DECISIONS


# How it is made


def test_the_program_is_one_the_kernel_accepts_and_has_no_marker_left() -> None:
    bpf.check(PROGRAM)
    assert len(PROGRAM) < 4096
    returns = {i.k for i in PROGRAM if i.code == bpf.RET | bpf.K}
    assert returns == DECISIONS


def exported(table: tuple[Syscall, ...]) -> Program:
    """What libseccomp alone makes of the rows, markers and all."""
    seccomp = filters._import_pyseccomp()
    known = {abi: [row for row in table if row.number(abi) is not None] for abi in Abi}
    for abi, abi_rows in known.items():
        for row in abi_rows:
            if not filters._libseccomp_knows(seccomp, abi, row):
                pytest.skip(f"this libseccomp does not know {row.name} on {abi.value}")
    return filters._export(seccomp, known)


def spurious(row: Syscall) -> tuple[Masked, ...]:
    """One alternative, or two: on one argument, or on the first and the last."""
    first, last = row.arguments[0], row.arguments[-1]
    alternatives = (Masked(last, 0x70, 0x30), Masked(last, 0x3, 0x3), Masked(first, 0x41, 0x40))
    return {0: alternatives[:1], 1: alternatives[:2], 2: alternatives[::2]}[len(row.name) % 3]


SPURIOUS = tuple(
    attrs.evolve(row, traps=spurious(row)) if index % 3 == 0 and row.arguments else row
    for index, row in enumerate(TABLE)
)
"""The table with predicates on every third row, so that they are not a rare case."""


@pytest.fixture(scope="module", params=["table", "predicates"])
def table(request: pytest.FixtureRequest) -> tuple[Syscall, ...]:
    return TABLE if request.param == "table" else SPURIOUS


def calls() -> Iterator[tuple[int, int]]:
    """(arch, number) around everything the filters of both tables look at."""
    for arch in (Abi.X86_64.audit_arch, Abi.I386.audit_arch, 0xC000_00B7):
        for number in itertools.chain(range(512), range(X32_SYSCALL_BIT, X32_SYSCALL_BIT + 512)):
            yield arch, number


def registers() -> Iterator[list[int]]:
    """The same for the arguments."""
    for word in (0, 0x1, 0x2, 0x4, 0x30, 0x33, 0x40, 0x70, 0xFFFF_FFFF):
        yield [0xABCD_0000_0000 | word] * 6


def test_patched_and_plain_libseccomp_programs_agree(table: tuple[Syscall, ...]) -> None:
    plain = exported(table)
    patched = bpf.unpack(passes.patch_pass(filters.compile_filter(table, ()), PASS))
    for arch, number in calls():
        constant = bpf.is_constant_allow(plain, number, arch)
        assert bpf.is_constant_allow(patched, number, arch) == constant
        for args in () if constant else registers():
            decision = bpf.run(plain, number, arch, 0, args)
            marked = decision == filters.MARKER
            without = bpf.RET_USER_NOTIF if marked else decision
            assert bpf.run(patched, number, arch, 0, args) == without
            passing = with_pass(args)
            plain_passing = bpf.run(plain, number, arch, 0, passing)
            opened = bpf.RET_ALLOW if plain_passing == filters.MARKER else plain_passing
            assert bpf.run(patched, number, arch, 0, passing) == opened


SOME = ("fchmodat2", "renameat2", "faccessat")


@pytest.mark.parametrize("known", ["nothing", "not-some"])
def test_the_prelude_says_what_libseccomp_would(
    table: tuple[Syscall, ...], known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = bpf.unpack(passes.patch_pass(filters.compile_filter(table), PASS))

    really = filters._libseccomp_knows

    def knows(seccomp: Any, abi: Abi, row: Syscall) -> bool:
        return known != "nothing" and row.name not in SOME and really(seccomp, abi, row)

    monkeypatch.setattr(filters, "_libseccomp_knows", knows)
    blob = filters.compile_filter(table)
    program = bpf.unpack(passes.patch_pass(blob, PASS))
    bpf.check(program)
    assert program != usual
    for arch, number in calls():
        constant = bpf.is_constant_allow(usual, number, arch)
        assert bpf.is_constant_allow(program, number, arch) == constant
        for args in () if constant else registers():
            for chosen in (args, with_pass(args)):
                theirs = bpf.run(usual, number, arch, 0, chosen)
                assert bpf.run(program, number, arch, 0, chosen) == theirs


def test_a_number_that_no_libseccomp_knows_is_trapped_on_every_abi() -> None:
    row = attrs.evolve(
        next(row for row in TABLE if row.name == "fchmodat2"),
        name="fsc_no_such_call",
        x86_64=1900,
        i386=1901,
        traps=(Masked("flags", 0x100, 0x100), Masked("mode", 0x7, 0x1)),
        passes=True,
    )
    program = bpf.unpack(passes.patch_pass(filters.compile_filter((*TABLE, row)), PASS))
    for abi in Abi:
        number = row.number(abi)
        assert number is not None
        for high, alternative in itertools.product(HIGH_GARBAGE, range(2)):
            args = trapping(row, high, alternative)
            assert decide(abi, number, args, program) == bpf.RET_USER_NOTIF
        assert decide(abi, number, with_pass(trapping(row)), program) == bpf.RET_ALLOW
        assert decide(abi, number, [0] * 6, program) == bpf.RET_ALLOW
        assert bpf.is_constant_allow(program, number + 2, abi.audit_arch)


def test_an_empty_table_allows_everything() -> None:
    program = bpf.unpack(filters.compile_filter((), ()))
    assert all(bpf.is_constant_allow(program, number, abi.audit_arch) for abi, number, _ in CALLS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arguments": ("a", "b", "c", "d", "e", "f")}, "no register is left"),
        ({"traps": (Masked("path", 1 << 32, 0),)}, "exceeds 32 bits"),
        ({"traps": (Masked("path", 1, 2),)}, "can never hold"),
        ({"traps": (Masked("mask", 1, 1),)}, "has no argument mask"),
    ],
)
def test_a_row_that_no_filter_can_express_is_an_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(filters.FilterError, match=message):
        filters.compile_filter((attrs.evolve(TABLE[0], **change),))


def test_a_missing_libseccomp_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pyseccomp")
    usual = ctypes.util.find_library
    monkeypatch.setattr(
        "ctypes.util.find_library", lambda name: None if name == "seccomp" else usual(name)
    )
    with pytest.raises(filters.FilterError, match="libseccomp2"):
        filters.compile_filter()


def test_a_missing_pyseccomp_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(filters.FilterError, match="pyseccomp"):
        filters.compile_filter()


def test_the_dump_names_calls_actions_and_the_pass() -> None:
    text = bpf.disassemble(bpf.unpack(STOCK))
    assert len(text.splitlines()) == len(PROGRAM)
    for piece in ("# newfstatat", "# oldstat", "PASS.low", "PASS.high", "return USER_NOTIF"):
        assert piece in text
    for name in {row.name for row in TABLE}:
        assert re.search(rf"# .*\b{name}\b", text), name


# The pass


@given(st.integers(1, 2**64 - 1).filter(lambda value: value % 2**32))
@example(0x4C53_4150_4853_4150)
@example(0x4853_4150_4C53_4150)
def test_patching_changes_the_two_words_of_the_pass_and_nothing_else(value: int) -> None:
    before, after = bpf.unpack(STOCK), bpf.unpack(passes.patch_pass(STOCK, value))
    changed = [
        (old, new)
        for old, new in zip(before, after, strict=True)
        if old.k in (passes.PASS_LOW_PLACEHOLDER, passes.PASS_HIGH_PLACEHOLDER)
    ]
    assert [new.k for _, new in changed] == [value % 2**32, value >> 32]
    assert all(attrs.evolve(old, k=new.k) == new for old, new in changed)
    rest = [pair for pair in zip(before, after, strict=True) if pair not in changed]
    assert all(old == new for old, new in rest)


@pytest.mark.parametrize("value", [0, -1, 2**64, 1 << 32, 0xFFFF_FFFF << 32])
def test_a_pass_without_low_bits_or_beyond_64_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        passes.patch_pass(STOCK, value)


def test_a_program_is_patched_once_only() -> None:
    with pytest.raises(ValueError, match="unpatched"):
        passes.patch_pass(passes.patch_pass(STOCK, PASS), PASS)
    with pytest.raises(ValueError, match="unpatched"):
        passes.patch_pass(b"", PASS)


def test_the_module_of_a_plain_run_imports_nothing() -> None:
    program = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]);"
        "import fakeroot_sc.passes;"
        "print(*sorted(n for n in set(sys.modules) - before if 'fakeroot_sc' not in n))"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# The table and what is derived from it


@every_call
def test_numbers_are_those_of_system_calls(abi: Abi, number: int, row: Syscall) -> None:
    assert system_calls.syscalls().get(row.name, abi.value) == number


def test_no_number_is_listed_twice() -> None:
    for abi in Abi:
        assert len(rows(abi)) == sum(row.number(abi) is not None for row in TABLE)


def test_docs_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "syscalls.rst").read_text()
    assert page == generate.docs(), (
        "regenerate: python -m fakeroot_sc.syscalls.generate docs docs/syscalls.rst"
    )


def test_docs_tables_have_a_line_per_row() -> None:
    lines = [re.split(r"  +", line) for line in generate.docs().splitlines()]
    for row in TABLE:
        found = [line for line in lines if line[0] == row.name and line[-1] == row.reason]
        x32 = None if row.x32 is None else row.x32 & ~X32_SYSCALL_BIT
        numbers = [str(n) for n in (row.x86_64, x32, row.i386) if n is not None]
        assert any(line[1 : 1 + len(numbers)] == numbers for line in found), row.name


@pytest.fixture(scope="module")
def compiler() -> str:
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler: cc, gcc or clang")
    return found


ARGUMENTS = list(dict.fromkeys(argument for row in TABLE for argument in row.arguments))
DUMP_C = """\
#define FSC_SYSCALL_TABLES
#include "syscall_rows.h"
#include <stdio.h>
static const char *handlers[] = { PYTHON_HANDLER_NAMES };
static const char *families[] = { PYTHON_HANDLER_FAMILIES };
static const char *subjects[] = {
    [SUBJECT_NONE] = "none", [SUBJECT_FILE] = "file",
    [SUBJECT_DESCRIPTOR] = "descriptor", [SUBJECT_ENTRY] = "entry",
};
static const char *operations[] = { %(operations)s };
static const char *variants[] = { [VARIANT_NONE] = "-", %(variants)s };
static void dump(const char *abi, unsigned number, unsigned index)
{
    if (!index)
        return;
    const struct syscall_row *r = &syscall_rows[index - 1];
    int python = r->operation == OP_PYTHON;
    printf("%%s %%u %%s %%s %%s %%s %%s %%d %%x %%x", abi, number, r->name,
           python ? handlers[r->python_handler] : operations[r->operation],
           python ? families[r->python_handler] : "-", subjects[r->subject],
           variants[r->variant], r->passes, r->implied_flags, r->accepted_flags);
    if (!python && r->python_handler != PYTHON_HANDLER_NONE)
        printf(" handler");
    %(arguments)s
    printf("\\n");
}
int main(void)
{
    for (unsigned i = 0; i < SYSCALL_INDEX_X86_64_SIZE; i++)
        dump("x86_64", i, syscall_index_x86_64[i]);
    for (unsigned i = 0; i < SYSCALL_INDEX_I386_SIZE; i++)
        dump("i386", i, syscall_index_i386[i]);
    return SYSCALL_X32_BIT != 0x40000000 ||
           PYTHON_HANDLER_COUNT != sizeof handlers / sizeof *handlers;
}
"""


def test_the_generated_header_says_what_the_table_says(compiler: str, tmp_path: Path) -> None:
    native = sorted({row.operation for row in TABLE if row.home.value == "native"})
    variants = sorted({row.variant for row in TABLE if row.variant})
    source = DUMP_C % {
        "operations": ", ".join(f'[OP_{name.upper()}] = "{name}"' for name in native),
        "variants": ", ".join(f'[VARIANT_{name.upper()}] = "{name}"' for name in variants),
        "arguments": " ".join(f'printf(" %d", r->{argument});' for argument in ARGUMENTS),
    }
    (tmp_path / "dump.c").write_text(source)
    assert generate.main(["header", str(tmp_path / "syscall_rows.h")]) == 0
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-const-variable"]
    command = [compiler, *warnings, "dump.c", "-o", "dump"]
    subprocess.run(command, cwd=tmp_path, check=True)
    dumped = subprocess.run([tmp_path / "dump"], capture_output=True, text=True, check=True)
    wanted = []
    for abi in (Abi.X86_64, Abi.I386):
        numbered = list(rows(abi).items())
        if abi is Abi.X86_64:
            numbered += [(row.x32_own, row) for row in TABLE if row.x32_own is not None]
        for number, row in sorted(numbered, key=lambda pair: pair[0]):
            python = row.home.value == "python"
            fields: list[object] = [abi.value, number, row.name, row.operation]
            fields += [row.family if python else "-", row.subject.value, row.variant or "-"]
            fields += [int(row.passes), f"{row.implied_flags:x}", f"{row.accepted_flags:x}"]
            fields += [row.position(a) if a in row.arguments else -1 for a in ARGUMENTS]
            wanted.append(" ".join(map(str, fields)))
    assert dumped.stdout.splitlines() == wanted


def test_the_header_without_its_tables_defines_no_object(compiler: str, tmp_path: Path) -> None:
    (tmp_path / "syscall_rows.h").write_text(generate.header())
    (tmp_path / "user.c").write_text(
        '#include "syscall_rows.h"\n#include "syscall_rows.h"\n'
        "int operation(const struct syscall_row *row) { return row->operation == OP_STAT; }\n"
    )
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-c", "user.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert "syscall_index" not in (tmp_path / "user.o").read_bytes().decode("latin-1")


def _compiles(compiler: str, tmp_path: Path, text: str) -> bool:
    (tmp_path / "check.c").write_text(text)
    probe = subprocess.run(
        [compiler, "-E", "check.c"], cwd=tmp_path, capture_output=True, check=False
    )
    if probe.returncode:
        pytest.skip("the kernel headers of this ABI are missing: " + probe.stderr.decode())
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-c", "check.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("abi", Abi)
def test_numbers_are_those_of_the_kernel_headers(abi: Abi, compiler: str, tmp_path: Path) -> None:
    output = tmp_path / "generated.c"
    assert generate.main(["check", abi.value, str(output)]) == 0
    text = output.read_text()
    assert text.count("_Static_assert") == len(rows(abi))
    assert _compiles(compiler, tmp_path, text)


@pytest.mark.parametrize("abi", Abi)
def test_a_wrong_number_does_not_compile(abi: Abi, compiler: str, tmp_path: Path) -> None:
    text, replaced = re.subn(r"(__NR_fchown == 0x[0-9a-f]+)", r"\g<1>0", generate.check(abi))
    assert replaced == 1
    assert not _compiles(compiler, tmp_path, text)


def test_the_commands_write_their_output(tmp_path: Path) -> None:
    assert generate.main(["filter", str(tmp_path / "stock.bpf")]) == 0
    assert (tmp_path / "stock.bpf").read_bytes() == STOCK
    assert generate.main(["docs", str(tmp_path / "syscalls.rst")]) == 0
    assert (tmp_path / "syscalls.rst").read_text() == generate.docs()


def test_a_missing_library_ends_the_filter_command_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(SystemExit) as caught:
        generate.main(["filter", str(tmp_path / "stock.bpf")])
    assert caught.value.code == 1
    assert "pyseccomp" in capsys.readouterr().err
    assert not (tmp_path / "stock.bpf").exists()
