"""What COMMAND inherits from the process that the user started.

The front process (``native/front.c``) passes it to the supervisor as one
argument, ``CONTROL:MASK:IGNORED:CLOSED`` in decimal.
"""


class Origin:
    """``control``: descriptor of the socket to the front process; ``mask`` and
    ``ignored``: blocked and ignored signals, bit n-1 for signal n; ``closed``: which
    of the first three descriptors are to be closed, bit n for descriptor n.
    """

    # Not attrs, whose import alone would take four times as long as a plain run.
    __slots__ = ("closed", "control", "ignored", "mask")

    def __init__(self, text: str) -> None:
        self.control, self.mask, self.ignored, self.closed = map(int, text.split(":"))

    @property
    def inherited(self) -> tuple[int, int, int]:
        """(mask, ignored, closed) as ``_core`` takes it."""
        return (self.mask, self.ignored, self.closed)
