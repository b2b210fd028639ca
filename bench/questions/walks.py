"""``find -size``, ``du -s`` and ``ls -lR`` over 20,000 files: a stat for each and little else."""

import os
from collections.abc import Callable

from bench import trees
from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Done, Scratch
from bench.tools import ANY_OWNER, Tool

FILES = 20_000

Check = Callable[[Done], str | None]


def _check_owners(owner: int, wanted: int, owner_of: Callable[[str], str]) -> Check:
    """``owner_of`` a line of the output: empty if the line shows no file."""

    def check(done: Done) -> str | None:
        owners = [found for line in done.output.splitlines() if (found := owner_of(line))]
        if len(owners) != wanted:
            return f"{len(owners)} files found, not {wanted}"
        strange = set(owners) - {str(owner)}
        if owner != ANY_OWNER and strange:
            return f"owner {strange.pop()} shown, not {owner}"
        return None

    return check


def _owner_in_ls(line: str) -> str:
    return line.split()[2] if line.startswith(("-", "d")) else ""


def _check_usage(tree: str) -> Check:
    def check(done: Done) -> str | None:
        paths = [tree]
        for directory, directories, files in os.walk(tree):
            paths += (os.path.join(directory, name) for name in directories + files)
        wanted = sum(os.lstat(path).st_blocks for path in paths) // 2
        found = done.output.split()[0]
        return None if found == str(wanted) else f"{found} KiB found, not {wanted}"

    return check


def cases(scratch: Scratch, tool: Tool, _effort: Effort) -> list[Case]:
    tree = scratch.tree(FILES)
    owner = tool.owner_seen(scratch)
    find = ["find", tree, "-size", "+1000k"]
    everything = trees.members(FILES)

    def case(variant: str, command: list[str], check_command: list[str], check: Check) -> Case:
        return Case(
            variant=variant,
            command=[scratch.program("clock"), "1", *command],
            check_command=check_command,
            check=check,
        )

    return [
        case(
            "find",
            find,
            [*find, "-o", "-printf", "%U\\n"],
            _check_owners(owner, everything, str),
        ),
        case("du", ["du", "-s", tree], ["du", "-s", tree], _check_usage(tree)),
        case(
            "ls",
            ["ls", "-lR", tree],
            ["ls", "-lnR", tree],
            _check_owners(owner, everything - 1, _owner_in_ls),
        ),
    ]


QUESTION = Question(
    title="find -size +1000k, du -s, ls -lR over 20,000 files",
    unit="ns",
    order=90,
    cases=cases,
    weight=2,
    rows=tuple(
        Row(
            f"{command} over 20,000 files, against native",
            Place("fakeroot-sc", variant),
            Place("native", variant),
            at_most=1.25,
            issue=3,
        )
        for variant, command in (
            ("find", "find -size +1000k"),
            ("du", "du -s"),
            ("ls", "ls -lR"),
        )
    ),
)
