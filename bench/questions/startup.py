"""``TOOL true``: what a tool costs before and after the command."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

REPEATS = 3


def cases(scratch: Scratch, tool: Tool, _effort: Effort) -> list[Case]:
    command = [scratch.program("clock"), str(REPEATS), *tool.wrap(["/bin/true"])]
    return [Case(command=command, outside=True)]


QUESTION = Question(
    title="start-up: TOOL true",
    unit="ns",
    order=40,
    cases=cases,
    baseline="fakeroot",
    rows=(
        Row(
            "fakeroot-sc --no-shim true, against fakeroot true",
            Place("fakeroot-sc-no-shim"),
            Place("fakeroot"),
            at_most=2.0,
            issue=2,
        ),
        Row("fakeroot-sc true, against fakeroot true", Place("fakeroot-sc"), Place("fakeroot")),
    ),
)
