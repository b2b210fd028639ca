"""One unlink(2) of a file that was never changed: trapped, but nothing is to be done."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool


def cases(scratch: Scratch, _tool: Tool, effort: Effort) -> list[Case]:
    command = [scratch.program("unlink"), str(effort.run_ms), scratch.directory("unlink")]
    return [Case(command=command)]


QUESTION = Question(
    title="one unlink of an unrecorded file",
    unit="ns",
    order=80,
    cases=cases,
    rows=(
        Row("unlink of an unrecorded file, against native", Place("fakeroot-sc"), Place("native")),
        Row(
            "unlink of an unrecorded file, against fakeroot",
            Place("fakeroot-sc"),
            Place("fakeroot"),
        ),
    ),
)
