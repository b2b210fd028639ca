"""A script like ./configure: tries the compiler, headers and functions, writes a header."""

import os

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import PROGRAMS, Scratch
from bench.tools import Tool

SCRIPT = "configure.sh"
CHECKS = 12


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    checks = max(1, CHECKS // effort.part)
    place = scratch.directory(f"configure-{tool.name}")
    header = os.path.join(place, "config.h")

    def after() -> str | None:
        with open(header, encoding="ascii") as file:
            found = sum(line.startswith("#define HAVE_") for line in file)
        return None if found == 2 * checks else f"{found} things found, not {2 * checks}"

    script = os.path.join(PROGRAMS, SCRIPT)
    with open(script, encoding="ascii") as file:
        copied = scratch.text(f"configure-{tool.name}/configure", file.read(), 0o755)
    return [
        Case(
            command=[
                "env", "-C", place, scratch.program("clock"), "1", "sh", copied, str(checks)
            ],
            before=lambda: scratch.remove(header),
            after=after,
        )
    ]  # fmt: skip


QUESTION = Question(
    title="a script like ./configure",
    unit="ns",
    order=54,
    cases=cases,
    rows=tuple(
        Row(f"a script like ./configure, against {other}", Place("fakeroot-sc"), Place(other))
        for other in ("native", "fakeroot")
    ),
)
