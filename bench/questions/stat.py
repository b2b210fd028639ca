"""One lstat(2), fstat(2) or statx(2) by a dynamic program, of files that were never
changed and of files whose owner the fake root remembers."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

FILES = 64
CALLS = ("lstat", "fstat", "statx")
OWNER = 1000


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    # Of each tool's own: pseudo never forgets a change.
    recorded = f"stat-{tool.name}"
    files = {"": scratch.files("lstat", FILES), ", recorded": scratch.files(recorded, FILES)}

    def case(call: str, suffix: str) -> Case:
        owner = tool.owner_seen(scratch)
        change = []
        if suffix and tool.front:
            owner = OWNER
            change = ["sh", "-c", f'chown {OWNER} {recorded}/* && exec "$@"', "sh"]
        measured = [scratch.program("stat"), call, str(effort.run_ms), "1", str(owner)]
        return Case(
            variant=call + suffix,
            command=[*change, *measured, *files[suffix]],
            cannot=tool.no_owners if change else "",
        )

    return [case(call, suffix) for suffix in files for call in CALLS]


def _row(call: str, suffix: str, text: str, at_most: float) -> Row:
    variant = call + suffix
    places = Place("fakeroot-sc", variant), Place("native", variant)
    return Row(f"{call} of {text}, against native", *places, at_most=at_most, issue=3)


QUESTION = Question(
    title="one lstat, fstat, statx by a dynamic program",
    unit="ns",
    order=12,
    cases=cases,
    weight=2,
    rows=(
        *(_row(call, "", "an unrecorded file", 1.25) for call in CALLS),
        *(_row(call, ", recorded", "a recorded file", 2.2) for call in CALLS),
    ),
)
