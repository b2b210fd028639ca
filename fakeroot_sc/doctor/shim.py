"""The shim's way into programs."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping

from fakeroot_sc import _core, preload
from fakeroot_sc.doctor import trial
from fakeroot_sc.doctor.finding import Finding, Verdict, good

COST = "dynamic programs look at files by notification: 5 to 10 times slower, the same answers"
ELF_64, ELF_32 = 2, 1
PT_INTERP = 3
LOADERS = {
    "/lib64/ld-linux-x86-64.so.2": "glibc, x86-64",
    "/lib/ld-musl-x86_64.so.1": "musl, x86-64",
    "/lib/ld-linux.so.2": "glibc, i386",
    "/lib/ld-musl-i386.so.1": "musl, i386",
}
SHOWS_FILES = ("cat", "busybox", "toybox", "head")
"""Programs that show /proc/self/maps."""


def interpreter(path: str) -> str | None:
    """The loader that a program names; None for a static one, or none at all (elf(5))."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return None
    if head[:4] != b"\x7fELF" or len(head) < 64:
        return None
    wide = head[4] == ELF_64
    start = struct.unpack_from("<Q" if wide else "<I", head, 32 if wide else 28)[0]
    size, count = struct.unpack_from("<HH", head, 54 if wide else 42)
    for position in range(start, start + size * count, size or 1):
        if position + size > len(head):
            break
        if struct.unpack_from("<I", head, position)[0] == PT_INTERP:
            form, at = ("<Q", 8) if wide else ("<I", 4)
            offset = struct.unpack_from(form, head, position + at)[0]
            length = struct.unpack_from(form, head, position + (32 if wide else 16))[0]
            return os.fsdecode(head[offset : offset + length].rstrip(b"\0"))
    return None


def _programs(environment: Mapping[str, str]) -> dict[str, str]:
    """For each loader, a program of its that can show what is mapped."""
    found: dict[str, str] = {}
    for name in SHOWS_FILES:
        path = shutil.which(name, path=environment.get("PATH"))
        loader = interpreter(path) if path else None
        if path and loader in LOADERS:
            found.setdefault(loader, path)
    return found


def _reaches(program: str, environment: Mapping[str, str]) -> bool:
    words = [program, "/proc/self/maps"]
    if os.path.basename(os.path.realpath(program)) in ("busybox", "toybox"):
        words[1:1] = ["cat"]
    try:
        done = trial.command([], words, "/", environment)
    except subprocess.TimeoutExpired:
        return False
    return "/shim" in done.stdout


def _loaders(environment: Mapping[str, str]) -> Iterator[Finding]:
    programs = _programs(environment)
    for loader, name in LOADERS.items():
        if not os.path.exists(loader):
            continue
        program = programs.get(loader)
        what = f"programs of {name}"
        if program is None:
            yield Finding(what, Verdict.NOTED, "the loader is there, no program to try it with")
        elif _reaches(program, environment):
            yield good(what, f"{program} takes the shim")
        else:
            advice = "LD_PRELOAD is ignored by the loader, or taken away: see ld.so(8)"
            yield Finding(what, Verdict.SLOWER, f"{program} does not take the shim", COST, advice)


def look(environment: Mapping[str, str]) -> Iterator[Finding]:
    """The shim's part."""
    package = os.path.dirname(_core.__file__)
    name = "shim"
    path = preload.shim_path(os.fsencode(package))
    if path is None:
        yield Finding(
            name,
            Verdict.SLOWER,
            f"a loader cannot be told of {package}: its name has a blank, a colon or a dollar "
            "sign, or the shim is not there",
            COST,
            "install fakeroot-sc below a directory with a plain name",
        )
        return
    if os.statvfs(package).f_flag & os.ST_NOEXEC:
        yield Finding(
            name,
            Verdict.SLOWER,
            f"{package} is on a file system mounted noexec",
            COST,
            "install fakeroot-sc elsewhere, or mount it exec",
        )
        return
    yield good(name, os.fsdecode(path))
    others = environment.get("LD_PRELOAD", "").replace(":", " ").split()
    others = [one for one in others if os.fsencode(one) != path]
    if others:
        yield Finding(
            "other preloads",
            Verdict.NOTED,
            f"LD_PRELOAD has {' '.join(others)}",
            "they come first, and what they answer by themselves the shim does not see",
        )
    yield from _loaders(environment)
