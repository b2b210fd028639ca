"""What COMMAND inherits from the process that the user started.

The front process (``native/front.c``) passes it to the supervisor as one
argument, ``CONTROL:GROUP:MASK:IGNORED`` in decimal.
"""


class Origin:
    """``control``: descriptor of the socket to the front process; ``group``: its
    process group; ``mask`` and ``ignored``: blocked and ignored signals, bit n-1
    for signal n.
    """

    # Not attrs, whose import alone would take four times as long as a plain run.
    __slots__ = ("control", "group", "ignored", "mask")

    def __init__(self, text: str) -> None:
        self.control, self.group, self.mask, self.ignored = map(int, text.split(":"))

    @property
    def inherited(self) -> tuple[int, int, int]:
        """(process group, mask, ignored) as ``_core`` takes it."""
        return (self.group, self.mask, self.ignored)
