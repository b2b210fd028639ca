"""Two processes that lstat(2) at once, in one session: do they get in each other's way?

The number is the time between two results of any process; so one process's
number by that of two is the factor of speed gained.
"""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

FILES = 64


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    files = scratch.files("lstat", FILES)

    def case(variant: str, processes: int) -> Case:
        command = [scratch.program("stat"), "lstat", str(effort.run_ms), str(processes)]
        return Case(command=[*command, str(tool.owner_seen(scratch)), *files], variant=variant)

    return [case("one", 1), case("two", 2)]


QUESTION = Question(
    title="lstat by two processes at once",
    unit="ns",
    order=100,
    cases=cases,
    rows=(
        Row(
            "lstat by two processes at once, gain over one",
            Place("fakeroot-sc", "one"),
            Place("fakeroot-sc", "two"),
            at_least=1.8,
            issue=3,
        ),
        Row(
            "the same natively (what the machine can give)",
            Place("native", "one"),
            Place("native", "two"),
        ),
    ),
)
