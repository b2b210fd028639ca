"""A small run, of the command as it is installed: what it answers, and by which way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from fakeroot_sc import runner

PATIENCE = 60.0
"""Seconds that a trial may take, of which it needs a fraction of one."""

JOB = """
import io, json, os, stat, sys, tarfile
os.umask(0)
os.mkdir("root")
open("root/file", "w").close()
os.chown("root/file", 1, 2)
os.chmod("root/file", 0o4755)
os.mknod("root/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
out = io.BytesIO()
with tarfile.open(fileobj=out, mode="w") as archive:
    archive.add("root")
    told = {one.name: [one.uid, one.gid, one.mode & 0o7777, one.type.decode(),
                       one.devmajor, one.devminor] for one in archive.getmembers()}
with open("/proc/self/maps") as maps:
    shim = any(line.rstrip().endswith("/" + sys.argv[1]) for line in maps)
print(json.dumps({"ids": os.getresuid() + os.getresgid(), "told": told, "shim": shim}))
"""
"""What the doctor means by the main job: an archive with owners, a set-user-ID mode and a
device."""

WANTED = {"root/file": [1, 2, 0o4755, "0", 0, 0], "root/null": [0, 0, 0o666, "3", 1, 3]}


@attrs.frozen
class Trial:
    """``wrong``: what was not as it must be, or "" if all was; ``said``: the lines that
    fakeroot-sc wrote; ``shim``: whether the shim was in the program."""

    wrong: str
    said: list[str]
    shim: bool


def _judge(done: subprocess.CompletedProcess[str]) -> tuple[str, bool]:
    try:
        told: Any = json.loads(done.stdout)
    except ValueError:
        return f"it ended with status {done.returncode}", False
    if told["ids"] != [0] * 6:
        return f"the program was told to be {told['ids']}, not root", told["shim"]
    for name, wanted in WANTED.items():
        if told["told"].get(name) != wanted:
            return f"{name} was packed as {told['told'].get(name)}, not {wanted}", told["shim"]
    return ("" if done.returncode == 0 else f"status {done.returncode}"), told["shim"]


def command(
    options: Sequence[str], words: Sequence[str], place: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs a command under fakeroot-sc in a directory.  TimeoutExpired, OSError."""
    return subprocess.run(
        runner.command([*options, "--", *words]),
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=PATIENCE,
        check=False,
    )


def run(options: Sequence[str], shim: str, environment: Mapping[str, str]) -> Trial:
    """Does the job with options, in a directory of its own.  OSError where none can be made."""
    with tempfile.TemporaryDirectory(prefix="fakeroot-sc-doctor-") as place:
        words = [sys.executable, "-I", "-S", "-c", JOB, shim]
        try:
            done = command(options, words, place, environment)
        except subprocess.TimeoutExpired:
            return Trial(f"it did not end within {PATIENCE:.0f} seconds", [], False)
        wrong, has_shim = _judge(done)
        if not wrong and os.lstat(f"{place}/root/null").st_size:
            wrong = "the faked device is no empty file"
    return Trial(wrong, _said(done.stderr), has_shim)


def _said(text: str) -> list[str]:
    lines = text.splitlines()
    ours = [line.removeprefix("fakeroot-sc: ") for line in lines if line.startswith("fakeroot-sc:")]
    return ours or lines[-1:]
