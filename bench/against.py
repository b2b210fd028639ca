"""What got slower since an earlier run, whose JSON file is at hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs

from bench.measure import FAILED, OK, WRONG
from bench.question import Place
from bench.report import FORMAT, Answer, Report, Table
from bench.scratch import BenchError
from bench.stats import Estimate, ratio

SLOWER, FASTER, SAME = "SLOWER", "faster", ""
NOTICED = 0.05
"""A change of less, or one whose interval reaches below that, is none."""

# What must be the same for numbers to be comparable at all.
MACHINE = ("processor", "processors", "kernel", "file system", "user", "effort")


@attrs.frozen
class Change:
    """A median against the earlier one, of one question's place."""

    question: str
    place: Place
    value: Estimate

    @property
    def verdict(self) -> str:
        if self.value.low > 1 + NOTICED:
            return SLOWER
        return FASTER if self.value.high < 1 - NOTICED else SAME


def load(path: str) -> dict[str, Any]:
    """An earlier run.  Raises BenchError for what is none."""
    try:
        with open(path, encoding="utf-8") as file:
            earlier = json.load(file)
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise BenchError(f"{path}: not JSON: {error}") from error
    if not isinstance(earlier, dict) or earlier.get("format") != FORMAT:
        raise BenchError(f"{path}: not a run of this benchmark's format {FORMAT}")
    return earlier


def _earlier_samples(earlier: dict[str, Any], question: str) -> dict[Place, list[float]]:
    cells = earlier["questions"].get(question, {}).get("cells", [])
    return {
        Place(**cell["place"]): cell["samples"]
        for cell in cells
        if cell["state"] == OK and cell["samples"]
    }


def _changes(answered: Answer, earlier: dict[str, Any]) -> Iterator[Change]:
    known = _earlier_samples(earlier, answered.question.name)
    for cell in answered.cells:
        before = known.get(cell.place)
        if before and cell.state == OK and cell.samples:
            value = ratio(cell.samples, before)
            yield Change(answered.question.name, cell.place, value)


def changes(report: Report, earlier: dict[str, Any]) -> list[Change]:
    """All that both runs have measured, the slowest first."""
    found = [change for answered in report.answers for change in _changes(answered, earlier)]
    return sorted(found, key=lambda change: -change.value.value)


def lost(report: Report, earlier: dict[str, Any]) -> list[str]:
    """What the earlier run has measured and this one tried and could not."""
    return [
        f"NO LONGER MEASURED: {answered.question.name}: {cell.place.tool} {cell.place.variant}:"
        f" {cell.state}: {cell.reason}"
        for answered in report.answers
        for cell in answered.cells
        if cell.state in (WRONG, FAILED)
        and cell.place in _earlier_samples(earlier, answered.question.name)
    ]


def remarks(report: Report, earlier: dict[str, Any]) -> list[str]:
    """Why the runs may not be comparable."""
    return [
        f"NOT COMPARABLE: {name} is {now}, and was {before}"
        for name in MACHINE
        if (now := report.machine.get(name, "?")) != (before := earlier["machine"].get(name, "?"))
    ]


def table(found: list[Change]) -> Table:
    """A line for each place that both runs have measured."""
    lines = [
        [
            change.question,
            change.place.tool,
            change.place.variant,
            f"{change.value.value:.2f} x",
            f"{change.value.low:.2f} - {change.value.high:.2f}",
            change.verdict,
        ]
        for change in found
    ]
    head = ("question", "tool", "variant", "against before", "95% interval", "")
    return "Against the earlier run (below 1 is faster)", head, lines
