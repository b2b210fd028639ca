"""Compiles the seccomp filter from the table of system calls.

libseccomp (by way of pyseccomp) builds one balanced tree of numbers per arch.
What it cannot say is patched here, by label:

* a call under the session's pass is let through: rows with passes=True get a
  marker action, and each ``RET marker`` becomes a jump to an epilogue that
  compares ``args[5] ^ args[1]`` with the pass (libseccomp knows no XOR);
* numbers that libseccomp does not know go into a prelude of raw BPF (it translates
  by name, so on a foreign arch a number above its tables cannot be given).

Arguments are looked at only after the number has matched, so that the kernel's
bitmap of constantly allowed numbers (Linux 5.11) holds every number not in the table.

Importing this module imports attrs; pyseccomp is imported by the functions that
compile (29-47 ms).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from fakeroot_sc import bpf
from fakeroot_sc.passes import PASS_HIGH_PLACEHOLDER, PASS_LOW_PLACEHOLDER, patch_pass
from fakeroot_sc.syscalls.row import Abi, Refusal, Syscall
from fakeroot_sc.syscalls.table import REFUSED, TABLE

MARKER = bpf.RET_TRACE | 0x5C5C
"""The action libseccomp gives to rows with passes=True; none is left in the end."""

PASS_ARGUMENT = 5
BOUND_ARGUMENT = 1
"""The pass is xored with this register, so that it fits one call only."""

_API_LEVEL = 5
"""seccomp_api_get(3): libseccomp 2.5, SECCOMP_RET_USER_NOTIF."""


class FilterError(RuntimeError):
    """The filter cannot be compiled; the message is for the user."""


def compile_filter(table: Iterable[Syscall] = TABLE, refused: Iterable[Refusal] = REFUSED) -> bytes:
    """The filter for all ABIs: an array of struct sock_filter with placeholders for the pass.

    FilterError if pyseccomp or libseccomp is missing or too old, or if a row
    cannot be expressed.
    """
    table, refused = tuple(table), tuple(refused)
    for row in table:
        _check_row(row)
    seccomp = _import_pyseccomp()
    known: dict[Abi, list[Syscall]] = {}
    unknown: dict[Abi, list[Syscall]] = {}
    for abi in Abi:
        for row in table:
            if row.number(abi) is not None:
                into = known if _libseccomp_knows(seccomp, abi, row) else unknown
                into.setdefault(abi, []).append(row)

    assembler = bpf.Assembler()
    _skip_for_most(assembler, refused, unknown)
    _add_refusals(assembler, refused)
    _add_prelude(assembler, unknown)
    assembler.label("usual number")
    assembler.append(_export(seccomp, known), {MARKER: "pass"})
    _add_epilogue(assembler, {one.errno for one in refused})
    program = assembler.assemble()
    bpf.check(program)
    blob = bpf.pack(program)
    patch_pass(blob, 1)  # raises unless both placeholders can be found
    return blob


def _check_row(row: Syscall) -> None:
    if row.passes and len(row.arguments) > PASS_ARGUMENT:
        raise FilterError(f"{row.name}: no register is left for the pass")
    for masked in row.traps:
        if masked.mask >> 32 or masked.value & ~masked.mask:
            raise FilterError(f"{row.name}: the predicate can never hold or exceeds 32 bits")
        if masked.argument not in row.arguments:
            raise FilterError(f"{row.name}: has no argument {masked.argument}")


def _import_pyseccomp() -> Any:
    """The module pyseccomp, or FilterError that names what to install."""
    try:
        import pyseccomp
    except ImportError as error:
        raise FilterError("compiling a filter needs the Python package pyseccomp") from error
    except (RuntimeError, OSError) as error:
        raise FilterError(
            "compiling a filter needs the library libseccomp.so.2, which was not found"
            " (Debian, Ubuntu: package libseccomp2; elsewhere: libseccomp)"
        ) from error
    try:
        # The kernel that compiles need not be the one that runs: without this,
        # libseccomp refuses NOTIFY where the running kernel lacks it.
        pyseccomp.set_api(_API_LEVEL)
    except (OSError, NotImplementedError) as error:
        raise FilterError("compiling a filter needs libseccomp 2.5 or newer") from error
    return pyseccomp


def _libseccomp_arch(seccomp: Any, abi: Abi) -> int:
    arches = {
        Abi.X86_64: seccomp.Arch.X86_64,
        Abi.X32: seccomp.Arch.X32,
        Abi.I386: seccomp.Arch.X86,
    }
    return int(arches[abi])


def _libseccomp_knows(seccomp: Any, abi: Abi, row: Syscall) -> bool:
    return bool(
        seccomp.resolve_syscall(_libseccomp_arch(seccomp, abi), row.name) == row.number(abi)
    )


def _export(seccomp: Any, known: dict[Abi, list[Syscall]]) -> list[bpf.Instruction]:
    """libseccomp's program for rows it knows, with MARKER for those with passes=True."""
    merged: Any = None
    for abi, table in known.items():
        one = seccomp.SyscallFilter(seccomp.ALLOW)
        # One filter per arch, merged: a name that is foreign to an arch would
        # else leave a dead comparison in it.
        one.remove_arch(seccomp.Arch.NATIVE)
        one.add_arch(_libseccomp_arch(seccomp, abi))
        one.set_attr(seccomp.Attr.API_SYSRAWRC, 1)
        one.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.ALLOW)
        one.set_attr(seccomp.Attr.CTL_OPTIMIZE, 2)
        for row in table:
            _add_rules(seccomp, one, row)
        if merged is None:
            merged = one
        else:
            merged.merge(one)
    if merged is None:
        return [bpf.Instruction(bpf.RET | bpf.K, k=bpf.RET_ALLOW)]
    with open(os.memfd_create("filter"), "rb") as file:
        merged.export_bpf(file)
        file.seek(0)
        return bpf.unpack(file.read())


def _add_rules(seccomp: Any, one: Any, row: Syscall) -> None:
    # Numbers are those of the native arch, or negative stand-ins, on every arch.
    number = seccomp.resolve_syscall(seccomp.Arch.NATIVE, row.name)
    # MASKED_EQ with a 32-bit mask: EQ would compare 64 bits, and the high half
    # of a register that holds an int is garbage.
    conditions = [
        [seccomp.Arg(row.position(masked.argument), seccomp.MASKED_EQ, masked.mask, masked.value)]
        for masked in row.traps
    ]
    try:
        # Several rules of one number are alternatives.
        for alternative in conditions or [[]]:
            one.add_rule_exactly(MARKER if row.passes else seccomp.NOTIFY, number, *alternative)
    except OSError as error:
        raise FilterError(f"libseccomp refuses the rule for {row.name}: {error}") from error


def _skip_for_most(
    assembler: bpf.Assembler, refused: tuple[Refusal, ...], unknown: dict[Abi, list[Syscall]]
) -> None:
    """Numbers below all that need raw BPF: one comparison in place of some thirty."""
    numbers = [number for one in refused for number in one.numbers().values()]
    numbers += [row.number(abi) or 0 for abi, rows in unknown.items() for row in rows]
    if numbers:
        assembler.load_nr()
        assembler.jump_if(bpf.JGE, min(numbers), false="usual number")


def _add_refusals(assembler: bpf.Assembler, refused: tuple[Refusal, ...]) -> None:
    """Raw BPF: the same number on every ABI. Falls through for all others."""
    for arch in dict.fromkeys(abi.audit_arch for abi in Abi) if refused else ():
        assembler.load_arch()
        assembler.jump_if(bpf.JEQ, arch, false=f"none refused on {arch:#x}")
        assembler.load_nr()
        for one in refused:
            for abi, number in one.numbers().items():
                if abi.audit_arch == arch:
                    assembler.jump_if(bpf.JEQ, number, true=f"refuse with {one.errno}")
        assembler.label(f"none refused on {arch:#x}")


def _add_prelude(assembler: bpf.Assembler, unknown: dict[Abi, list[Syscall]]) -> None:
    """Raw BPF for rows that libseccomp does not know; falls through for all others."""
    for arch in dict.fromkeys(abi.audit_arch for abi in unknown):
        table = [(abi, row) for abi in unknown if abi.audit_arch == arch for row in unknown[abi]]
        assembler.load_arch()
        assembler.jump_if(bpf.JEQ, arch, false=f"not {arch:#x}")
        assembler.load_nr()
        for abi, row in table:
            number = row.number(abi)
            assert number is not None
            outcome = "pass" if row.passes else "trap"
            target = f"predicate of {abi.value} {number}" if row.traps else outcome
            assembler.jump_if(bpf.JEQ, number, true=target)
        assembler.jump(f"not {arch:#x}")
        for abi, row in table:
            if row.traps:
                assembler.label(f"predicate of {abi.value} {row.number(abi)}")
                for masked in row.traps:
                    assembler.load_argument(row.position(masked.argument))
                    assembler.alu(bpf.AND, masked.mask)
                    outcome = "pass" if row.passes else "trap"
                    assembler.jump_if(bpf.JEQ, masked.value, true=outcome)
                assembler.jump("allow")
        assembler.label(f"not {arch:#x}")


def _add_epilogue(assembler: bpf.Assembler, errors: Iterable[int]) -> None:
    """Allows the call that carries the pass, and traps every other; and what refuses."""

    def load_bound_pass(high: bool) -> None:
        assembler.load_argument(BOUND_ARGUMENT, high)
        assembler.tax()
        assembler.load_argument(PASS_ARGUMENT, high)
        assembler.alu_x(bpf.XOR)

    assembler.label("pass")
    load_bound_pass(high=False)
    assembler.jump_if(bpf.JEQ, PASS_LOW_PLACEHOLDER, false="trap")
    assembler.load_arch()
    assembler.jump_if(bpf.JEQ, Abi.I386.audit_arch, true="allow")
    load_bound_pass(high=True)
    assembler.jump_if(bpf.JEQ, PASS_HIGH_PLACEHOLDER, false="trap")
    assembler.label("allow")
    assembler.ret(bpf.RET_ALLOW)
    assembler.label("trap")
    assembler.ret(bpf.RET_USER_NOTIF)
    for error in sorted(errors):
        assembler.label(f"refuse with {error}")
        assembler.ret(bpf.RET_ERRNO | error)
