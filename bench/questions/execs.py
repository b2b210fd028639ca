"""Exec storms: a program that executes itself again and again, and a shell that starts
hundreds of small programs, alone and in pipes."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

EXECS = 200
TURNS = 60
# Programs by path: a shell has true and echo built in.
SHELL = """\
i=0
while [ $i -lt {turns} ]; do
    /bin/true && /bin/echo $i | /bin/cat | /bin/cat >{out} && (/bin/true) || exit 2
    i=$((i + 1))
done
read last <{out}
[ "$last" = $(({turns} - 1)) ]
"""


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    turns = max(1, TURNS // effort.part)
    out = scratch.file(f"execs-{tool.name}")
    script = SHELL.format(turns=turns, out=out)
    return [
        Case(variant="execve", command=[scratch.program("execs"), str(EXECS // effort.part)]),
        Case(
            variant=f"shell, {5 * TURNS} programs",
            command=[scratch.program("clock"), "1", "sh", "-c", script],
        ),
    ]


QUESTION = Question(
    title="exec storms: one execve, a shell script of small programs",
    unit="ns",
    order=52,
    cases=cases,
    rows=tuple(
        Row(f"{text}, against {other}", Place("fakeroot-sc", variant), Place(other, variant))
        for text, variant in (
            ("one execve of itself", "execve"),
            ("a shell script of small programs", f"shell, {5 * TURNS} programs"),
        )
        for other in ("native", "fakeroot")
    ),
)
