"""``--state``: what it adds to a start and to a change, and loading what a file holds."""

import os
import sqlite3
import subprocess
from collections.abc import Callable

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

REPEATS = 3
RECORDS = 100_000
MANY_RECORDS = 1_000_000
OWNERS = 1000
PATIENCE = 120  # seconds
OURS = ("fakeroot-sc", "fakeroot-sc-no-shim")
CHANGES = 20_000


def _make(scratch: Scratch, front: list[str], path: str, records: int) -> None:
    """A state of files that need not exist, written once by its published schema."""
    if os.path.exists(path):
        return
    subprocess.run([*front[:-1], "-p", path, "--", "true"], timeout=PATIENCE, check=True)
    database = sqlite3.connect(path)
    with database:
        database.executemany(
            "INSERT INTO inodes VALUES (99, ?, 5, 32768, ?, 55, NULL, NULL, NULL, NULL, NULL)",
            ((number + 1, number % OWNERS) for number in range(records)),
        )
        database.execute("UPDATE meta SET value = 77 WHERE key = 'stamp'")
    database.close()
    scratch.give(path)
    scratch.give(f"{path}-live")


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    if tool.name not in OURS:
        return []
    directory = scratch.directory(f"state-{tool.name}")
    front = tool.wrap([])
    many = MANY_RECORDS // effort.part

    def case(
        variant: str,
        state: str,
        command: list[str],
        repeats: int,
        before: Callable[[], None] | None = None,
    ) -> Case:
        options = ["-p", os.path.join(directory, state)] if state else []
        clock = [scratch.program("clock"), str(repeats)]
        return Case(
            variant=variant,
            command=[*clock, *front[:-1], *options, "--", *command],
            outside=True,
            before=before,
        )

    def make(state: str, records: int, *, afresh: bool = False) -> Callable[[], None]:
        path = os.path.join(directory, state)

        def before() -> None:
            _make(scratch, front, path, records)
            if afresh:
                scratch.remove(f"{path}-live")

        return before

    def forget() -> None:
        for name in ("tree", "tree-live"):
            scratch.remove(f"{directory}/{name}")

    changes = [
        scratch.program("chown"), str(effort.run_ms), scratch.file(f"state-chown-{tool.name}")
    ]  # fmt: skip
    tree = scratch.tree(CHANGES)
    calls = [
        Case(
            variant=f"chown{', state' if state else ''}",
            command=[*front[:-1], *(["-p", f"{directory}/calls"] if state else []), "--", *changes],
            outside=True,
        )
        for state in (False, True)
    ]
    return [
        case("start", "", ["/bin/true"], REPEATS),
        case("start, 100,000", "some", ["/bin/true"], REPEATS, make("some", RECORDS)),
        *calls,
        case("chown -R", "", ["chown", "-R", "7:8", tree], 1),
        # Each run starts with nothing known.
        case("chown -R, state", "tree", ["chown", "-R", "7:8", tree], 1, forget),
        case("load 1,000,000", "many", ["/bin/true"], 1, make("many", many, afresh=True)),
    ]


def _row(text: str, of: str, against: str | None, at_most: float | None) -> Row:
    place = Place("fakeroot-sc", against) if against else None
    issue = 5 if at_most else None
    return Row(text, Place("fakeroot-sc", of), place, at_most=at_most, issue=issue)


QUESTION = Question(
    title="--state FILE: starts, changes, a million records loaded",
    unit="ns",
    order=43,
    cases=cases,
    baseline="fakeroot-sc",
    rows=(
        _row("a start with 100,000 records, against one without", "start, 100,000", "start", 1.5),
        _row("chown with --state, against without", "chown, state", "chown", 1.3),
        _row(
            "chown -R of 20,000 files, start and commit included, against without",
            "chown -R, state",
            "chown -R",
            None,
        ),
        _row("1,000,000 records loaded from the file, in ns", "load 1,000,000", None, 3e9),
    ),
)
