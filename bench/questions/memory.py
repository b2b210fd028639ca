"""Resident memory of an idle session."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

# The process that serves COMMAND, when it is COMMAND's parent; and the command's
# own face to the shell, which is that process's parent.
OURS = {"supervisor": 1, "front": 2}
PARENTS = {
    "fakeroot-sc": OURS,
    "fakeroot-sc-no-shim": OURS,
    "fakeroot-sc-ptrace": OURS,
    "proot": {"supervisor": 1},
}


def cases(scratch: Scratch, tool: Tool, _effort: Effort) -> list[Case]:
    program = scratch.program("memory")
    measured = []
    for process, generations in PARENTS.get(tool.name, {}).items():
        fields = {"": "VmRSS", ", own pages": "RssAnon"}
        for suffix, field in fields.items():
            measured.append(
                Case(command=[program, str(generations), field], variant=process + suffix)
            )
    return measured


QUESTION = Question(
    title="resident memory, idle",
    unit="bytes",
    order=70,
    cases=cases,
    baseline="proot",
    rows=(
        Row(
            "resident memory of the supervisor, idle",
            Place("fakeroot-sc", "supervisor"),
            at_most=20e6,
            issue=2,
        ),
    ),
)
