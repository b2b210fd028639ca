"""The BPF room: the simulator computes what the kernel would, jumps land on their labels."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeroot_sc import bpf
from fakeroot_sc.bpf import Assembler, BpfError, Instruction
from fakeroot_sc.syscalls.row import Abi

pytestmark = pytest.mark.pure

X86_64 = Abi.X86_64.audit_arch
I386 = Abi.I386.audit_arch

words = st.integers(0, 2**32 - 1)
registers = st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6)
instructions = st.builds(
    Instruction, st.integers(0, 2**16 - 1), st.integers(0, 255), st.integers(0, 255), words
)
legal_instructions = st.builds(
    Instruction,
    st.sampled_from(sorted(bpf.ALLOWED_CODES)),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 4) | st.sampled_from(range(0, 64, 4)) | words,
)


def ret_a(*body: Instruction) -> list[Instruction]:
    """A program that returns A."""
    return [*body, Instruction(bpf.RET | bpf.A)]


def ld_imm(k: int) -> Instruction:
    return Instruction(bpf.LD | bpf.IMM, k=k)


def ldx_imm(k: int) -> Instruction:
    return Instruction(bpf.LDX | bpf.IMM, k=k)


def ret(k: int) -> Instruction:
    return Instruction(bpf.RET | bpf.K, k=k)


# Encoding


@given(st.lists(instructions))
def test_unpack_inverts_pack(program: list[Instruction]) -> None:
    blob = bpf.pack(program)
    assert len(blob) == 8 * len(program)
    assert bpf.unpack(blob) == program


def test_pack_writes_struct_sock_filter_little_endian() -> None:
    assert bpf.pack([Instruction(0x15, 1, 2, 0xC000003E)]) == bytes.fromhex("1500 01 02 3e0000c0")


def test_a_field_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(BpfError, match="out of range"):
        bpf.pack([Instruction(bpf.JMP | bpf.JEQ, jt=256)])


def test_half_an_instruction_is_an_error() -> None:
    with pytest.raises(BpfError, match="12 bytes"):
        bpf.unpack(bytes(12))


# Simulator


@given(st.integers(-(2**31), 2**31 - 1), words, st.integers(0, 2**64 - 1), registers)
def test_loads_see_seccomp_data(nr: int, arch: int, ip: int, args: list[int]) -> None:
    def load(offset: int) -> int:
        program = ret_a(Instruction(bpf.LD | bpf.ABS, k=offset))
        return bpf.run(program, nr, arch, ip, args)

    assert load(0) == nr % 2**32
    assert load(4) == arch
    assert load(8) | load(12) << 32 == ip
    for index, value in enumerate(args):
        low, high = bpf.argument_offset(index), bpf.argument_offset(index, high=True)
        assert load(low) | load(high) << 32 == value


@pytest.mark.parametrize("offset", [64, 2**32 - 4, 1, 62])
def test_a_load_outside_seccomp_data_or_unaligned_is_an_error(offset: int) -> None:
    with pytest.raises(BpfError, match="load of seccomp_data"):
        bpf.run(ret_a(Instruction(bpf.LD | bpf.ABS, k=offset)), 0, 0)


def test_len_is_the_size_of_seccomp_data() -> None:
    assert bpf.run(ret_a(Instruction(bpf.LD | bpf.LEN)), 0, 0) == 64
    txa = Instruction(bpf.MISC | bpf.TXA)
    assert bpf.run(ret_a(Instruction(bpf.LDX | bpf.LEN), txa), 0, 0) == 64


@given(words, words)
def test_scratch_memory_keeps_a_and_x(a: int, x: int) -> None:
    stored = [
        ld_imm(a),
        ldx_imm(x),
        Instruction(bpf.ST, k=0),
        Instruction(bpf.STX, k=15),
        ld_imm(0),
    ]
    assert bpf.run(ret_a(*stored, Instruction(bpf.LD | bpf.MEM, k=0)), 0, 0) == a
    assert bpf.run(ret_a(*stored, Instruction(bpf.LD | bpf.MEM, k=15)), 0, 0) == x
    swapped = [Instruction(bpf.LDX | bpf.MEM, k=0), Instruction(bpf.MISC | bpf.TXA)]
    assert bpf.run(ret_a(*stored, *swapped), 0, 0) == a


def test_scratch_memory_is_not_read_before_it_is_written() -> None:
    with pytest.raises(BpfError, match="before it is written"):
        bpf.run(ret_a(Instruction(bpf.LD | bpf.MEM, k=3)), 0, 0)


def test_scratch_memory_has_16_words() -> None:
    with pytest.raises(BpfError, match="out of range"):
        bpf.run([Instruction(bpf.ST, k=16), ret(0)], 0, 0)


ALU: dict[int, Callable[[int, int], int | None]] = {
    bpf.ADD: lambda a, b: a + b,
    bpf.SUB: lambda a, b: a - b,
    bpf.MUL: lambda a, b: a * b,
    bpf.DIV: lambda a, b: a // b if b else None,
    bpf.OR: lambda a, b: a | b,
    bpf.AND: lambda a, b: a & b,
    bpf.XOR: lambda a, b: a ^ b,
    bpf.LSH: lambda a, b: a << b if b < 32 else None,
    bpf.RSH: lambda a, b: a >> b if b < 32 else None,
}


@pytest.mark.parametrize("operation", ALU)
@given(a=words, operand=words | st.integers(0, 40))
def test_alu_works_on_32_bits_with_k_and_x_alike(operation: int, a: int, operand: int) -> None:
    expected = ALU[operation](a, operand)
    by_k = ret_a(ld_imm(a), Instruction(bpf.ALU | operation | bpf.K, k=operand))
    by_x = ret_a(ld_imm(a), ldx_imm(operand), Instruction(bpf.ALU | operation | bpf.X))
    if expected is not None:
        assert bpf.run(by_k, 0, 0) == bpf.run(by_x, 0, 0) == expected % 2**32
    else:
        with pytest.raises(BpfError, match=r"division by zero|shift by"):
            bpf.run(by_k, 0, 0)


@given(words)
def test_neg_is_the_twos_complement(a: int) -> None:
    assert bpf.run(ret_a(ld_imm(a), Instruction(bpf.ALU | bpf.NEG)), 0, 0) == -a % 2**32


def test_division_by_a_zero_x_returns_0_at_once() -> None:
    program = [ld_imm(7), ldx_imm(0), Instruction(bpf.ALU | bpf.DIV | bpf.X), ret(1)]
    assert bpf.run(program, 0, 0) == 0


CONDITIONS: dict[int, Callable[[int, int], bool]] = {
    bpf.JEQ: lambda a, b: a == b,
    bpf.JGT: lambda a, b: a > b,
    bpf.JGE: lambda a, b: a >= b,
    bpf.JSET: lambda a, b: bool(a & b),
}


@pytest.mark.parametrize("condition", CONDITIONS)
@given(a=words, operand=words, same=st.booleans())
def test_conditions_are_unsigned_with_k_and_x_alike(
    condition: int, a: int, operand: int, same: bool
) -> None:
    operand = a if same else operand
    expected = 1 if CONDITIONS[condition](a, operand) else 2
    tail = [ret(0), ret(1), ret(2)]
    by_k = [ld_imm(a), Instruction(bpf.JMP | condition | bpf.K, 1, 2, operand), *tail]
    by_x = [
        ld_imm(a),
        ldx_imm(operand),
        Instruction(bpf.JMP | condition | bpf.X, 1, 2),
        *tail,
    ]
    assert bpf.run(by_k, 0, 0) == bpf.run(by_x, 0, 0) == expected


@given(words)
def test_tax_and_txa_copy_between_a_and_x(value: int) -> None:
    tax, txa = Instruction(bpf.MISC | bpf.TAX), Instruction(bpf.MISC | bpf.TXA)
    assert bpf.run(ret_a(ld_imm(value), tax, ld_imm(0), txa), 0, 0) == value


def test_ja_skips_k_instructions() -> None:
    assert bpf.run([Instruction(bpf.JMP | bpf.JA, k=1), ret(1), ret(2)], 0, 0) == 2


def test_running_off_the_end_is_an_error() -> None:
    with pytest.raises(BpfError, match="ran off the end"):
        bpf.run([ld_imm(1)], 0, 0)
    with pytest.raises(BpfError, match="ran off the end"):
        bpf.run([], 0, 0)


# MOD, RET X, LDX MSH, LD W IND and byte loads are classic BPF, but not for seccomp.
@pytest.mark.parametrize("code", [0x94, 0x0E, 0xB1, 0x40, 0x30, 0xFFFF])
def test_opcodes_that_seccomp_refuses_are_errors(code: int) -> None:
    with pytest.raises(BpfError, match="unknown opcode"):
        bpf.run([Instruction(code), ret(0)], 0, 0)
    with pytest.raises(BpfError, match="unknown opcode"):
        bpf.check([Instruction(code), ret(0)])


@given(st.lists(legal_instructions, max_size=12), registers)
def test_garbage_either_returns_a_word_or_is_an_error(
    program: list[Instruction], args: list[int]
) -> None:
    with contextlib.suppress(BpfError):
        assert 0 <= bpf.run(program, 0, X86_64, 0, args) < 2**32


def test_count_steps_counts_executed_instructions() -> None:
    program = [Instruction(bpf.JMP | bpf.JA, k=1), ret(1), ld_imm(2), ret(2)]
    assert bpf.count_steps(program, 0, 0) == 3


# What the kernel refuses, and what it caches


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ([], "0 instructions"),
        ([ret(0)] * 4097, "4097 instructions"),
        ([ld_imm(0)], "not a RET"),
        ([Instruction(bpf.JMP | bpf.JA, k=1), ret(0)], "out of the program"),
        ([Instruction(bpf.JMP | bpf.JEQ, 0, 1), ret(0)], "out of the program"),
        ([Instruction(bpf.ALU | bpf.DIV | bpf.K), ret(0)], "division by zero"),
        ([Instruction(bpf.LD | bpf.ABS, k=64), ret(0)], "out of range"),
    ],
)
def test_check_refuses_what_the_kernel_refuses(program: list[Instruction], message: str) -> None:
    with pytest.raises(BpfError, match=message):
        bpf.check(program)


def test_check_accepts_the_largest_program() -> None:
    bpf.check([ret(0)] * 4096)


def _filter(*, argument_first: bool) -> list[Instruction]:
    assembler = Assembler()
    if argument_first:
        assembler.load_argument(0)
    assembler.load_nr()
    assembler.jump_if(bpf.JEQ, 5, true="five")
    assembler.ret(bpf.RET_ALLOW)
    assembler.label("five")
    assembler.load_argument(0)
    assembler.jump_if(bpf.JEQ, 0, true="deny")
    assembler.ret(bpf.RET_ALLOW)
    assembler.label("deny")
    assembler.ret(bpf.RET_ERRNO | 1)
    return assembler.assemble()


def test_only_numbers_decided_without_arguments_are_constant_allow() -> None:
    program = _filter(argument_first=False)
    assert bpf.is_constant_allow(program, 4, X86_64)
    assert not bpf.is_constant_allow(program, 5, X86_64)


def test_an_argument_loaded_first_spoils_constant_allow_for_every_number() -> None:
    assert not bpf.is_constant_allow(_filter(argument_first=True), 4, X86_64)


def test_a_constant_denial_is_not_constant_allow() -> None:
    assert not bpf.is_constant_allow([ret(bpf.RET_ERRNO)], 0, X86_64)


@given(st.lists(legal_instructions, max_size=8), st.integers(0, 1000), registers)
def test_constant_allow_means_that_no_arguments_change_it(
    program: list[Instruction], nr: int, args: list[int]
) -> None:
    program = [Instruction(bpf.LD | bpf.ABS, k=0), *program, ret(bpf.RET_ALLOW)]
    try:
        result = bpf.run(program, nr, X86_64, 0, args)
    except BpfError:
        return
    if bpf.is_constant_allow(program, nr, X86_64):
        assert result == bpf.RET_ALLOW


# Assembler


@pytest.mark.parametrize("distance", [0, 1, 254, 255, 256, 257, 600])
@pytest.mark.parametrize("far_side", ["true", "false", "both"])
def test_a_jump_lands_on_its_label_at_any_distance(distance: int, far_side: str) -> None:
    assembler = Assembler()
    assembler.load_nr()
    true = None if far_side == "false" else "true"
    false = None if far_side == "true" else "false"
    assembler.jump_if(bpf.JEQ, 7, true=true, false=false)
    for _ in range(distance):
        assembler.ret(100)
    assembler.ret(3)
    assembler.label("true")
    assembler.ret(1)
    assembler.label("false")
    assembler.ret(2)
    program = assembler.assemble()
    bpf.check(program)
    fallen = 100 if distance else 3
    assert bpf.run(program, 7, 0) == (fallen if true is None else 1)
    assert bpf.run(program, 8, 0) == (fallen if false is None else 2)


@given(st.data())
def test_a_random_decision_tree_decides_as_its_python_twin(data: st.DataObject) -> None:
    """Jumps of all sizes: each number has its label, blocks are padded at random."""
    numbers = data.draw(st.lists(st.integers(0, 50), unique=True, min_size=1, max_size=20))
    padding = data.draw(st.lists(st.integers(0, 120), min_size=len(numbers)))
    assembler = Assembler()
    assembler.load_nr()
    for number in numbers:
        assembler.jump_if(bpf.JEQ, number, true=f"case {number}")
    assembler.jump("default")
    for number, blanks in zip(numbers, padding, strict=False):
        assembler.label(f"case {number}")
        for _ in range(blanks):
            assembler.tax()
        assembler.ret(1000 + number)
    assembler.label("default")
    assembler.ret(1)
    program = assembler.assemble()
    bpf.check(program)
    for nr in range(52):
        assert bpf.run(program, nr, 0) == (1000 + nr if nr in numbers else 1)


def test_append_keeps_a_program_and_redirects_its_returns() -> None:
    inner = _filter(argument_first=False)
    assembler = Assembler()
    assembler.load_arch()
    assembler.jump_if(bpf.JEQ, I386, true="redirected")
    assembler.append(inner, {bpf.RET_ERRNO | 1: "redirected"})
    for _ in range(300):
        assembler.tax()
    assembler.label("redirected")
    assembler.ret(bpf.RET_LOG)
    program = assembler.assemble()
    bpf.check(program)
    assert bpf.run(program, 4, X86_64) == bpf.RET_ALLOW
    assert bpf.run(program, 5, X86_64, 0, [1]) == bpf.RET_ALLOW
    assert bpf.run(program, 5, X86_64, 0, [0]) == bpf.RET_LOG
    assert bpf.run(program, 4, I386) == bpf.RET_LOG


def test_append_alone_changes_nothing() -> None:
    inner = _filter(argument_first=True)
    assembler = Assembler()
    assembler.append(inner)
    assert assembler.assemble() == inner


def test_unknown_double_and_backward_labels_are_errors() -> None:
    assembler = Assembler()
    assembler.label("start")
    with pytest.raises(BpfError, match="defined twice"):
        assembler.label("start")
    assembler.load_nr()
    assembler.jump_if(bpf.JEQ, 0, true="nowhere")
    with pytest.raises(BpfError, match="not defined"):
        assembler.assemble()
    for conditional in (False, True):
        assembler = Assembler()
        assembler.label("start")
        assembler.load_nr()
        if conditional:
            assembler.jump_if(bpf.JEQ, 0, true="start")
        else:
            assembler.jump("start")
        with pytest.raises(BpfError, match="backwards"):
            assembler.assemble()


# Disassembler


def test_disassembly_reads_as_pseudo_code() -> None:
    assembler = Assembler()
    assembler.load_arch()
    assembler.jump_if(bpf.JEQ, I386, true="i386")
    assembler.jump_if(bpf.JEQ, X86_64, false="allow")
    assembler.load_nr()
    assembler.jump_if(bpf.JEQ, 4, true="notify")
    assembler.jump_if(bpf.JEQ, 0x4000_0000 | 332, true="notify", false="argument")
    assembler.label("i386")
    assembler.load_nr()
    assembler.jump_if(bpf.JEQ, 18, true="errno")
    assembler.jump_if(bpf.JGT, 100, true="trace", false="argument")
    assembler.label("argument")
    assembler.load_argument(1)
    assembler.alu(bpf.AND, 3)
    assembler.jump_if(bpf.JEQ, 0, true="notify", false="allow")
    assembler.label("trace")
    assembler.ret(bpf.RET_TRACE | 7)
    assembler.label("errno")
    assembler.ret(bpf.RET_ERRNO | 38)
    assembler.label("notify")
    assembler.ret(bpf.RET_USER_NOTIF)
    assembler.label("allow")
    assembler.ret(bpf.RET_ALLOW)
    expected = """\
        A = arch
        if arch == i386 goto L6
        if arch != x86_64 goto L15
        A = nr
        if nr == 4 goto L14  # stat
        if nr == x32 332 goto L14 else L9  # statx
L6:     A = nr
        if nr == 18 goto L13  # oldstat
        if nr > 100 goto L12
L9:     A = args[1].low
        A &= 0x3
        if (args[1].low & 0x3) == 0x0 goto L14 else L15
L12:    return TRACE(7)
L13:    return ERRNO(38)
L14:    return USER_NOTIF
L15:    return ALLOW
"""
    assert bpf.disassemble(assembler.assemble()) == expected


def test_a_number_under_an_unknown_arch_is_named_for_each_abi() -> None:
    program = [
        Instruction(bpf.LD | bpf.ABS, k=0),
        Instruction(bpf.JMP | bpf.JEQ, 0, 1, 84),
        ret(bpf.RET_KILL_PROCESS),
        ret(bpf.RET_ALLOW),
    ]
    text = bpf.disassemble(program)
    assert "# rmdir (x86_64), oldlstat (i386)" in text
    assert "return KILL_PROCESS" in text


@pytest.mark.parametrize(
    ("instruction", "text"),
    [
        (Instruction(bpf.LD | bpf.ABS, k=8), "A = instruction_pointer.low"),
        (Instruction(bpf.LD | bpf.ABS, k=60), "A = args[5].high"),
        (Instruction(bpf.LD | bpf.LEN), "A = 64"),
        (Instruction(bpf.LDX | bpf.IMM, k=16), "X = 0x10"),
        (Instruction(bpf.ST, k=2), "M[2] = A"),
        (Instruction(bpf.STX, k=2), "M[2] = X"),
        (Instruction(bpf.MISC | bpf.TAX), "X = A"),
        (Instruction(bpf.MISC | bpf.TXA), "A = X"),
        (Instruction(bpf.ALU | bpf.NEG), "A = -A"),
        (Instruction(bpf.ALU | bpf.XOR | bpf.X), "A ^= X"),
        (Instruction(bpf.JMP | bpf.JSET | bpf.K, 0, 1, 4), "if not A & 0x4 goto L2"),
        (Instruction(bpf.JMP | bpf.JGE | bpf.X, 1, 0), "if A >= X goto L2"),
        (Instruction(bpf.JMP | bpf.JA, k=1), "goto L2"),
        (Instruction(bpf.RET | bpf.A), "return A"),
        (ret(bpf.RET_TRAP | 1), "return TRAP(1)"),
        (ret(bpf.RET_LOG), "return LOG"),
        (ret(bpf.RET_KILL_THREAD), "return KILL_THREAD"),
    ],
)
def test_each_instruction_has_its_pseudo_code(instruction: Instruction, text: str) -> None:
    first = bpf.disassemble([instruction, ret(0), ret(0)]).splitlines()[0]
    assert first.strip() == text


def test_what_the_kernel_refuses_is_not_disassembled() -> None:
    with pytest.raises(BpfError):
        bpf.disassemble([ld_imm(0)])


@given(st.lists(legal_instructions, min_size=1, max_size=12))
def test_every_valid_program_has_a_line_per_instruction(program: list[Instruction]) -> None:
    program = [*program, ret(0)]
    try:
        bpf.check(program)
    except BpfError:
        return
    assert len(bpf.disassemble(program).splitlines()) == len(program)
