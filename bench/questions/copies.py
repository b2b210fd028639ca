"""``cp -a`` and ``rsync -a`` of 20,000 small files to where nothing is yet."""

import attrs

from bench import trees
from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

FILES = 20_000


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    files = FILES // effort.part
    return [
        attrs.evolve(copy(scratch, tool, files), variant=name)
        for name, copy in (("cp", trees.cp), ("rsync", trees.rsync))
    ]


QUESTION = Question(
    title="cp -a, rsync -a of 20,000 small files",
    unit="ns",
    order=110,
    cases=cases,
    weight=2,
    rows=tuple(
        Row(
            f"{command} -a of 20,000 small files, against {other}",
            Place("fakeroot-sc", command),
            Place(other, command),
            at_most=at_most,
            issue=issue,
        )
        for command in ("cp", "rsync")
        for other, at_most, issue in (("fakeroot", 0.5, 3), ("native", None, None))
    ),
)
