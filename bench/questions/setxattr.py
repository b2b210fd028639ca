"""One setxattr(2): of an attribute that the user may set, and of a file capability."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

NAMES = ("user.bench", "security.capability")
PEERS = ("fakeroot", "pseudo")


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    return [
        Case(
            variant=name,
            command=[
                scratch.program("setxattr"), name, str(effort.run_ms),
                scratch.file(f"setxattr-{name}-{tool.name}"),
            ],
            cannot=""
            if tool.front or name.startswith("user.")
            else "an ordinary user must not",
        )
        for name in NAMES
    ]  # fmt: skip


QUESTION = Question(
    title="one setxattr of a file",
    unit="ns",
    order=22,
    cases=cases,
    baseline="fakeroot",
    rows=tuple(
        Row(
            f"setxattr of {name}, against {peer}'s",
            Place("fakeroot-sc", name),
            Place(peer, name),
            at_most=1.0,
            issue=4,
        )
        for name in NAMES
        for peer in PEERS
    ),
)
