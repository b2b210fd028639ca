"""A run as a document: reStructuredText, with plots beside it where matplotlib is there."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import plots
from bench.report import (
    MISSED,
    NOT_MEASURED,
    Report,
    Table,
    answer_table,
    tally,
    verdict_table,
)

_INTRODUCTION = """\
Benchmarks
==========

Written by ``python -m bench --report FILE``, from the one run that is named below; whoever
has a clone can repeat it. The method is in ``bench/README.rst``. Only ratios mean anything
elsewhere. A row that must be reached and was not is marked **MISSED**, one of which nothing
is known **not measured**; "issue" is where the row was asked for.
"""


def _escaped(text: str) -> str:
    return "".join(f"\\{each}" if each in "\\*`|_" else each for each in text)


def _cell(text: str) -> str:
    for mark in (MISSED, NOT_MEASURED):
        if text.startswith(mark):
            return f"**{mark}**{_escaped(text.removeprefix(mark))}"
    return _escaped(text)


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table whose cells may hold anything, a line for a line."""
    text = io.StringIO()
    rows = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n   ")
    for line in (head, *lines):
        rows.writerow(_cell(cell) for cell in line)
    return f".. csv-table::\n   :header-rows: 1\n\n   {text.getvalue().rstrip()}\n"


def _section(table: Table, mark: str = "-") -> str:
    title, head, lines = table
    return f"{title}\n{mark * len(title)}\n\n{_table(head, lines)}"


def _facts(title: str, facts: dict[str, str]) -> str:
    return _table((title, ""), list(facts.items()))


def _pictures(report: Report, beside: Path) -> str:
    text = []
    for name, caption in plots.draw(report, beside):
        text.append(f".. figure:: {name}\n   :alt: {caption}\n\n   {caption}\n")
    return "\n".join(text)


def write(report: Report, path: str) -> list[str]:
    """Writes the document, and SVG files named after it; returns what could not be drawn."""
    place = Path(path)
    missing = [] if plots.can_draw() else ["no plots: pip install matplotlib"]
    parts = [
        _INTRODUCTION,
        _facts("run", report.machine),
        _facts("versions", report.versions),
        "\n".join(f"* {_escaped(remark)}" for remark in report.remarks) + "\n",
        _section(verdict_table(report.answers)),
        f"{tally(report.answers)}\n",
        _pictures(report, place) if not missing else "",
        _section(verdict_table(report.answers, limits=False)),
        "Medians\n-------\n",
        *(_section(answer_table(answered), "~") for answered in report.answers),
    ]
    beside = place.with_name(f".{place.name}.new")
    beside.write_text("\n".join(part for part in parts if part), encoding="utf-8")
    os.replace(beside, place)
    return missing
