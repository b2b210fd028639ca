"""What a question is made of.  The questions themselves are in questions/."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import attrs

from bench.scratch import Done, Scratch
from bench.service import Service
from bench.tools import Tool


@attrs.frozen
class Case:
    """One thing to measure under one tool.

    ``command`` must print one number on its last line, in the question's unit; it is
    run under the tool unless ``outside``, when it contains the tool itself.  With a
    ``service`` it is not run at all, but asked of that, as a line.
    ``before``: done by us ahead of each run.  ``check_command``, run once under the tool,
    and ``check``, which gets that run, say what is wrong with the tool's results
    (None: nothing), and so does ``after``, of each run; a wrong result is not counted as
    speed.  ``cannot``: why the tool cannot do this at all; then it is not run.
    ``series``: cases of one tool that do the same to more and more, in this order, ``scale``
    tells to how much: what the smaller one takes says whether there is time for the
    larger.  ``large``: only for full runs.
    """

    command: list[str]
    variant: str = ""
    outside: bool = False
    service: Service | None = None
    before: Callable[[], None] | None = None
    check_command: list[str] | None = None
    check: Callable[[Done], str | None] | None = None
    after: Callable[[], str | None] | None = None
    cannot: str = ""
    series: str = ""
    scale: int = 1
    large: bool = False


@attrs.frozen
class Place:
    """Where a number stands: under which tool, in which variant."""

    tool: str
    variant: str = ""


@attrs.frozen
class Row:
    """What is wanted of two medians' ratio, or with ``difference`` of their difference;
    without ``against``, of one median.

    Without ``at_most`` and ``at_least`` nothing is wanted: the row is for information.
    """

    text: str
    of: Place
    against: Place | None = None
    at_most: float | None = None
    at_least: float | None = None
    issue: int | None = None
    difference: bool = False

    @property
    def has_limit(self) -> bool:
        return self.at_most is not None or self.at_least is not None

    @property
    def is_ratio(self) -> bool:
        return self.against is not None and not self.difference

    @property
    def places(self) -> tuple[Place, ...]:
        return (self.of, self.against) if self.against else (self.of,)


@attrs.frozen
class Effort:
    """How much is spent: on one run of a program that repeats its call, on a question of
    weight 1, on all of them; how many runs of each case at least and at most, and at least
    of a slow one, where a run takes longer than ``slow_s``; how long one run may take, and
    how long one of a ``series`` may be expected to; what a question may at least take longer
    to give every case its least number of runs; and what part of the greatest numbers
    of files and records there is time for, as a divisor."""

    run_ms: int
    question_s: float
    total_s: float
    runs_least: int
    runs_most: int
    runs_slow: int
    slow_s: float
    skip_s: float
    overrun_s: float
    run_longest_s: float
    part: int


@attrs.frozen
class Question:
    """``cases`` gives what to measure under one tool; ``baseline``: the tool that the
    others are compared with; ``order``: its place in the table; ``weight``: how much of
    the time it gets."""

    title: str
    unit: str  # of the numbers that the commands print: "ns", "bytes" or "times"
    order: int
    cases: Callable[[Scratch, Tool, Effort], list[Case]]
    rows: tuple[Row, ...] = ()
    baseline: str = "native"
    weight: float = 1
    name: str = ""  # the module's

    @property
    def wanted(self) -> set[Place]:
        """What the rows with limits compare."""
        return {place for row in self.rows if row.has_limit for place in row.places}


def load_questions() -> dict[str, Question]:
    """All questions, in the order of the table."""
    package = importlib.import_module("bench.questions")
    found = []
    for module in pkgutil.iter_modules(package.__path__):
        question = importlib.import_module(f"bench.questions.{module.name}").QUESTION
        found.append(attrs.evolve(question, name=module.name))
    return {question.name: question for question in sorted(found, key=lambda q: q.order)}
