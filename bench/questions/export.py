"""``fakeroot-sc-state export --format tar`` of 20,000 small files, beside tar itself."""

import os
import subprocess

from bench import trees
from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

FILES = 20_000
OWNER = (5, 6)
PATIENCE = 120  # seconds


def cases(scratch: Scratch, tool: Tool, _effort: Effort) -> list[Case]:
    tree = scratch.tree(FILES)
    archive = os.path.join(scratch.path, f"export-{tool.name}.tar")
    clock = [scratch.program("clock"), "1"]
    if not tool.front:
        command = ["tar", "cf", archive, "-C", tree, "."]
        return [
            Case(
                command=[*clock, *command],
                before=lambda: scratch.remove(archive),
                after=trees.archived(archive, tool.ids_seen(scratch), trees.members(FILES)),
            )
        ]
    if tool.name != "fakeroot-sc":
        return []
    state = os.path.join(scratch.directory(f"export-{tool.name}"), "state")
    front = tool.wrap([])
    ours = os.path.join(os.path.dirname(front[0]), "fakeroot-sc-state")

    def before() -> None:
        scratch.remove(archive)
        if not os.path.exists(state):
            command = [
                *front[:-1],
                "-p",
                state,
                "--",
                "chown",
                "-R",
                f"{OWNER[0]}:{OWNER[1]}",
                tree,
            ]
            subprocess.run(command, timeout=PATIENCE, check=True)
            scratch.give(state)
            scratch.give(f"{state}-live")

    return [
        Case(
            command=[*clock, ours, "export", state, tree, "--format", "tar", "-o", archive],
            outside=True,
            before=before,
            after=trees.archived(archive, OWNER, trees.members(FILES)),
        )
    ]


QUESTION = Question(
    title="an archive of 20,000 small files from tree and state",
    unit="ns",
    order=44,
    cases=cases,
    rows=(
        Row(
            "export of 20,000 files as tar, against GNU tar without any tool",
            Place("fakeroot-sc"),
            Place("native"),
            at_most=3,
            issue=14,
        ),
    ),
)
