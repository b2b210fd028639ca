"""Whole runs of a static program: ``busybox`` walks and packs a tree of 20,000 small files."""

import os
import shutil
import subprocess

import attrs

from bench import trees
from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import Scratch
from bench.tools import Tool

FILES = 20_000
STATIC = ("not a dynamic executable", "statically linked")  # what ldd(1) says


def _static_busybox() -> str:
    """Its path, or empty: what is linked with libraries is not what is asked for."""
    path = shutil.which("busybox")
    if not path:
        return ""
    done = subprocess.run(["ldd", path], capture_output=True, text=True, timeout=20, check=False)
    said = done.stdout + done.stderr
    return path if any(words in said for words in STATIC) else ""


def cases(scratch: Scratch, tool: Tool, effort: Effort) -> list[Case]:
    busybox = _static_busybox()
    cannot = "" if busybox else "apt install busybox-static"
    if not tool.reaches_static:
        cannot = "a preloaded library does not reach it"
    files = FILES // effort.part
    packed = trees.tar(scratch, tool, files)
    clock, once, *command = packed.command
    tree = scratch.tree(files)
    uid, gid = tool.ids_seen(scratch)
    found = os.path.join(scratch.path, "found")
    find = f"{busybox} find {tree} -user {uid} -group {gid} >{found}"

    def after() -> str | None:
        with open(found, "rb") as file:
            lines = file.read().count(b"\n")
        wanted = trees.members(files)
        return None if lines == wanted else f"{lines} files of {uid}:{gid} found, not {wanted}"

    return [
        attrs.evolve(
            packed, variant="tar", command=[clock, once, busybox, *command], cannot=cannot
        ),
        Case(
            variant="find",
            command=[clock, once, busybox, "sh", "-c", find],
            before=lambda: scratch.remove(found),
            after=after,
            cannot=cannot,
        ),
    ]


QUESTION = Question(
    title="static busybox: tar cf, find -user over 20,000 files",
    unit="ns",
    order=32,
    cases=cases,
    rows=tuple(
        Row(f"static busybox {variant}, against {other}'s", Place("fakeroot-sc", variant), of)
        for variant in ("tar", "find")
        for other, of in (
            ("native", Place("native", variant)),
            ("PRoot", Place("proot", variant)),
            ("our own ptrace mode", Place("fakeroot-sc-ptrace-no-shim", variant)),
        )
    ),
)
