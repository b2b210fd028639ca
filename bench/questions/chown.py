"""One chown(2) of one file, to changing owners."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    # A file for each tool: pseudo takes a file that others changed for a new one.
    return [
        Case(
            command=[
                scratch.program("chown"), str(effort.run_ms), scratch.file(f"chown-{tool.name}")
            ],
            cannot=tool.no_owners,
        )
    ]  # fmt: skip


QUESTION = Question(
    title="one chown of a file",
    unit="ns",
    order=20,
    cases=cases,
    baseline="fakeroot",
    rows=(
        Row(
            "chown of one file, against fakeroot's",
            Place("fakeroot-sc"),
            Place("fakeroot"),
            at_most=1.0,
            issue=2,
        ),
        Row(
            "chown of one file, against pseudo's",
            Place("fakeroot-sc"),
            Place("pseudo"),
            at_most=1.0,
            issue=4,
        ),
        Row(
            "chown of one file, without shim, against fakeroot's",
            Place("fakeroot-sc-no-shim"),
            Place("fakeroot"),
        ),
    ),
)
