"""``find -size`` over 20,000 files: a stat for each and nothing else."""

from collections.abc import Callable

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Done, Scratch
from bench.tools import ANY_OWNER, Tool

FILES = 20_000


def _check(owner: int) -> Callable[[Done], str | None]:
    def check(done: Done) -> str | None:
        if done.trouble:
            return done.trouble
        owners = done.output.split()
        if len(owners) != FILES // 4:
            return f"{len(owners)} files found, not {FILES // 4}"
        strange = set(owners) - {str(owner)}
        if owner != ANY_OWNER and strange:
            return f"owner {strange.pop()} shown, not {owner}"
        return None

    return check


def cases(scratch: Scratch, tool: Tool, _effort: Effort) -> list[Case]:
    find = ["find", scratch.tree(FILES), "-type", "f", "-size", "+1k"]
    return [
        Case(
            command=[scratch.program("clock"), "1", *find],
            check_command=[*find, "-printf", "%U\\n"],
            check=_check(tool.owner_seen(scratch)),
        )
    ]


QUESTION = Question(
    title="find -size over 20,000 files",
    unit="ns",
    order=90,
    cases=cases,
    rows=(
        Row("find -size over 20,000 files, against native", Place("fakeroot-sc"), Place("native")),
        Row(
            "find -size over 20,000 files, against fakeroot",
            Place("fakeroot-sc"),
            Place("fakeroot"),
        ),
    ),
)
