"""getppid(2), which no tool needs to see."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool


def cases(scratch: Scratch, _tool: Tool, effort: Effort) -> list[Case]:
    return [Case(command=[scratch.program("getppid"), str(effort.run_ms)])]


QUESTION = Question(
    title="one call that is not trapped (getppid)",
    unit="ns",
    order=60,
    cases=cases,
    rows=(
        Row(
            "syscalls that are not trapped (getppid), against native",
            Place("fakeroot-sc"),
            Place("native"),
            at_most=1.5,
            issue=2,
        ),
    ),
)
