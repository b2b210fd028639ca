"""One lstat(2) while the fake root remembers many files, against few.

Each number of records has a session of its own, which stays for the whole question:
making a million takes much longer than measuring.
"""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.service import Service
from bench.tools import Tool

FEW = 1_000
MANY = 1_000_000
KINDS = ("unrecorded", "recorded")


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    if tool.name != "fakeroot-sc":
        return []
    measured = []
    for name, records in (("few", FEW), ("many", MANY // effort.part)):
        command = [scratch.program("records"), str(records), scratch.directory(f"records-{name}")]
        service = Service(scratch, tool.wrap(command), tool.environment(scratch))
        measured += [
            Case(
                variant=f"{kind}, {name} records",
                command=[kind, str(effort.run_ms)],
                service=service,
            )
            for kind in KINDS
        ]
    return measured


QUESTION = Question(
    title="one lstat with 1,000,000 records (many), with 1,000 (few)",
    unit="ns",
    order=14,
    cases=cases,
    rows=tuple(
        Row(
            f"lstat of {kind} files with 1,000,000 records, against 1,000",
            Place("fakeroot-sc", f"{kind}, many records"),
            Place("fakeroot-sc", f"{kind}, few records"),
            at_most=1.3,
            issue=3,
        )
        for kind in KINDS
    ),
)
