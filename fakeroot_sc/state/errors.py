"""What can go wrong with a state."""

from __future__ import annotations


class StateError(Exception):
    """A state that cannot be read, written or understood; the text says what, why, and where."""
