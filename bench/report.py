"""What was found: as rows of verdicts, as tables for the terminal, as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from bench.measure import BUSY_MOST, OK, Cell, Measured
from bench.question import Place, Question, Row
from bench.scratch import Scratch
from bench.stats import Estimate, difference, ratio, spread
from bench.tools import Tool

FORMAT = 1  # of the JSON file

REACHED, MISSED, INFORMATION, NOT_MEASURED = "reached", "MISSED", "", "not measured"


@attrs.frozen
class Verdict:
    """A row and what became of it; ``note``: why it could not be measured, or that
    the interval reaches over what is wanted."""

    row: Row
    value: Estimate | None
    verdict: str
    note: str = ""


@attrs.define
class Answer:
    """One question's cells and the verdicts on its rows; ``busy``: which part of the
    machine others used meanwhile."""

    question: Question
    busy: float
    cells: list[Cell]
    verdicts: list[Verdict]


@attrs.define
class Report:
    """All that a run found."""

    machine: dict[str, str]
    versions: dict[str, str]
    remarks: list[str]
    answers: list[Answer] = attrs.field(factory=list)
    missing: dict[str, str] = attrs.field(factory=dict)  # tools, and why


def _why_not(place: Place, cell: Cell | None, missing: Mapping[str, str]) -> str:
    where = f"{place.tool} ({place.variant})" if place.variant else place.tool
    if cell is None:
        return f"{where}: {missing.get(place.tool, 'not asked for')}"
    return f"{where}: {cell.state}: {cell.reason}"


def _reaches(row: Row, value: float) -> bool:
    return (row.at_most is None or value <= row.at_most) and (
        row.at_least is None or value >= row.at_least
    )


def judge(row: Row, cells: Iterable[Cell], missing: Mapping[str, str] | None = None) -> Verdict:
    """Compares a row with what was measured; ``missing``: the tools that are not there."""
    by_place = {cell.place: cell for cell in cells}
    found = [by_place.get(place) for place in row.places]
    troubles = [
        _why_not(place, cell, missing or {})
        for place, cell in zip(row.places, found, strict=True)
        if cell is None or cell.state != OK or not cell.samples
    ]
    if troubles:
        return Verdict(row, None, NOT_MEASURED, "; ".join(troubles))

    samples = [cell.samples for cell in found if cell]
    if row.against:
        value = (difference if row.difference else ratio)(samples[0], samples[1])
    else:
        around = spread(samples[0])
        value = Estimate(around.low, around.middle, around.high)
    if not row.has_limit:
        return Verdict(row, value, INFORMATION)
    reached = _reaches(row, value.value)
    sure = _reaches(row, value.low) == reached and _reaches(row, value.high) == reached
    note = "" if sure else "not sure: the interval holds the limit"
    return Verdict(row, value, REACHED if reached else MISSED, note)


def answer(
    question: Question, measured: Measured, missing: Mapping[str, str] | None = None
) -> Answer:
    verdicts = [judge(row, measured.cells, missing) for row in question.rows]
    if measured.busy > BUSY_MOST:
        disturbed = f"machine {measured.busy:.0%} busy"
        verdicts = [
            attrs.evolve(one, note=f"{one.note}; {disturbed}" if one.note else disturbed)
            for one in verdicts
        ]
    return Answer(question, measured.busy, measured.cells, verdicts)


# --- the machine ---


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    return (done.stdout or done.stderr).partition("\n")[0]


def _from_file(name: str, pattern: str) -> str:
    with open(name, encoding="utf-8", errors="replace") as file:
        found = re.search(pattern, file.read(), re.MULTILINE)
    return found.group(1) if found else "?"


def _commit() -> str:
    """Of the sources beside us, if they are a clone."""
    git = ["git", "-C", os.path.dirname(os.path.abspath(__file__))]
    found = _first_line([*git, "-c", "safe.directory=*", "describe", "--always", "--dirty"])
    return found if re.fullmatch(r"[\w.-]+", found) else "not a clone"


def describe_machine(scratch: Scratch, busy: float) -> dict[str, str]:
    names = platform.freedesktop_os_release() if os.path.exists("/etc/os-release") else {}
    return {
        "command": shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        "sources": _commit(),
        "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "kernel": f"{platform.release()} ({platform.machine()})",
        "system": names.get("PRETTY_NAME", "?"),
        "processor": _from_file("/proc/cpuinfo", r"^model name\s*:\s*(.*)$"),
        "processors": str(os.cpu_count()),
        "memory": _from_file("/proc/meminfo", r"^MemTotal:\s*(.*)$"),
        "file system": _first_line(["stat", "-f", "-c", "%T", scratch.path]),
        "user": f"{scratch.uid}" + (" (started as root)" if scratch.as_root else ""),
        "busy before": f"{busy:.0%}",
        "load": " ".join(f"{value:.2f}" for value in os.getloadavg()),
    }


def describe_versions(tools: Iterable[Tool]) -> dict[str, str]:
    versions = {tool.name: tool.version() for tool in tools if tool.front}
    versions["python"] = platform.python_version()
    versions["libc"] = " ".join(platform.libc_ver())
    for program in ("tar", "find", "cc"):
        if shutil.which(program):
            versions[program] = _first_line([program, "--version"])
    return versions


# --- text ---


def _amount(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 1e3:.0f} kB" if abs(value) < 1e6 else f"{value / 1e6:.2f} MB"
    if unit == "times":
        return f"{value:.2f}"
    for limit, divisor, name in ((1e3, 1, "ns"), (1e6, 1e3, "us"), (1e9, 1e6, "ms")):
        if value < limit:
            return f"{value / divisor:.3g} {name}"
    return f"{value / 1e9:.3g} s"


def _wanted(row: Row, unit: str) -> str:
    parts = []
    for word, limit in (("at most", row.at_most), ("at least", row.at_least)):
        if limit is not None:
            parts.append(f"{word} {f'{limit:g} x' if row.is_ratio else _amount(limit, unit)}")
    return ", ".join(parts)


def _value(verdict: Verdict, unit: str) -> tuple[str, str]:
    """The value and its interval."""
    value = verdict.value
    if value is None:
        return "", ""
    if verdict.row.is_ratio:
        return f"{value.value:.2f} x", f"{value.low:.2f} - {value.high:.2f}"
    low, high = _amount(value.low, unit), _amount(value.high, unit)
    return _amount(value.value, unit), low if low == high else f"{low} - {high}"


def _cell_line(cell: Cell, answered: Answer) -> list[str]:
    found = cell.spread
    head = [cell.place.tool, cell.place.variant]
    if found is None:
        return [*head, cell.state, "", "", *("" for _ in _accounted(answered)), cell.reason]
    unit, base = answered.question.unit, None
    for other in answered.cells:
        if other.place == Place(answered.question.baseline, cell.place.variant):
            base = other.spread
    compared = [f"{found.middle / base.middle:.2f} x"] if base and base.middle else []
    return [
        *head,
        _amount(found.middle, unit),
        f"{_amount(found.low, unit)} - {_amount(found.high, unit)}",
        str(found.count),
        *_account(cell, answered),
        " ".join((*compared, f"({cell.reason})" if cell.reason else "")).strip(),
    ]


ACCOUNT_HEAD = ("switches", "queued")


def _accounted(answered: Answer) -> Sequence[str]:
    """The heads of the columns that only root's runs have."""
    return ACCOUNT_HEAD if any(cell.account for cell in answered.cells) else ()


def _account(cell: Cell, answered: Answer) -> Sequence[str]:
    if not cell.account:
        return ["" for _ in _accounted(answered)]
    return f"{cell.account.switches:.2f}", _amount(cell.account.queued_ns, "ns")


def _verdict_line(verdict: Verdict, unit: str) -> list[str]:
    said = ": ".join(part for part in (verdict.verdict, verdict.note) if part)
    issue = f"{verdict.row.issue}" if verdict.row.issue else ""
    return [issue, verdict.row.text, *_value(verdict, unit), _wanted(verdict.row, unit), said]


VERDICT_HEAD = ("issue", "question", "found", "95% interval", "must reach", "")

Table = tuple[str, Sequence[str], list[list[str]]]


def answer_table(answered: Answer) -> Table:
    question = answered.question
    against = f"against {question.baseline}"
    columns = ("tool", "variant", "median", "quartiles", "runs")
    head = (*columns, *_accounted(answered), against)
    lines = [_cell_line(cell, answered) for cell in answered.cells]
    busy = f" (others used {answered.busy:.0%} of the machine)" if answered.busy > 0.01 else ""
    return f"{question.name}: {question.title}{busy}", head, lines


def verdict_table(answers: Iterable[Answer], *, limits: bool = True) -> Table:
    """The rows with limits, by issue, or those that are for information."""
    found = [
        (verdict.row.issue or 0, _verdict_line(verdict, answered.question.unit))
        for answered in answers
        for verdict in answered.verdicts
        if verdict.row.has_limit == limits
    ]
    lines = [line for _, line in sorted(found, key=lambda one: one[0])]
    what = "What must be reached" if limits else "For information"
    return f"{what} (ratios or differences of medians)", VERDICT_HEAD, lines


def tally(answers: Iterable[Answer]) -> str:
    """How the rows with limits stand, in one line."""
    found = Counter(
        verdict.verdict
        for answered in answers
        for verdict in answered.verdicts
        if verdict.row.has_limit
    )
    return "rows with limits: " + ", ".join(
        f"{found[verdict]} {verdict}" for verdict in (REACHED, MISSED, NOT_MEASURED)
    )


def _show_plain(table: Table) -> None:
    title, head, lines = table
    widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head))]
    print(f"\n{title}")
    for line in (head, ["-" * width for width in widths], *lines):
        cells = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def show(table: Table) -> None:
    """Prints a table, with rich where it is installed and there is a terminal."""
    try:
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text
    except ImportError:
        _show_plain(table)
        return
    console = Console()
    if not console.is_terminal:
        _show_plain(table)
        return
    title, head, lines = table
    shown = RichTable(title=title, title_justify="left")
    for name in head:
        shown.add_column(name)
    for line in lines:
        style = "bold red" if line[-1].startswith(MISSED) else ""
        shown.add_row(*(Text(text) for text in line), style=style)
    console.print(shown)


def show_facts(report: Report) -> None:
    for title, facts in (("machine", report.machine), ("versions", report.versions)):
        print(f"{title}: " + "; ".join(f"{name} {value}" for name, value in facts.items()))
    for remark in report.remarks:
        print(f"note: {remark}")


# --- JSON ---


def to_json(report: Report) -> dict[str, Any]:
    """Everything, the single samples included, so that runs can be compared later."""
    return {
        "format": FORMAT,
        "machine": report.machine,
        "versions": report.versions,
        "remarks": report.remarks,
        "missing": report.missing,
        "questions": {
            answered.question.name: {
                "title": answered.question.title,
                "unit": answered.question.unit,
                "baseline": answered.question.baseline,
                "busy": answered.busy,
                "cells": [attrs.asdict(cell) for cell in answered.cells],
                "rows": [attrs.asdict(verdict) for verdict in answered.verdicts],
            }
            for answered in report.answers
        },
    }


def write_json(report: Report, path: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(to_json(report), file, indent=1)
        file.write("\n")
