"""One call of each family that is faked, by a dynamic program, of a file in memory."""

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

CALLS = (
    "lstat", "access", "geteuid", "setresuid", "capget", "chown", "chmod", "open", "creat",
    "creat, unlink", "mkdir, rmdir", "mknod, unlink", "rename, rename", "link, unlink",
    "symlink, unlink", "utimensat", "setxattr", "getxattr", "list 64",
)  # fmt: skip
"""As programs/calls.c knows them; names with a comma are two calls."""
BYTES = 1 << 20


def why_not(tool: Tool, call: str) -> str:
    """Why a tool cannot do a call at all."""
    return {"chown": tool.no_owners, "mknod, unlink": tool.no_devices}.get(call, "")


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    program = scratch.program("calls")
    # One for each tool: pseudo takes a file that others changed for a new one.
    directory = scratch.memory_directory(f"families-{tool.name}", BYTES)
    return [
        Case(
            variant=call,
            command=[program, call, directory, str(effort.run_ms)],
            cannot=why_not(tool, call),
        )
        for call in CALLS
    ]


QUESTION = Question(
    title="one call of each family",
    unit="ns",
    order=18,
    cases=cases,
    baseline="fakeroot",
    weight=4,
    rows=tuple(
        Row(f"{call}, against fakeroot's", Place("fakeroot-sc", call), Place("fakeroot", call))
        for call in CALLS
    ),
)
