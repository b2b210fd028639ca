"""What is done to whole trees of small files, each with a look whether it was done: by all
runs, not only by the first."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable

import attrs

from bench import archives
from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Done, Scratch, directories
from bench.tools import ANY_OWNER, Tool

SIZES = (1_000, 10_000, 100_000)
LARGE = 100_000
PAGE = 4096  # bytes, which a small file takes
ROOM = 3 * sum(SIZES) * PAGE  # for all trees, archives and copies
NEW_OWNER = "7:8"
SAMPLES = 3  # files whose owners are looked at inside a session that has changed them all
PATIENCE = 300  # seconds, for what we do ourselves between runs

Work = Callable[[Scratch, Tool, int], Case]


def members(files: int) -> int:
    """A tree's files and directories, and itself."""
    return files + directories(files) + 1


def _tree(scratch: Scratch, files: int, whose: str = "") -> str:
    """Those of many sizes are in memory: of 100,000 files a disk is busy for minutes, most of
    all when they go away."""
    if files not in SIZES:
        return scratch.tree(files, whose)
    return scratch.tree(files, whose, scratch.memory_directory("trees", ROOM))


def archived(archive: str, ids: tuple[int, int], wanted: int) -> Callable[[], str | None]:
    def after() -> str | None:
        try:
            found = archives.owners(archive)
        except (OSError, ValueError) as error:
            return f"no archive: {error}"
        if found.total() != wanted:
            return f"{found.total()} files in the archive, not {wanted}"
        strange = [owner for owner in found if ids[0] != ANY_OWNER and owner != ids]
        return f"owner {strange[0]} in the archive, not {ids}" if strange else None

    return after


def _clock(scratch: Scratch, *command: str) -> list[str]:
    return [scratch.program("clock"), "1", *command]


def tar(scratch: Scratch, tool: Tool, files: int) -> Case:
    """Into a file: GNU tar does not even read the files when the archive is /dev/null."""
    place, tree = os.path.split(_tree(scratch, files))
    archive = os.path.join(place, "out.tar")
    command = ["tar", "cf", archive, "-C", place, tree]
    return Case(
        command=_clock(scratch, *command),
        before=lambda: scratch.remove(archive),
        after=archived(archive, tool.ids_seen(scratch), members(files)),
    )


def cpio(scratch: Scratch, tool: Tool, files: int) -> Case:
    tree = _tree(scratch, files)
    archive = os.path.join(os.path.dirname(tree), "out.cpio")
    script = f"find {tree} | cpio --quiet -o -H newc >{archive}"
    return Case(
        command=_clock(scratch, "sh", "-c", script),
        before=lambda: scratch.remove(archive),
        after=archived(archive, tool.ids_seen(scratch), members(files)),
        cannot="" if shutil.which("cpio") else "apt install cpio",
    )


def contents(top: str) -> tuple[int, int]:
    """How many files there are, and how large they are together."""
    count = size = 0
    waiting = [top] if os.path.isdir(top) else []
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    count += 1
                    size += entry.stat(follow_symlinks=False).st_size
    return count, size


# Of directories not their size, a matter of the file system, nor time: rsync leaves the
# fractions of a second.
LIST = r"find '{}' -printf '%P %y %m %U:%G ' \( -type d -o -printf '%s %T@' \) -printf '\n' | sort"


def _copied_as(ids: tuple[int, int], wanted: int) -> Callable[[Done], str | None]:
    def check(done: Done) -> str | None:
        original, _, copy = (part.splitlines() for part in done.output.partition("--\n"))
        if len(original) != wanted:
            return f"{len(original)} files to copy, not {wanted}"
        for line, line_of_copy in zip(original, copy, strict=False):
            if line != line_of_copy:
                return f"copied as {line_of_copy!r}, not {line!r}"
            if ids[0] != ANY_OWNER and f" {ids[0]}:{ids[1]} " not in line:
                return f"not of {ids[0]}:{ids[1]}: {line!r}"
        return None if len(copy) == wanted else f"{len(copy)} files copied, not {wanted}"

    return check


def _copy(scratch: Scratch, tool: Tool, files: int, *command: str) -> Case:
    """A command that copies to a last argument, given here; all attributes are compared
    once, inside the session."""
    tree = _tree(scratch, files)
    copy = os.path.join(scratch.memory_directory("copies", files * PAGE), "copy")
    lists = f"{LIST.format(tree)}; echo --; {LIST.format(copy)}"

    def after() -> str | None:
        wanted, found = contents(tree), contents(copy)
        return None if wanted == found else f"{found} files and bytes copied, not {wanted}"

    return Case(
        command=_clock(scratch, *command, copy),
        before=lambda: scratch.remove(copy),
        check_command=["sh", "-c", f'"$@" || exit; {lists}', "sh", *command, copy],
        check=_copied_as(tool.ids_seen(scratch), members(files)),
        after=after,
        cannot="" if shutil.which(command[0]) else f"apt install {command[0]}",
    )


def cp(scratch: Scratch, tool: Tool, files: int) -> Case:
    return _copy(scratch, tool, files, "cp", "-a", _tree(scratch, files))


def rsync(scratch: Scratch, tool: Tool, files: int) -> Case:
    return _copy(scratch, tool, files, "rsync", "-a", f"{_tree(scratch, files)}/")


def find(scratch: Scratch, tool: Tool, files: int) -> Case:
    tree = _tree(scratch, files)
    listed = os.path.join(scratch.path, "owners")
    ids = tool.ids_seen(scratch)

    def after() -> str | None:
        with open(listed, encoding="ascii") as file:
            lines = file.read().splitlines()
        if len(lines) != members(files):
            return f"{len(lines)} files found, not {members(files)}"
        strange = set(lines) - {f"{ids[0]}:{ids[1]}"}
        return f"owner {strange.pop()} shown" if strange and ids[0] != ANY_OWNER else None

    return Case(
        command=_clock(
            scratch, "find", tree, "-size", "+1000k", "-o", "-fprintf", listed, "%U:%G\\n"
        ),
        before=lambda: scratch.remove(listed),
        after=after,
    )


def chown(scratch: Scratch, tool: Tool, files: int) -> Case:
    """What has changed shows in the session alone, so some files are looked at there."""
    # A tree of its own for what really changes.
    tree = _tree(scratch, files, tool.name if tool.really and not tool.no_owners else "")
    last = [
        f"{tree}/d{number % directories(files)}/file-{number}"
        for number in range(files - SAMPLES, files)
    ]
    looks = shlex.join(["find", tree, *last, "-prune", "-printf", "%U:%G "])
    wanted = f"{NEW_OWNER} " * (SAMPLES + 1)
    clock = shlex.join(_clock(scratch, "chown", "-R", NEW_OWNER, tree))
    script = (
        f'taken=$({clock}) || exit; seen=$({looks}); test "$seen" = "{wanted}" ||'
        ' { echo "owners are $seen" >&2; exit 3; }; echo "$taken"'
    )
    return Case(command=["sh", "-c", script], cannot=tool.no_owners)


def rm(scratch: Scratch, _tool: Tool, files: int) -> Case:
    tree = _tree(scratch, files)
    place = scratch.memory_directory("removals", files * PAGE)
    doomed = os.path.join(place, "doomed")

    def before() -> None:
        scratch.remove(doomed)
        command = ["cp", "-a", tree, doomed]
        subprocess.run(command, timeout=PATIENCE, check=True)

    return Case(
        command=_clock(scratch, "rm", "-r", doomed),
        before=before,
        after=lambda: "not removed" if os.path.lexists(doomed) else None,
    )


def variant(files: int) -> str:
    return f"{files:,} files"


def question(title: str, work: Work, order: int, *, against: tuple[str, ...] = ()) -> Question:
    """One kind of work on trees of all sizes, the smallest first."""

    def case(scratch: Scratch, tool: Tool, effort: Effort, files: int) -> Case:
        large = files >= LARGE
        # A tree that will not be needed takes long to make.
        found = Case([]) if large and effort.part > 1 else work(scratch, tool, files)
        return attrs.evolve(found, variant=variant(files), series="files", scale=files, large=large)

    def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
        return [case(scratch, tool, effort, files) for files in SIZES]

    return Question(
        title=f"{title} of trees of many sizes",
        unit="ns",
        order=order,
        cases=cases,
        weight=3,
        rows=tuple(
            Row(
                f"{title} of {variant(files)}, against {other}",
                Place("fakeroot-sc", variant(files)),
                Place(other, variant(files)),
            )
            for files in SIZES
            for other in against or ("native", "fakeroot")
        ),
    )
