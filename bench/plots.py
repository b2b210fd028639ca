"""Pictures of a run, as SVG, by matplotlib."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.measure import OK, Cell
from bench.question import Place
from bench.report import Answer, Report
from bench.tools import TOOLS

# Questions of single calls, and which of their variants stand for them; none: all.
CALLS = {
    "lstat": ("dynamic", "static"),
    "families": (
        "access", "geteuid", "chown", "chmod", "open", "creat", "mknod, unlink",
        "rename, rename", "setxattr", "getxattr", "list 64",
    ),
    "execs": ("execve",),
    "spawn": (),
    "untrapped": (),
}  # fmt: skip
TREES = "tree_"  # questions whose variants are numbers of files
COLUMNS = 4
SWITCHES_LEAST = 0.01  # for a call: below is what a start brings with it
COLOURS = (*(f"C{number}" for number in range(10)), "black", "navy")

Value = Callable[[Cell], float | None]


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("svg")
    # The same picture from the same numbers.
    matplotlib.rcParams["svg.hashsalt"] = "fakeroot-sc"
    from matplotlib import pyplot

    return pyplot


def _style(tool: str) -> dict[str, Any]:
    """The same colour for a tool in all pictures."""
    colours = dict(zip(TOOLS, COLOURS, strict=True))
    return {"color": colours[tool], "label": tool}


def _microseconds(cell: Cell) -> float | None:
    return cell.spread.middle / 1000 if cell.state == OK and cell.spread else None


def _switches(cell: Cell) -> float | None:
    return cell.account.switches if cell.account else None


def _value(answered: Answer, tool: str, variant: str, value: Value) -> float | None:
    for cell in answered.cells:
        if cell.place == Place(tool, variant):
            return value(cell)
    return None


def _columns(report: Report, wanted: dict[str, tuple[str, ...]]) -> list[tuple[str, Answer, str]]:
    """Label, answer and variant of each group of bars."""
    found = []
    for answered in report.answers:
        name = answered.question.name
        if name not in wanted:
            continue
        variants = dict.fromkeys(cell.place.variant for cell in answered.cells)
        for variant in variants:
            if not wanted[name] or variant in wanted[name]:
                label = variant if name == "families" else f"{name}\n{variant}"
                found.append((label.strip(), answered, variant))
    return found


def _tools(answers: list[Answer]) -> list[str]:
    names = (cell.place.tool for answered in answers for cell in answered.cells)
    return list(dict.fromkeys(names))


def _bars(report: Report, title: str, wanted: dict[str, tuple[str, ...]], value: Value) -> Any:
    """A group of bars for each question, on a logarithmic scale; None without numbers."""
    columns = _columns(report, wanted)
    tools = _tools([answered for _, answered, _ in columns])
    values = {
        tool: [_value(answered, tool, variant, value) for _, answered, variant in columns]
        for tool in tools
    }
    if not any(number for numbers in values.values() for number in numbers):
        return None
    figure, axes = _pyplot().subplots(figsize=(max(6.0, 1.1 * len(columns)), 4.5))
    width = 0.8 / len(tools)
    for position, tool in enumerate(tools):
        places = [index + position * width for index, n in enumerate(values[tool]) if n]
        heights = [number for number in values[tool] if number]
        axes.bar(places, heights, width, **_style(tool))
    axes.set_yscale("log")
    if value is _switches:
        axes.set_ylim(bottom=SWITCHES_LEAST)
    axes.set_ylabel("microseconds" if value is _microseconds else "context switches")
    axes.set_title(title)
    axes.set_xticks([index + 0.4 for index in range(len(columns))])
    axes.set_xticklabels([label for label, _, _ in columns], fontsize=7, rotation=30, ha="right")
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    return figure


def _calls(report: Report, title: str) -> Any:
    return _bars(report, title, CALLS, _microseconds)


def _call_switches(report: Report, title: str) -> Any:
    return _bars(report, title, CALLS, _switches)


def _amount(variant: str) -> int:
    """The number in a variant's name, as of files or records."""
    digits = "".join(character for character in variant if character.isdigit())
    return int(digits or 0)


def _lines(
    axes: Any, answered: Answer, tool: str, divisor: float, kind: str = "", line: str = "o-"
) -> bool:
    """A line of one tool over the numbers of its variants; whether there is one."""
    points = sorted(
        (_amount(cell.place.variant), taken / divisor)
        for cell in answered.cells
        if cell.place.tool == tool
        and cell.place.variant.startswith(kind)
        and (taken := _microseconds(cell))
    )
    style = _style(tool)
    if kind:
        style["label"] = f"{tool}, {kind.rstrip(',')}"
    if points:
        axes.plot([x for x, _ in points], [y for _, y in points], line, markersize=3, **style)
    return bool(points)


def _sizes(report: Report, title: str) -> Any:
    """A panel for each thing that is done to trees."""
    answers = [one for one in report.answers if one.question.name.startswith(TREES)]
    if not any(cell.samples for answered in answers for cell in answered.cells):
        return None
    rows = -(-len(answers) // COLUMNS)
    columns = min(COLUMNS, len(answers))
    figure, panels = _pyplot().subplots(
        rows, columns, figsize=(3.3 * columns, 3.0 * rows + 0.8), squeeze=False, sharex=True
    )
    for axes, answered in zip(panels.flat, answers, strict=False):
        for tool in _tools(answers):
            _lines(axes, answered, tool, 1000)
        axes.set_title(answered.question.title.partition(" of trees")[0], fontsize=9)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.tick_params(labelsize=7)
    for axes in panels.flat[len(answers) :]:
        axes.set_axis_off()
    for row in panels:
        row[0].set_ylabel("milliseconds", fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("files", fontsize=8)
    handles = {
        label: handle
        for axes in panels.flat
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.suptitle(title, fontsize=10)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=6, fontsize=7)
    return figure


def _records(report: Report, title: str) -> Any:
    found = [one for one in report.answers if one.question.name == "records"]
    if not found:
        return None
    figure, axes = _pyplot().subplots(figsize=(6.0, 4.5))
    drawn = False
    for tool in _tools(found):
        drawn |= _lines(axes, found[0], tool, 1, "unrecorded,", "o-")
        drawn |= _lines(axes, found[0], tool, 1, "recorded,", "s--")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("records")
    axes.set_ylabel("microseconds")
    axes.set_title(title)
    axes.legend(fontsize=7)
    figure.tight_layout()
    return figure if drawn else None


def _starts(report: Report, title: str) -> Any:
    cells = [
        (cell.place.tool, taken)
        for answered in report.answers
        if answered.question.name == "startup"
        for cell in answered.cells
        if (taken := _microseconds(cell))
    ]
    if not cells:
        return None
    figure, axes = _pyplot().subplots(figsize=(6.0, 0.6 + 0.35 * len(cells)))
    for tool, taken in reversed(cells):
        axes.barh(tool, taken / 1000, color=_style(tool)["color"])
    axes.set_xlabel("milliseconds")
    axes.set_title(title)
    figure.tight_layout()
    return figure


PICTURES: tuple[tuple[str, Callable[[Report, str], Any], str], ...] = (
    ("calls", _calls, "One call, by tool (logarithmic)"),
    ("switches", _call_switches, "Context switches for each call, by tool (logarithmic)"),
    ("trees", _sizes, "Cost against the size of a tree (logarithmic)"),
    ("records", _records, "One lstat against the number of records (logarithmic)"),
    ("startup", _starts, "Start-up: TOOL true"),
)


def draw(report: Report, beside: Path) -> Iterator[tuple[str, str]]:
    """Writes the pictures beside a document, and gives the name and caption of each."""
    for suffix, make, caption in PICTURES:
        figure = make(report, caption)
        if figure is None:
            continue
        name = f"{beside.stem}-{suffix}.svg"
        figure.savefig(beside.with_name(name), metadata={"Date": None})
        _pyplot().close(figure)
        yield name, caption
