"""How often a call of a dynamic program is sent to the supervisor."""

from bench.question import Case, Effort, Place, Question, Row
from bench.questions.families import why_not
from bench.scratch import Scratch
from bench.tools import Tool

NOTIFICATIONS = {
    "lstat": 0, "access": 0, "geteuid": 0, "open": 0, "creat": 0, "creat, unlink": 0,
    "mkdir, rmdir": 0, "utimensat": 0, "getxattr": 0,
    "chown": 1, "chmod": 0, "setxattr": 1, "mknod, unlink": 2,
}  # fmt: skip
"""At most so many, while nothing out of the ordinary is remembered."""
FOR_ROOT_ONLY = ("chown", "mknod, unlink")
COUNTED = ("native", "fakeroot-sc", "fakeroot-sc-no-shim")  # others ask in ways of their own
OTHERS = 0.01
"""A process may be preempted now and then."""


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    if tool.name not in COUNTED:
        return []
    directory = scratch.directory(f"notifications-{tool.name}")
    return [
        Case(
            variant=call,
            command=[scratch.program("calls"), call, directory],
            cannot=why_not(tool, call),
        )
        for call in NOTIFICATIONS
    ]


def _row(call: str, most: int) -> Row:
    # rmdir(2) waits by itself, in ext4.
    own = call in FOR_ROOT_ONLY
    return Row(
        f"{call}: notifications",
        Place("fakeroot-sc", call),
        None if own else Place("native", call),
        at_most=most + OTHERS,
        issue=4,
        difference=not own,
    )


QUESTION = Question(
    title="notifications for one call of a dynamic program",
    unit="times",
    order=25,
    cases=cases,
    rows=tuple(_row(call, most) for call, most in NOTIFICATIONS.items()),
)
