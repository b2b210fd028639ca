"""Classic BPF as seccomp(2) uses it: assemble, check, simulate, disassemble.

A program is a sequence of :class:`Instruction`; on the way to the kernel and in
files it is an array of ``struct sock_filter``, little endian (x86).  Sources:
seccomp(2), ``<linux/filter.h>``, ``<linux/seccomp.h>``, and in the kernel
``bpf_check_classic`` (net/core/filter.c), ``seccomp_check_filter`` and
``seccomp_is_const_allow`` (kernel/seccomp.c).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import attrs

from fakeroot_sc.passes import PASS_HIGH_PLACEHOLDER, PASS_LOW_PLACEHOLDER
from fakeroot_sc.syscalls.row import X32_SYSCALL_BIT, Abi
from fakeroot_sc.syscalls.table import rows

LD, LDX, ST, STX, ALU, JMP, RET, MISC = range(8)
W = 0x00
IMM, ABS, MEM, LEN = 0x00, 0x20, 0x60, 0x80
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG = range(0x00, 0x90, 0x10)
XOR = 0xA0
JA, JEQ, JGT, JGE, JSET = 0x00, 0x10, 0x20, 0x30, 0x40
K, X, A = 0x00, 0x08, 0x10
TAX, TXA = 0x00, 0x80

RET_KILL_PROCESS = 0x8000_0000
RET_KILL_THREAD = 0x0000_0000
RET_TRAP = 0x0003_0000
RET_ERRNO = 0x0005_0000
RET_USER_NOTIF = 0x7FC0_0000
RET_TRACE = 0x7FF0_0000
RET_LOG = 0x7FFC_0000
RET_ALLOW = 0x7FFF_0000

MAX_INSTRUCTIONS = 4096
"""BPF_MAXINSNS."""
DATA_SIZE = 64
"""sizeof(struct seccomp_data)."""
OFFSET_NR = 0
OFFSET_ARCH = 4
OFFSET_IP = 8
OFFSET_ARGS = 16
MEMORY_WORDS = 16

_WORD = 0xFFFF_FFFF
_SOCK_FILTER = struct.Struct("<HBBI")
_SECCOMP_DATA = struct.Struct("<IIQ6Q")

_ALU_OPERATIONS = (ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, XOR)
_CONDITIONS = (JEQ, JGT, JGE, JSET)

# seccomp_check_filter(): a subset of classic BPF, without MOD, RET X, MSH and packet loads.
ALLOWED_CODES = frozenset(
    [LD | W | ABS, LD | W | LEN, LD | IMM, LD | MEM, LDX | W | LEN, LDX | IMM, LDX | MEM, ST, STX]
    + [ALU | operation | source for operation in _ALU_OPERATIONS for source in (K, X)]
    + [ALU | NEG, JMP | JA]
    + [JMP | condition | source for condition in _CONDITIONS for source in (K, X)]
    + [RET | K, RET | A, MISC | TAX, MISC | TXA]
)


class BpfError(ValueError):
    """A program the kernel would refuse, or a label that cannot be reached."""


@attrs.frozen
class Instruction:
    """One ``struct sock_filter``: code 16 bits, jt and jf 8 bits, k 32 bits, all unsigned."""

    code: int
    jt: int = 0
    jf: int = 0
    k: int = 0


Program = Sequence[Instruction]


def pack(program: Program) -> bytes:
    """The array of struct sock_filter; BpfError if a field does not fit."""
    try:
        return b"".join(_SOCK_FILTER.pack(i.code, i.jt, i.jf, i.k) for i in program)
    except struct.error as error:
        raise BpfError(f"field out of range: {error}") from error


def unpack(blob: bytes) -> list[Instruction]:
    """The inverse of :func:`pack`; BpfError unless the size is a multiple of 8 bytes."""
    if len(blob) % _SOCK_FILTER.size:
        raise BpfError(f"{len(blob)} bytes are not a whole number of instructions")
    return [Instruction(*fields) for fields in _SOCK_FILTER.iter_unpack(blob)]


def argument_offset(index: int, high: bool = False) -> int:
    """Where a half of args[index] lies in seccomp_data (bytes, little endian)."""
    return OFFSET_ARGS + 8 * index + (4 if high else 0)


@attrs.frozen
class _Jump:
    """A jump by label; None is the next instruction."""

    code: int
    k: int
    true: str | None
    false: str | None


class Assembler:
    """Collects instructions and labels; :meth:`assemble` resolves the jumps.

    A conditional jump reaches 255 instructions: a farther one goes through a JA
    that the assembler adds.
    """

    def __init__(self) -> None:
        self._items: list[Instruction | _Jump] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """Names the next instruction; BpfError if the name is taken."""
        if name in self._labels:
            raise BpfError(f"label {name!r} is defined twice")
        self._labels[name] = len(self._items)

    def emit(self, code: int, k: int = 0) -> None:
        """Appends an instruction that is not a jump."""
        self._items.append(Instruction(code, k=k))

    def load(self, offset: int) -> None:
        """A = the 32-bit word of seccomp_data at that offset (bytes)."""
        self.emit(LD | W | ABS, offset)

    def load_nr(self) -> None:
        self.load(OFFSET_NR)

    def load_arch(self) -> None:
        self.load(OFFSET_ARCH)

    def load_argument(self, index: int, high: bool = False) -> None:
        self.load(argument_offset(index, high))

    def tax(self) -> None:
        self.emit(MISC | TAX)

    def txa(self) -> None:
        self.emit(MISC | TXA)

    def alu(self, operation: int, k: int) -> None:
        self.emit(ALU | operation | K, k)

    def alu_x(self, operation: int) -> None:
        self.emit(ALU | operation | X)

    def ret(self, value: int) -> None:
        self.emit(RET | K, value)

    def jump(self, label: str) -> None:
        self._items.append(_Jump(JMP | JA, 0, label, None))

    def jump_if(
        self, condition: int, k: int, true: str | None = None, false: str | None = None
    ) -> None:
        """Compares A with k by JEQ, JGT, JGE or JSET; None falls through."""
        self._items.append(_Jump(JMP | condition | K, k, true, false))

    def append(self, program: Program, returns: Mapping[int, str] | None = None) -> None:
        """Appends a finished program; ``RET value`` becomes a jump to returns[value]."""
        base = len(self._items)

        def target(position: int) -> str:
            name = f"instruction {base + position}"
            self._labels.setdefault(name, base + position)
            return name

        for position, instruction in enumerate(program):
            after = position + 1
            if instruction.code == JMP | JA:
                self.jump(target(after + instruction.k))
            elif instruction.code & 7 == JMP:
                true, false = target(after + instruction.jt), target(after + instruction.jf)
                self._items.append(_Jump(instruction.code, instruction.k, true, false))
            elif returns and instruction.code == RET | K and instruction.k in returns:
                self.jump(returns[instruction.k])
            else:
                self._items.append(instruction)

    def assemble(self) -> list[Instruction]:
        """The program; BpfError for an unknown label or a backward jump."""
        trampolines: set[tuple[int, bool]] = set()
        while True:
            addresses = self._addresses(trampolines)
            far = {
                (position, side)
                for position, item in enumerate(self._items)
                if isinstance(item, _Jump) and item.code != JMP | JA
                for side, label in ((True, item.true), (False, item.false))
                if label is not None
                and self._address(label, addresses) - addresses[position] - 1 > 255
            }
            # A trampoline is never taken back: sizes only grow, so this ends.
            if far <= trampolines:
                break
            trampolines |= far
        program: list[Instruction] = []
        for position, item in enumerate(self._items):
            if isinstance(item, Instruction):
                program.append(item)
            else:
                program += self._encode(position, item, addresses, trampolines)
        return program

    def _addresses(self, trampolines: set[tuple[int, bool]]) -> list[int]:
        addresses = [0]
        for position in range(len(self._items)):
            extra = ((position, True) in trampolines) + ((position, False) in trampolines)
            addresses.append(addresses[-1] + 1 + extra)
        return addresses

    def _address(self, label: str, addresses: list[int]) -> int:
        if label not in self._labels:
            raise BpfError(f"label {label!r} is not defined")
        return addresses[self._labels[label]]

    def _encode(
        self, position: int, item: _Jump, addresses: list[int], trampolines: set[tuple[int, bool]]
    ) -> list[Instruction]:
        here, following = addresses[position], addresses[position + 1]

        def offset(label: str | None, source: int) -> int:
            target = following if label is None else self._address(label, addresses)
            if target <= source:
                raise BpfError(f"jump backwards to {label!r}: seccomp programs have no loops")
            return target - source - 1

        if item.code == JMP | JA:
            return [Instruction(item.code, k=offset(item.true, here))]
        jumps: list[Instruction] = []
        short: dict[bool, int] = {}
        for side, label in ((True, item.true), (False, item.false)):
            if (position, side) in trampolines:
                short[side] = len(jumps)
                source = here + 1 + len(jumps)
                jumps.append(Instruction(JMP | JA, k=offset(label, source)))
            else:
                short[side] = offset(label, here)
        return [Instruction(item.code, short[True], short[False], item.k), *jumps]


def check(program: Program) -> None:
    """BpfError for what seccomp(2) refuses with EINVAL.

    Not looked at: a read of scratch memory before any write (:func:`run` does).
    """
    if not 0 < len(program) <= MAX_INSTRUCTIONS:
        raise BpfError(f"{len(program)} instructions, not 1 to {MAX_INSTRUCTIONS}")
    for position, instruction in enumerate(program):
        problem = _problem(instruction, len(program) - position - 1)
        if problem:
            raise BpfError(f"instruction {position}: {problem}")
    if program[-1].code not in (RET | K, RET | A):
        raise BpfError("the last instruction is not a RET")


def _problem(instruction: Instruction, remaining: int) -> str:
    """What is wrong with one instruction that has so many behind it, or ""."""
    code, k = instruction.code, instruction.k
    if code not in ALLOWED_CODES:
        return f"unknown opcode {code:#x}"
    if code == LD | W | ABS and (k % 4 or k >= DATA_SIZE):
        return f"load of seccomp_data at {k}, out of range or unaligned"
    if code in (LD | MEM, LDX | MEM, ST, STX) and k >= MEMORY_WORDS:
        return f"scratch memory word {k} is out of range"
    if code == ALU | DIV | K and k == 0:
        return "division by zero"
    if code in (ALU | LSH | K, ALU | RSH | K) and k >= 32:
        return f"shift by {k} bits"
    if code == JMP | JA:
        farthest = k
    else:
        farthest = max(instruction.jt, instruction.jf) if code & 7 == JMP else -1
    return "jump out of the program" if farthest >= remaining else ""


def run(program: Program, nr: int, arch: int, ip: int = 0, args: Iterable[int] = ()) -> int:
    """What the program returns for a call, as the kernel would compute it.

    ``nr`` may be negative, ``args`` are up to six 64-bit registers (the rest 0).
    BpfError for an opcode or load that seccomp refuses, and for running off the end.
    """
    return _execute(program, nr, arch, ip, args)[0]


def count_steps(program: Program, nr: int, arch: int, ip: int = 0, args: Iterable[int] = ()) -> int:
    """How many instructions :func:`run` executes."""
    return _execute(program, nr, arch, ip, args)[1]


def _execute(program: Program, nr: int, arch: int, ip: int, args: Iterable[int]) -> tuple[int, int]:
    registers = [argument & (1 << 64) - 1 for argument in args]
    registers += [0] * (6 - len(registers))
    data = _SECCOMP_DATA.pack(nr & _WORD, arch, ip, *registers)
    a = x = 0
    memory: list[int | None] = [None] * MEMORY_WORDS
    position = steps = 0
    while position < len(program):
        instruction = program[position]
        code, k = instruction.code, instruction.k
        problem = _problem(instruction, len(program) - position - 1)
        if problem:
            raise BpfError(f"instruction {position}: {problem}")
        position += 1
        steps += 1
        operand = x if code & X else k
        match code & 7:
            case 0 | 1:  # LD, LDX
                value = _load(code & 0xE0, k, data, memory)
                if code & 7 == LD:
                    a = value
                else:
                    x = value
            case 2:  # ST
                memory[k] = a
            case 3:  # STX
                memory[k] = x
            case 4:  # ALU
                if code & 0xF0 == DIV and operand == 0:
                    return 0, steps  # bpf_convert_filter(): division by X == 0 returns 0
                a = _compute(code & 0xF0, a, operand)
            case 5:  # JMP
                if code == JMP | JA:
                    position += k
                else:
                    taken = _holds(code & 0xF0, a, operand)
                    position += instruction.jt if taken else instruction.jf
            case 6:  # RET
                return (a if code & A else k), steps
            case _:  # MISC
                if code & TXA:
                    a = x
                else:
                    x = a
    raise BpfError("ran off the end of the program")


def _load(mode: int, k: int, data: bytes, memory: list[int | None]) -> int:
    if mode == ABS:
        return int.from_bytes(data[k : k + 4], "little")
    if mode == LEN:
        return DATA_SIZE
    if mode == IMM:
        return k
    word = memory[k]
    if word is None:
        raise BpfError(f"scratch memory word {k} is read before it is written")
    return word


def _compute(operation: int, a: int, operand: int) -> int:
    """One ALU operation on 32-bit words; a shift by X uses its low 5 bits (eBPF)."""
    results = {
        ADD: lambda: a + operand,
        SUB: lambda: a - operand,
        MUL: lambda: a * operand,
        DIV: lambda: a // operand,
        OR: lambda: a | operand,
        AND: lambda: a & operand,
        LSH: lambda: a << (operand & 31),
        RSH: lambda: a >> (operand & 31),
        NEG: lambda: -a,
        XOR: lambda: a ^ operand,
    }
    return results[operation]() & _WORD


def _holds(condition: int, a: int, operand: int) -> bool:
    if condition == JEQ:
        return a == operand
    if condition == JGT:
        return a > operand
    return a >= operand if condition == JGE else bool(a & operand)


def is_constant_allow(program: Program, nr: int, arch: int) -> bool:
    """Whether the kernel puts the number into its bitmap of calls that are always allowed.

    Mirrors seccomp_is_const_allow() (Linux 5.11, commit 8e01b51a31a1): anything
    but loads of nr and arch, AND K, jumps on K, and RET K ends the emulation.
    """
    a = 0
    position = 0
    while position < len(program):
        instruction = program[position]
        position += 1
        code, k = instruction.code, instruction.k
        if code == LD | W | ABS and k in (OFFSET_NR, OFFSET_ARCH):
            a = nr & _WORD if k == OFFSET_NR else arch
        elif code == RET | K:
            return k == RET_ALLOW
        elif code == JMP | JA:
            position += k
        elif code in (JMP | JEQ | K, JMP | JGE | K, JMP | JGT | K, JMP | JSET | K):
            position += instruction.jt if _holds(code & 0xF0, a, k) else instruction.jf
        elif code == ALU | AND | K:
            a &= k
        else:
            return False
    return False


_ACTIONS = {
    RET_KILL_PROCESS: "KILL_PROCESS",
    RET_KILL_THREAD: "KILL_THREAD",
    RET_TRAP: "TRAP",
    RET_ERRNO: "ERRNO",
    RET_USER_NOTIF: "USER_NOTIF",
    RET_TRACE: "TRACE",
    RET_LOG: "LOG",
    RET_ALLOW: "ALLOW",
}
_ARCHITECTURES = {Abi.X86_64.audit_arch: "x86_64", Abi.I386.audit_arch: "i386"}
_OPERATORS = dict(
    zip(_ALU_OPERATIONS, ("+", "-", "*", "/", "|", "&", "<<", ">>", "^"), strict=True)
)
_COMPARISONS = {JEQ: ("==", "!="), JGT: (">", "<="), JGE: (">=", "<")}


def action_name(value: int) -> str:
    """A RET value in words: ALLOW, USER_NOTIF, ERRNO(38), TRACE(1), ..."""
    action, data = value & 0xFFFF_0000, value & 0xFFFF
    name = _ACTIONS.get(action, f"{value:#x}")
    return f"{name}({data})" if action in (RET_ERRNO, RET_TRACE, RET_TRAP) else name


@attrs.frozen
class _Known:
    """What is known before an instruction: what A and X hold, and seccomp_data.arch."""

    a: str = "A"
    x: str = "X"
    arch: int | None = None

    def join(self, other: _Known) -> _Known:
        return _Known(
            self.a if self.a == other.a else "A",
            self.x if self.x == other.x else "X",
            self.arch if self.arch == other.arch else None,
        )


def disassemble(program: Program) -> str:
    """Pseudo-code with labels, a line per instruction; BpfError if the kernel would refuse it.

    Numbers are named by the table: of one ABI where the arch is known, else of each.
    """
    check(program)
    before: dict[int, _Known] = {0: _Known()}
    targets: set[int] = set()
    statements: list[str] = []

    def reach(position: int, known: _Known) -> None:
        earlier = before.get(position)
        before[position] = known if earlier is None else earlier.join(known)

    for position, instruction in enumerate(program):
        known = before.get(position, _Known())
        after = position + 1
        code, k = instruction.code, instruction.k
        if code == JMP | JA:
            targets.add(after + k)
            reach(after + k, known)
            statements.append(f"goto L{after + k}")
        elif code & 7 == JMP:
            true, false = after + instruction.jt, after + instruction.jf
            targets |= {true, false} - {after}
            is_arch = code == JMP | JEQ | K and known.a == "arch"
            reach(true, attrs.evolve(known, arch=k) if is_arch else known)
            reach(false, known)
            statements.append(_conditional(instruction, known, true, false, after))
        elif code & 7 == RET:
            value = known.a if code & A else action_name(k)
            statements.append(f"return {value}")
        else:
            statement, following = _statement(instruction, known)
            statements.append(statement)
            reach(after, following)
    lines = []
    for position, statement in enumerate(statements):
        label = f"L{position}:" if position in targets else ""
        lines.append(f"{label:<7} {statement}\n")
    return "".join(lines)


def _statement(instruction: Instruction, known: _Known) -> tuple[str, _Known]:
    """A load, store, computation or transfer in words, and what is known after it."""
    code, k = instruction.code, instruction.k
    kind = code & 7
    if kind in (LD, LDX):
        value = {ABS: _field(k), LEN: str(DATA_SIZE), IMM: f"{k:#x}", MEM: f"M[{k}]"}[code & 0xE0]
        if kind == LD:
            return f"A = {value}", attrs.evolve(known, a=value)
        return f"X = {value}", attrs.evolve(known, x=value)
    if kind in (ST, STX):
        return f"M[{k}] = {'A' if kind == ST else 'X'}", known
    if kind == MISC:
        if code & TXA:
            return "A = X", attrs.evolve(known, a=known.x)
        return "X = A", attrs.evolve(known, x=known.a)
    if code == ALU | NEG:
        return "A = -A", attrs.evolve(known, a="A")
    operator = _OPERATORS[code & 0xF0]
    operand, value = ("X", known.x) if code & X else (f"{k:#x}", f"{k:#x}")
    simple = known.a != "A" and " " not in known.a
    result = f"({known.a} {operator} {value})" if simple else "A"
    return f"A {operator}= {operand}", attrs.evolve(known, a=result)


def _conditional(instruction: Instruction, known: _Known, true: int, false: int, after: int) -> str:
    condition = instruction.code & 0xF0
    comment = ""
    if instruction.code & X:
        operand = known.x
    else:
        operand, comment = _constant(instruction.k, known, exact=condition == JEQ)
    if condition == JSET:
        positive = f"{known.a} & {operand}"
        negative = f"not {known.a} & {operand}"
    else:
        positive, negative = (f"{known.a} {sign} {operand}" for sign in _COMPARISONS[condition])
    if true == after and false != after:
        return f"if {negative} goto L{false}{comment}"
    otherwise = "" if false == after else f" else L{false}"
    return f"if {positive} goto L{true}{otherwise}{comment}"


def _field(offset: int) -> str:
    """The word of seccomp_data at that offset by name."""
    if offset < OFFSET_IP:
        return "nr" if offset == OFFSET_NR else "arch"
    half = "high" if offset % 8 else "low"
    if offset < OFFSET_ARGS:
        return f"instruction_pointer.{half}"
    return f"args[{(offset - OFFSET_ARGS) // 8}].{half}"


def _constant(k: int, known: _Known, exact: bool) -> tuple[str, str]:
    """What A is compared with, and a comment (an exact number's names)."""
    if known.a == "arch":
        return _ARCHITECTURES.get(k, f"{k:#x}"), ""
    if known.a == "nr":
        number = k & ~X32_SYSCALL_BIT
        text = f"x32 {number}" if k & X32_SYSCALL_BIT and number < 1024 else str(k)
        names = _names(k, known.arch) if exact else ""
        return text, f"  # {names}" if names else ""
    if k in (PASS_LOW_PLACEHOLDER, PASS_HIGH_PLACEHOLDER):
        return f"PASS.{'low' if k == PASS_LOW_PLACEHOLDER else 'high'}", ""
    return f"{k:#x}", ""


def _names(number: int, arch: int | None) -> str:
    found = {abi: rows(abi)[number].name for abi in Abi if number in rows(abi)}
    if arch is not None:
        return ", ".join(name for abi, name in found.items() if abi.audit_arch == arch)
    return ", ".join(f"{name} ({abi.value})" for abi, name in found.items())
