"""Several processes that lstat(2) at once, in one session: do they get in each other's way?

The number is the time between two results of any process; so one process's
number by that of two is the factor of speed gained.
"""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

FILES = 64
PROCESSES = (1, 2, 4, 8)


def variant(processes: int) -> str:
    return f"{processes} process{'es' if processes > 1 else ''}"


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    files = scratch.files("lstat", FILES)
    command = [scratch.program("stat"), "lstat", str(effort.run_ms)]
    owner = str(tool.owner_seen(scratch))
    return [
        Case(command=[*command, str(processes), owner, *files], variant=variant(processes))
        for processes in PROCESSES
    ]


def _row(text: str, tool: str, processes: int, at_least: float | None = None) -> Row:
    places = Place(tool, variant(1)), Place(tool, variant(processes))
    return Row(text, *places, at_least=at_least, issue=3 if at_least else None)


QUESTION = Question(
    title="lstat by several processes at once",
    unit="ns",
    order=100,
    cases=cases,
    rows=(
        _row("lstat by two processes at once, gain over one", "fakeroot-sc", 2, at_least=1.8),
        _row("lstat by two processes at once, natively (what the machine can give)", "native", 2),
        _row("lstat by two processes at once, without shim", "fakeroot-sc-no-shim", 2),
        _row("lstat by eight processes at once, gain over one", "fakeroot-sc", 8),
        _row("lstat by eight processes at once, natively", "native", 8),
        _row("lstat by eight processes at once, without shim", "fakeroot-sc-no-shim", 8),
    ),
)
