"""posix_spawn(3) of /bin/true and waiting for it, in a loop inside one session."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool


def cases(scratch: Scratch, _tool: Tool, effort: Effort) -> list[Case]:
    return [Case(command=[scratch.program("spawn"), str(4 * effort.run_ms), "/bin/true"])]


QUESTION = Question(
    title="posix_spawn of /bin/true",
    unit="ns",
    order=50,
    cases=cases,
    rows=(
        Row(
            "posix_spawn of /bin/true in a loop, without shim, against native",
            Place("fakeroot-sc-no-shim"),
            Place("native"),
            at_most=1.8,
            issue=2,
        ),
        Row(
            "posix_spawn of /bin/true in a loop, against native",
            Place("fakeroot-sc"),
            Place("native"),
            at_most=1.6,
            issue=3,
        ),
    ),
)
