"""Pictures of a run, as SVG, by matplotlib."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.measure import OK
from bench.question import Place
from bench.report import Answer, Report

# Questions of single calls, with the variant that stands for them.
CALLS = {
    "lstat": "",
    "stat": "",
    "chown": "",
    "create": "creat",
    "unlink": "",
    "setxattr": "",
    "spawn": "",
}
STARTS = {"startup": ""}
TREES = {"tar": "", "untar": "", "walks": "", "copies": "", "package": ""}


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def _median(answered: Answer, tool: str, variant: str) -> float | None:
    for cell in answered.cells:
        if cell.place == Place(tool, variant) and cell.state == OK and cell.spread:
            return cell.spread.middle
    return None


def _columns(report: Report, wanted: dict[str, str]) -> list[tuple[str, Answer, str]]:
    """Label, answer and variant of each group of bars: all variants, or the one named."""
    found = []
    for answered in report.answers:
        name = answered.question.name
        if name not in wanted:
            continue
        variants = dict.fromkeys(cell.place.variant for cell in answered.cells)
        for variant in variants:
            if not wanted[name] or variant == wanted[name]:
                found.append((f"{name}\n{variant}".strip(), answered, variant))
    return found


def _tools(columns: list[tuple[str, Answer, str]]) -> list[str]:
    names = (cell.place.tool for _, answered, _ in columns for cell in answered.cells)
    return list(dict.fromkeys(names))


def _bars(report: Report, wanted: dict[str, str], title: str) -> Any:
    """A group of bars for each question, on a logarithmic scale; None without numbers."""
    import matplotlib

    matplotlib.use("svg")
    # The same picture from the same numbers.
    matplotlib.rcParams["svg.hashsalt"] = "fakeroot-sc"
    from matplotlib import pyplot

    columns = _columns(report, wanted)
    tools = _tools(columns)
    if not columns:
        return None
    figure, axes = pyplot.subplots(figsize=(max(6.0, 1.1 * len(columns)), 4.5))
    width = 0.8 / len(tools)
    for position, tool in enumerate(tools):
        values = [_median(answered, tool, variant) for _, answered, variant in columns]
        places = [index + position * width for index, value in enumerate(values) if value]
        axes.bar(places, [value / 1000 for value in values if value], width, label=tool)
    axes.set_yscale("log")
    axes.set_ylabel("microseconds")
    axes.set_title(title)
    axes.set_xticks([index + 0.4 for index in range(len(columns))])
    axes.set_xticklabels([label for label, _, _ in columns], fontsize=7, rotation=30, ha="right")
    axes.legend(fontsize=7)
    figure.tight_layout()
    return figure


def draw(report: Report, beside: Path) -> Iterator[tuple[str, str]]:
    """Writes the pictures beside a document, and gives the name and caption of each."""
    for suffix, wanted, caption in (
        ("calls", CALLS, "One call, by tool (logarithmic)"),
        ("trees", TREES, "Whole trees, by tool (logarithmic)"),
        ("startup", STARTS, "Start-up: TOOL true"),
        ("records", {"records": ""}, "One lstat with few and many records"),
    ):
        figure = _bars(report, wanted, caption)
        if figure is None:
            continue
        name = f"{beside.stem}-{suffix}.svg"
        figure.savefig(beside.with_name(name), metadata={"Date": None})
        yield name, caption
