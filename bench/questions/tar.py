"""``tar cf`` of 20,000 small files."""

from bench import trees
from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

FILES = 20_000
TITLE = "tar cf of 20,000 small files"


def cases(scratch: Scratch, tool: Tool, _effort: Effort) -> list[Case]:
    return [trees.tar(scratch, tool, FILES)]


def _row(how: str, of: str, against: str, at_most: float, issue: int) -> Row:
    return Row(f"{TITLE}{how}", Place(of), Place(against), at_most=at_most, issue=issue)


QUESTION = Question(
    title=TITLE,
    unit="ns",
    order=30,
    cases=cases,
    weight=2,
    rows=(
        _row(
            ", all through notifications, against fakeroot",
            "fakeroot-sc-no-shim", "fakeroot", 0.85, 2,
        ),
        _row(", against native", "fakeroot-sc", "native", 1.35, 3),
        _row(", against fakeroot", "fakeroot-sc", "fakeroot", 0.3, 3),
        _row(", in ptrace mode, against PRoot", "fakeroot-sc-ptrace", "proot", 0.8, 6),
        _row(
            ", in ptrace mode, all by stops, against PRoot",
            "fakeroot-sc-ptrace-no-shim", "proot", 0.8, 6,
        ),
    ),
)  # fmt: skip
