"""``cp -a`` and ``rsync -a`` of 20,000 small files to where nothing is yet."""

import os
import shutil
from collections.abc import Callable

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import DIRECTORIES, Done, Scratch
from bench.tools import ANY_OWNER, Tool

FILES = 20_000
PAGE = 4096  # bytes, which a small file takes
# Of directories not their size, a matter of the file system, nor time: rsync leaves the
# fractions of a second.
LIST = r"find '{}' -printf '%P %y %m %U:%G ' \( -type d -o -printf '%s %T@' \) -printf '\n' | sort"


def _check(owner: int, files: int) -> Callable[[Done], str | None]:
    def check(done: Done) -> str | None:
        original, _, copy = (part.splitlines() for part in done.output.partition("--\n"))
        wanted = files + DIRECTORIES + 1
        if len(original) != wanted:
            return f"{len(original)} files to copy, not {wanted}"
        for line, line_of_copy in zip(original, copy, strict=False):
            if line != line_of_copy:
                return f"copied as {line_of_copy!r}, not {line!r}"
            if owner != ANY_OWNER and f" {owner}:{owner} " not in line:
                return f"not of {owner}:{owner}: {line!r}"
        return None if len(copy) == wanted else f"{len(copy)} files copied, not {wanted}"

    return check


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    files = FILES // effort.part
    tree = scratch.tree(files)
    copy = os.path.join(scratch.memory_directory("copies", files * PAGE), "copy")
    lists = f"{LIST.format(tree)}; echo --; {LIST.format(copy)}"

    def case(variant: str, *command: str) -> Case:
        return Case(
            variant=variant,
            command=[scratch.program("clock"), "1", *command],
            before=lambda: shutil.rmtree(copy, ignore_errors=True),
            check_command=["sh", "-c", f'"$@" || exit; {lists}', "sh", *command],
            check=_check(tool.owner_seen(scratch), files),
            cannot="" if shutil.which(command[0]) else f"apt install {command[0]}",
        )

    return [case("cp", "cp", "-a", tree, copy), case("rsync", "rsync", "-a", f"{tree}/", copy)]


QUESTION = Question(
    title="cp -a, rsync -a of 20,000 small files",
    unit="ns",
    order=110,
    cases=cases,
    rows=tuple(
        Row(
            f"{command} -a of 20,000 small files, against {other}",
            Place("fakeroot-sc", command),
            Place(other, command),
            at_most=at_most,
            issue=issue,
        )
        for command in ("cp", "rsync")
        for other, at_most, issue in (("fakeroot", 0.5, 3), ("native", None, None))
    ),
)
