"""``TOOL -i FILE -s OTHER true``: loading and saving what is remembered of many files."""

import os
from collections.abc import Callable

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

RECORDS = 100_000
MANY_RECORDS = 1_000_000
OWNERS = 1000
SAVERS = ("fakeroot-sc", "fakeroot-sc-no-shim", "fakeroot", "fakeroot-tcp")


def _write(path: str, records: int) -> None:
    """A file of fakeroot's form, of inode numbers that need not exist, written once."""
    if os.path.exists(path):
        return
    with open(path, "w", encoding="ascii") as file:
        for number in range(records):
            file.write(
                f"dev=fe00,ino={number * 7 + 11},mode=100644,uid={number % OWNERS},gid=55,"
                "nlink=1,rdev=0\n"
            )
    os.chmod(path, 0o644)


def _saved(saved: str, records: int) -> Callable[[], str | None]:
    def after() -> str | None:
        with open(saved, "rb") as file:
            lines = sum(1 for _ in file)
        return None if lines == records else f"{lines} records saved, not {records}"

    return after


def _before(scratch: Scratch, source: str, saved: str, records: int) -> Callable[[], None]:
    def before() -> None:
        _write(source, records)
        scratch.remove(saved)

    return before


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    if tool.name not in SAVERS:
        return []
    directory = scratch.directory(f"save-{tool.name}")
    found = []
    for variant, records in (("100,000", RECORDS), ("1,000,000", MANY_RECORDS // effort.part)):
        source, saved = os.path.join(scratch.path, f"records-{records}"), f"{directory}/saved"
        files = ["-i", source]
        if variant == "100,000":
            files += ["-s", saved]
        wrapped = tool.wrap(["/bin/true"])
        command = [*wrapped[:-2], *files, *wrapped[-2:]]
        cannot = "" if tool.own or variant == "100,000" else "takes minutes"
        found.append(
            Case(
                variant=variant,
                command=[scratch.program("clock"), "1", *command],
                outside=True,
                before=_before(scratch, source, saved, records),
                after=_saved(saved, records) if variant == "100,000" else None,
                cannot=cannot,
            )
        )
    return found


QUESTION = Question(
    title="-i FILE -s FILE true: records loaded and saved; of a million, loaded",
    unit="ns",
    order=42,
    cases=cases,
    baseline="fakeroot",
    rows=(
        Row(
            "100,000 records loaded and saved, against fakeroot",
            Place("fakeroot-sc", "100,000"),
            Place("fakeroot", "100,000"),
            at_most=0.5,
            issue=5,
        ),
        Row(
            "1,000,000 records loaded, in ns",
            Place("fakeroot-sc", "1,000,000"),
            at_most=3e9,
            issue=5,
        ),
    ),
)
