"""One lstat(2) of an existing file that was never changed."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

FILES = 64


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    files = scratch.files("lstat", FILES)
    relative = [f"lstat/f{number}" for number in range(FILES)]
    unreachable = "" if tool.reaches_static else "a preloaded library does not reach it"

    def case(variant: str, names: list[str]) -> Case:
        static = variant.startswith("static")
        return Case(
            variant=variant,
            command=[
                scratch.program("stat", static=static),
                "lstat", str(effort.run_ms), "1", str(tool.owner_seen(scratch)), *names,
            ],
            cannot=unreachable if static else "",
        )  # fmt: skip

    return [case("dynamic", files), case("static", files), case("static, relative", relative)]


QUESTION = Question(
    title="one lstat of an existing file",
    unit="ns",
    order=10,
    cases=cases,
    rows=(
        Row(
            "lstat by a static program, against native",
            Place("fakeroot-sc", "static"),
            Place("native", "static"),
            at_most=10,
            issue=2,
        ),
        Row(
            "lstat by a static program, against a dynamic one under fakeroot",
            Place("fakeroot-sc", "static"),
            Place("fakeroot", "dynamic"),
            at_most=0.6,
            issue=2,
        ),
        Row(
            "lstat by a static program in ptrace mode, against PRoot",
            Place("fakeroot-sc-ptrace-no-shim", "static"),
            Place("proot", "static"),
            at_most=1.0,
            issue=6,
        ),
        Row(
            "lstat by a dynamic program in ptrace mode, by stops, against PRoot",
            Place("fakeroot-sc-ptrace-no-shim", "dynamic"),
            Place("proot", "dynamic"),
            at_most=1.0,
            issue=6,
        ),
        Row(
            "lstat by a static program, by notifications, against our own ptrace mode",
            Place("fakeroot-sc-no-shim", "static"),
            Place("fakeroot-sc-ptrace-no-shim", "static"),
            at_most=0.33,
            issue=6,
        ),
        Row(
            "lstat by a static program, by notifications, against stops at every call",
            Place("fakeroot-sc-no-shim", "static"),
            Place("fakeroot-sc-ptrace-all", "static"),
        ),
        Row(
            "lstat of a relative path, static, against native",
            Place("fakeroot-sc", "static, relative"),
            Place("native", "static, relative"),
        ),
    ),
)
