"""What the doctor says of one thing."""

from __future__ import annotations

import enum

import attrs


class Verdict(enum.Enum):
    """How much a finding matters."""

    GOOD = "ok"
    NOTED = "note"
    """Nothing is missing, but somebody may wonder."""
    SLOWER = "slower"
    """The same answers, later."""
    LIMITED = "limited"
    """Something that a run can do elsewhere cannot be done here."""
    MISSING = "MISSING"
    """No run works without it."""


@attrs.frozen
class Finding:
    """``found``: what was seen; ``cost``: what that means for a run; ``advice``: what to do."""

    name: str
    verdict: Verdict
    found: str
    cost: str = ""
    advice: str = ""

    def described(self) -> dict[str, str]:
        """As JSON has it."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "found": self.found,
            "cost": self.cost,
            "advice": self.advice,
        }


def good(name: str, found: str) -> Finding:
    """A finding that asks for nothing."""
    return Finding(name, Verdict.GOOD, found)
