"""Derives from the table what the build and the reader need.

``python -m fakeroot_sc.syscalls.generate WHAT OUTPUT``, run by meson with the source
root in PYTHONPATH:

* ``header``: ``syscall_rows.h``, the native dispatch table;
* ``check ABI``: a C file that compiles only if the numbers are those of the kernel headers;
* ``check constants``: the same for the kernel's constants that are written in Python;
* ``filter``: the stock filter, an array of struct sock_filter (needs pyseccomp);
* ``docs``: ``docs/syscalls.rst``.
"""

from __future__ import annotations

import argparse
import errno
import functools
import itertools
import operator
from collections.abc import Iterable, Sequence
from pathlib import Path

from fakeroot_sc.filter import FilterError, compile_filter
from fakeroot_sc.syscalls import constants
from fakeroot_sc.syscalls.row import X32_SYSCALL_BIT, Abi, Home, Masked, Subject, Syscall, any_bit
from fakeroot_sc.syscalls.table import REFUSED, TABLE
from fakeroot_sc.syscalls.untrapped import UNTRAPPED, Kind

_COMMAND = "python -m fakeroot_sc.syscalls.generate"
_C_HEADING = f"""\
// SPDX-License-Identifier: Apache-2.0
//
// Generated from fakeroot_sc/syscalls/table.py by
// {_COMMAND} {{what}}
// Do not edit.
"""
_KERNEL_HEADERS = {
    Abi.X86_64: "asm/unistd_64.h",
    Abi.X32: "asm/unistd_x32.h",
    Abi.I386: "asm/unistd_32.h",
}
_INDEXED = (Abi.X86_64, Abi.I386)
"""x32 shares the x86-64 index."""
_NO_HANDLER = 0xFF


def header() -> str:
    """syscall_rows.h; ValueError if the table outgrows the field widths of the header."""
    operations = _unique(row.operation for row in TABLE if row.home is Home.NATIVE)
    handlers = _handlers()
    arguments = _unique(argument for row in TABLE for argument in row.arguments)
    if len(TABLE) > 0xFF or len(handlers) >= _NO_HANDLER:
        raise ValueError("a row or handler number exceeds 8 bits")
    variants = _unique(row.variant for row in TABLE if row.variant)
    subjects = [f"SUBJECT_{subject.name}" for subject in Subject]
    lines = [
        _C_HEADING.format(what="header") + "#ifndef FSC_SYSCALL_ROWS_H",
        "#define FSC_SYSCALL_ROWS_H",
        "",
        "#include <stdint.h>",
        "",
        "// What answers: a function in ops_*.c, or a Python handler.",
        *_enum("operation", [*(_name("OP", name) for name in operations), "OP_PYTHON"]),
        "// X(name, NAME) for every native operation: its handler is op_name().",
        "#define NATIVE_OPERATIONS(X) \\",
        *_continued(f"X({name}, {name.upper()})" for name in operations),
        "",
        "// How a call names the file it is about.",
        *_enum("subject_kind", subjects),
        "// Data layouts among the calls of one operation.",
        *_enum("variant", ["VARIANT_NONE", *(_name("VARIANT", name) for name in variants)]),
        "// The handler of an OP_PYTHON row: a position in PYTHON_HANDLER_NAMES.",
        *_enum(
            "python_handler",
            [
                *(_name("PYTHON_HANDLER", name) for name in handlers),
                f"PYTHON_HANDLER_NONE = {_NO_HANDLER:#x}",
            ],
        ),
        f"#define PYTHON_HANDLER_COUNT {len(handlers)}",
        "",
        "// Initialisers of arrays of strings: each handler's function, and the module",
        "// of fakeroot_sc.syscalls that has it.",
        f"#define PYTHON_HANDLER_NAMES {_strings(handlers)}",
        f"#define PYTHON_HANDLER_FAMILIES {_strings(handlers.values())}",
        "",
        f"#define SYSCALL_X32_BIT {X32_SYSCALL_BIT:#x}",
        f"#define SYSCALL_ROW_COUNT {len(TABLE)}",
        *(f"#define {_index_size(abi)} {max(_numbers(abi)) + 1}" for abi in _INDEXED),
        "",
        "struct syscall_row {",
        "\tconst char *name;",
        "\tuint8_t operation;      // enum operation",
        "\tuint8_t subject;        // enum subject_kind",
        "\tuint8_t variant;        // enum variant",
        "\tuint8_t passes;         // 1: the shim may make the call itself",
        "\tuint8_t python_handler; // enum python_handler",
        "\tuint32_t implied_flags;  // AT_* flags of a call without an argument for them",
        "\tuint32_t accepted_flags; // what its flags argument may carry, else EINVAL",
        "",
        "\t// Register index of each argument, -1 where the call has none.",
        *(f"\tint8_t {argument};" for argument in arguments),
        "};",
        "",
        "#ifdef FSC_SYSCALL_TABLES",
        "",
        "// clang-format off",
        "static const struct syscall_row syscall_rows[SYSCALL_ROW_COUNT] = {",
    ]
    for position, row in enumerate(TABLE):
        lines += _row(position, row, arguments)
    lines += ["};", ""]
    for abi in _INDEXED:
        lines += [
            f"// {abi.value}: number to position in syscall_rows plus 1, 0: not ours."
            + (" For x32, remove SYSCALL_X32_BIT." if abi is Abi.X86_64 else ""),
            f"static const uint8_t syscall_index_{abi.value}[{_index_size(abi)}] = {{",
            *(
                f"\t[{number}] = {position + 1}, // {TABLE[position].name}"
                for number, position in sorted(_numbers(abi).items())
            ),
            "};",
            "",
        ]
    lines += ["// clang-format on", "", "#endif // FSC_SYSCALL_TABLES", "", "#endif", ""]
    return "\n".join(lines)


def check(abi: Abi) -> str:
    """A C file that compiles only if the kernel headers agree with the ABI's numbers.

    Calls that the headers do not know yet are left out by the preprocessor.
    """
    lines = [_C_HEADING.format(what=f"check {abi.value}")]
    if abi is Abi.X32:
        # <asm/unistd.h> defines it, and includes the numbers of the wrong ABI.
        lines += [f"#define __X32_SYSCALL_BIT {X32_SYSCALL_BIT:#x}"]
    lines += [f"#include <{_KERNEL_HEADERS[abi]}>", ""]
    for row in TABLE:
        number = row.number(abi)
        if number is not None:
            lines += [
                f"#ifdef __NR_{row.name}",
                f'_Static_assert(__NR_{row.name} == {number:#x}, "{row.name} on {abi.value}");',
                "#endif",
            ]
    return "\n".join([*lines, ""])


def docs() -> str:
    """docs/syscalls.rst."""
    parts = [
        f"""\
.. Generated from fakeroot_sc/syscalls/table.py. Do not edit; to regenerate:
   {_COMMAND} docs docs/syscalls.rst

System calls
============

Every call of the kernel (up to Linux 6.18): those that are faked, by family, those that are
refused, then those that go straight to it, real or irrelevant.
This page is generated from ``table.py`` and ``untrapped.py`` in ``fakeroot_sc/syscalls`` by
``{_COMMAND} docs docs/syscalls.rst``.

x86-64, x32, i386
  the call's number. An x32 program adds {X32_SYSCALL_BIT:#x} to the number shown.
traps
  when the call is sent to the supervisor: always, or while a condition on an argument holds.
home
  who answers: the native loop, or a Python handler.
passes
  whether the shim may make the call itself, under the session's pass.
"""
    ]
    for family, group in itertools.groupby(TABLE, key=lambda row: row.family):
        heading = ("call", "x86-64", "x32", "i386", "traps", "home", "passes", "reason")
        cells = [_docs_cells(row) for row in group]
        parts += [f"\n{family}\n{'-' * len(family)}\n\n", _rst_table(heading, cells)]
    return "".join(parts) + _docs_refused() + _docs_untrapped()


def _docs_refused() -> str:
    cells = [(one.name, str(one.number), errno.errorcode[one.errno], one.reason) for one in REFUSED]
    return "\nRefused\n-------\n\n" + _rst_table(("call", "number", "error", "reason"), cells)


def _docs_untrapped() -> str:
    meaning = {
        Kind.REAL: "touches files, ids or privileges; the kernel answers by the user's real ones",
        Kind.IRRELEVANT: "neither shows nor changes what is remembered",
    }
    parts = ["\nNever trapped\n-------------\n\n"]
    parts += [f"{kind.value}\n  {text}.\n" for kind, text in meaning.items()]
    cells = [(name, group.kind.value, group.reason) for group in UNTRAPPED for name in group.names]
    return "".join([*parts, "\n", _rst_table(("call", "class", "reason"), cells)])


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog=_COMMAND, description="Derive files from the table.")
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("header", help="C header of the native dispatch table")
    checks = commands.add_parser("check", help="C file that checks numbers, or constants")
    checks.add_argument("abi", choices=[*(abi.value for abi in Abi), "constants"])
    commands.add_parser("filter", help="stock seccomp filter")
    commands.add_parser("docs", help="docs/syscalls.rst")
    for command in commands.choices.values():
        command.add_argument("output", type=Path)
    options = parser.parse_args(argv)
    if options.what == "filter":
        try:
            options.output.write_bytes(compile_filter())
        except FilterError as error:
            parser.exit(1, f"{parser.prog}: {error}\n")
        return 0
    if options.what == "check" and options.abi == "constants":
        package = Path(__file__).parents[1]
        text = _C_HEADING.format(what="check constants") + constants.check(package)
    elif options.what == "check":
        text = check(Abi(options.abi))
    else:
        text = header() if options.what == "header" else docs()
    options.output.write_text(text, encoding="ascii")
    return 0


def _handlers() -> dict[str, str]:
    """The family of each Python handler; ValueError if two families share a handler's name."""
    found: dict[str, str] = {}
    for row in TABLE:
        if row.home is Home.PYTHON and found.setdefault(row.operation, row.family) != row.family:
            raise ValueError(f"handler {row.operation} belongs to two families")
    return found


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _name(prefix: str, name: str) -> str:
    return f"{prefix}_{name.upper()}"


def _enum(name: str, members: list[str]) -> list[str]:
    return [f"enum {name} {{", *(f"\t{member}," for member in members), "};", ""]


def _continued(parts: Iterable[str]) -> list[str]:
    """Lines of a macro, each but the last one continued."""
    lines = [f"\t{part}" for part in parts]
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def _strings(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _numbers(abi: Abi) -> dict[int, int]:
    """Position in TABLE by number; ValueError if two rows share a number.

    The index of x86-64 is x32's, too: no number is one call there and another here.
    """
    found: dict[int, int] = {}
    for position, row in enumerate(TABLE):
        numbers = [row.number(abi)]
        if abi is Abi.X86_64:
            numbers.append(row.x32_own)
        for number in numbers:
            if number is not None and found.setdefault(number, position) != position:
                raise ValueError(f"two rows have number {number} on {abi.value}")
    return found


def _index_size(abi: Abi) -> str:
    return f"SYSCALL_INDEX_{abi.name}_SIZE"


def _row(position: int, row: Syscall, arguments: list[str]) -> list[str]:
    native = row.home is Home.NATIVE
    operation = _name("OP", row.operation) if native else "OP_PYTHON"
    variant = _name("VARIANT", row.variant or "none")
    handler = _name("PYTHON_HANDLER", "none" if native else row.operation)
    registers = [
        f".{argument} = {row.position(argument) if argument in row.arguments else -1}"
        for argument in arguments
    ]
    abis = [f"{abi.value} {row.number(abi)}" for abi in _INDEXED if row.number(abi) is not None]
    return [
        f"\t[{position}] = {{ // {', '.join(abis)}",
        f'\t\t.name = "{row.name}", .operation = {operation}, .variant = {variant},',
        f"\t\t.subject = SUBJECT_{row.subject.name}, .passes = {int(row.passes)},",
        f"\t\t.python_handler = {handler},",
        f"\t\t.implied_flags = {row.implied_flags:#x}, .accepted_flags = {row.accepted_flags:#x},",
        *(f"\t\t{', '.join(registers[i : i + 6])}," for i in range(0, len(registers), 6)),
        "\t},",
    ]


def _docs_cells(row: Syscall) -> tuple[str, ...]:
    x86_64 = "" if row.x86_64 is None else str(row.x86_64)
    x32 = "" if row.x32 is None else str(row.x32 & ~X32_SYSCALL_BIT)
    i386 = "" if row.i386 is None else str(row.i386)
    home = row.home.value
    passes = "yes" if row.passes else "no"
    return (row.name, x86_64, x32, i386, _condition(row.traps), home, passes, row.reason)


def _condition(traps: tuple[Masked, ...]) -> str:
    if not traps:
        return "always"
    argument, mask = traps[0].argument, functools.reduce(operator.or_, (one.mask for one in traps))
    if len(traps) > 1 and traps == any_bit(argument, mask):
        return f"while {argument} has any bit of {mask:#x}"
    return "while " + " or ".join(map(_alternative, traps))


def _alternative(masked: Masked) -> str:
    if masked.value == 0:
        return f"{masked.argument} has no bit of {masked.mask:#x}"
    if masked.value == masked.mask:
        return f"{masked.argument} has all bits of {masked.mask:#x}"
    return f"{masked.argument} & {masked.mask:#x} is {masked.value:#x}"


def _rst_table(heading: tuple[str, ...], cells: Sequence[tuple[str, ...]]) -> str:
    """A reStructuredText simple table."""
    lines = [heading, *cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heading))]
    rule = "  ".join("=" * width for width in widths) + "\n"

    def text(line: tuple[str, ...]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        return "  ".join(padded).rstrip() + "\n"

    return rule + text(heading) + rule + "".join(map(text, cells)) + rule


if __name__ == "__main__":
    raise SystemExit(main())
