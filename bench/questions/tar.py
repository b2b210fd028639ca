"""``tar cf`` of 20,000 small files.

Into a file: GNU tar does not even read the files when the archive is /dev/null.
"""

import os
import tarfile
from collections.abc import Callable

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import DIRECTORIES, Done, Scratch
from bench.tools import ANY_OWNER, Tool

FILES = 20_000


def _check(archive: str, owner: int) -> Callable[[Done], str | None]:
    def check(_done: Done) -> str | None:
        count = 0
        with tarfile.open(archive) as file:
            for member in file:
                count += 1
                if owner != ANY_OWNER and (member.uid, member.gid) != (owner, owner):
                    return f"owner {member.uid}:{member.gid} in the archive, not {owner}:{owner}"
        wanted = FILES + DIRECTORIES + 1
        return None if count == wanted else f"{count} files in the archive, not {wanted}"

    return check


def cases(scratch: Scratch, tool: Tool, _effort: Effort) -> list[Case]:
    tree = scratch.tree(FILES)
    archive = os.path.join(scratch.path, "out.tar")
    command = ["tar", "cf", archive, "-C", scratch.path, os.path.basename(tree)]

    def before() -> None:
        if os.path.exists(archive):
            os.unlink(archive)

    return [
        Case(
            command=[scratch.program("clock"), "1", *command],
            before=before,
            check_command=command,
            check=_check(archive, tool.owner_seen(scratch)),
        )
    ]


QUESTION = Question(
    title="tar cf of 20,000 small files",
    unit="ns",
    order=30,
    cases=cases,
    rows=(
        Row(
            "tar cf of 20,000 small files, all through notifications, against fakeroot",
            Place("fakeroot-sc-no-shim"),
            Place("fakeroot"),
            at_most=0.85,
            issue=2,
        ),
        Row(
            "tar cf of 20,000 small files, against native",
            Place("fakeroot-sc"),
            Place("native"),
            at_most=1.35,
            issue=3,
        ),
        Row(
            "tar cf of 20,000 small files, against fakeroot",
            Place("fakeroot-sc"),
            Place("fakeroot"),
            at_most=0.3,
            issue=3,
        ),
    ),
)
