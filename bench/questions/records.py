"""One lstat(2) while the fake root remembers 1,000 to 1,000,000 files.

Each number of records has a session of its own, which stays for the whole question:
making a million takes much longer than measuring.
"""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.service import Service
from bench.tools import Tool

SIZES = (1_000, 10_000, 100_000, 1_000_000)
FEW, MANY = SIZES[0], SIZES[-1]
KINDS = ("unrecorded", "recorded")
CHECKED = ("fakeroot-sc", "fakeroot-sc-no-shim")  # by the memory that the records take
OTHERS = {"fakeroot": 100_000}  # at most so many, for the sake of time


def variant(kind: str, records: int) -> str:
    return f"{kind}, {records:,} records"


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    if tool.name not in (*CHECKED, *OTHERS):
        return []
    measured = []
    for records in SIZES:
        directory = scratch.directory(f"records-{tool.name}-{records}")
        kept = "kept" if tool.name in CHECKED else "unchecked"
        command = [scratch.program("records"), str(records), directory, kept]
        service = Service(scratch, tool.wrap(command), tool.environment(scratch))
        too_many = records > OTHERS.get(tool.name, MANY)
        measured += [
            Case(
                variant=variant(kind, records),
                command=[kind, str(effort.run_ms)],
                service=service,
                cannot="takes long to make" if too_many else "",
                large=records == MANY,
            )
            for kind in KINDS
        ]
    return measured


def _row(kind: str, tool: str, how: str = "", at_most: float | None = None) -> Row:
    return Row(
        f"lstat of {kind} files with 1,000,000 records, against 1,000{how}",
        Place(tool, variant(kind, MANY)),
        Place(tool, variant(kind, FEW)),
        at_most=at_most,
        issue=3 if at_most else None,
    )


QUESTION = Question(
    title="one lstat with 1,000 to 1,000,000 records",
    unit="ns",
    order=14,
    cases=cases,
    weight=2,
    baseline="fakeroot-sc",
    rows=(
        *(_row(kind, "fakeroot-sc", at_most=1.3) for kind in KINDS),
        *(_row(kind, "fakeroot-sc-no-shim", ", without shim") for kind in KINDS),
    ),
)
