"""The session's pass in a compiled filter.

A pass is a secret 64-bit number: the filter allows a call whose row has passes=True
when ``args[5] ^ args[1]`` is the pass (for i386, its low 32 bits).  The shipped
filter carries well-known placeholders, which every launch replaces.

Every run imports this module: it must import nothing.
"""

PASS_LOW_PLACEHOLDER = 0x4C53_4150
"""b"PASL"."""
PASS_HIGH_PLACEHOLDER = 0x4853_4150
"""b"PASH"."""


def draw_pass() -> int:
    """64 random bits.  The low word must not be 0: it is all that the i386 filter
    compares, and two equal registers would match it."""
    import os

    while True:
        drawn = int.from_bytes(os.urandom(8), "little")
        if drawn & 0xFFFF_FFFF:
            return drawn


def patch_pass(program: bytes, value: int) -> bytes:
    """The filter (an array of struct sock_filter) with the placeholders replaced.

    ValueError if the value is not of 64 bits or its low half is 0 (any i386 call
    with equal registers would carry it), or if the filter has no placeholders.
    """
    low, high = value & 0xFFFF_FFFF, value >> 32
    if not 0 <= high <= 0xFFFF_FFFF or not low:
        raise ValueError("a pass has 64 bits, and its low 32 bits are not 0")
    patched = bytearray(program)
    for placeholder, word in ((PASS_LOW_PLACEHOLDER, low), (PASS_HIGH_PLACEHOLDER, high)):
        # Searched in the original: a word just written may look like a placeholder.
        needle = placeholder.to_bytes(4, "little")
        at = program.find(needle)
        if at % 8 != 4 or program.count(needle) != 1:
            raise ValueError("not a filter with one unpatched pass")
        patched[at : at + 4] = word.to_bytes(4, "little")
    return bytes(patched)
