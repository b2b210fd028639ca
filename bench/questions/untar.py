"""``tar xf`` of 20,000 small files of many owners, in memory."""

import os
import tarfile
from collections.abc import Callable

from bench import trees
from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Done, Scratch
from bench.tools import Tool

FILES = 20_000
PAGE = 4096  # bytes, which a small file takes
OWNERS = 7
FIRST_OWNER = 1000


def _pack(tree: str, archive: str) -> None:
    """The tree with owners in turn, packed once."""
    if os.path.exists(archive):
        return
    count = 0

    def own(member: tarfile.TarInfo) -> tarfile.TarInfo:
        nonlocal count
        count += 1
        member.uid = member.gid = FIRST_OWNER + count % OWNERS
        member.uname = member.gname = ""
        return member

    with tarfile.open(archive, "w") as made:
        made.add(tree, "tree", filter=own)
    os.chmod(archive, 0o644)


def _check(files: int, tool: Tool) -> Callable[[Done], str | None]:
    def check(done: Done) -> str | None:
        counted = {line.split()[1]: int(line.split()[0]) for line in done.output.splitlines()}
        if sum(counted.values()) != trees.members(files):
            return f"{sum(counted.values())} files extracted"
        wanted = OWNERS if tool.front else 1
        return None if len(counted) == wanted else f"{len(counted)} owners, not {wanted}"

    return check


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    files = FILES // effort.part
    tree = scratch.tree(files)
    archive = os.path.join(scratch.path, f"owners-{files}.tar")
    place = scratch.memory_directory("untar", files * PAGE)
    out = os.path.join(place, "out")

    def before() -> None:
        _pack(tree, archive)
        scratch.remove(out)

    def after() -> str | None:
        wanted, found = trees.contents(tree), trees.contents(f"{out}/tree")
        return None if wanted == found else f"{found} files and bytes extracted, not {wanted}"

    command = f"mkdir {out} && tar xf {archive} -C {out}"
    owners = f"{command} && find {out}/tree -printf '%U\\n' | sort | uniq -c"
    return [
        Case(
            command=[scratch.program("clock"), "1", "sh", "-c", command],
            before=before,
            check_command=["sh", "-c", owners],
            check=_check(files, tool),
            after=after,
            cannot=tool.no_owners if tool.front else "",
        )
    ]


QUESTION = Question(
    title="tar xf of 20,000 small files with owners",
    unit="ns",
    order=31,
    cases=cases,
    weight=1.5,
    rows=(
        Row(
            "tar xf of 20,000 files with owners, against fakeroot",
            Place("fakeroot-sc"),
            Place("fakeroot"),
            at_most=0.6,
            issue=4,
        ),
        Row(
            "tar xf of 20,000 files with owners, against native (which sets none)",
            Place("fakeroot-sc"),
            Place("native"),
        ),
    ),
)
