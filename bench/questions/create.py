"""One new file, by open(2), and one new device, by mknod(2), in memory."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

PEERS = ("fakeroot", "pseudo")
BYTES = 1 << 20


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    directory = scratch.memory_directory(f"create-{tool.name}", BYTES)
    return [
        Case(
            variant=call,
            command=[scratch.program("create"), call, str(effort.run_ms), directory],
            cannot=tool.no_devices if call == "mknod" else "",
        )
        for call in ("creat", "mknod")
    ]


QUESTION = Question(
    title="one new file, one new device, in memory",
    unit="ns",
    order=21,
    cases=cases,
    baseline="fakeroot",
    rows=tuple(
        Row(
            f"{call} of one file, against {peer}'s",
            Place("fakeroot-sc", call),
            Place(peer, call),
            at_most=1.0,
            issue=4,
        )
        for call in ("creat", "mknod")
        for peer in PEERS
    ),
)
