"""Resident memory that a tool adds to a dynamic program which has looked at one file."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool


def cases(scratch: Scratch, _tool: Tool, _effort: Effort) -> list[Case]:
    program = scratch.program("resident")
    return [Case(command=[program, field], variant=field) for field in ("Rss", "Pss")]


QUESTION = Question(
    title="resident memory of a small dynamic program",
    unit="bytes",
    order=75,
    cases=cases,
    rows=(
        Row(
            "resident memory added to a dynamic program",
            Place("fakeroot-sc", "Rss"),
            Place("native", "Rss"),
            difference=True,
            at_most=100e3,
            issue=3,
        ),
        Row(
            "resident memory added to a dynamic program, pages shared by halves (Pss)",
            Place("fakeroot-sc", "Pss"),
            Place("native", "Pss"),
            difference=True,
        ),
    ),
)
