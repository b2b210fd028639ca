"""The file systems that a run works on, or keeps its state on."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping

from fakeroot_sc.doctor import trial
from fakeroot_sc.doctor.finding import Finding, Verdict, good
from fakeroot_sc.state.look import look as look_at


def births(place: str) -> Finding:
    """Whether files of a directory have a time of birth (statx(2))."""
    name = f"files in {place}"
    try:
        has_birth = look_at(place).birth is not None
    except OSError as error:
        return Finding(name, Verdict.MISSING, error.strerror or "", "", "name another directory")
    if has_birth:
        return good(name, "the file system tells times of birth")
    return Finding(
        name,
        Verdict.LIMITED,
        "the file system tells no times of birth",
        "a file that is removed outside of the run may hand its owner on to a new one",
        "ext4, xfs, btrfs, tmpfs and overlayfs tell them",
    )


def states(place: str, environment: Mapping[str, str]) -> Finding:
    """Whether a state can lie in a directory, by keeping one there for a moment."""
    name = f"states in {place}"
    try:
        held = tempfile.TemporaryDirectory(prefix=".fakeroot-sc-doctor-", dir=place)
    except OSError as error:
        return Finding(
            name,
            Verdict.LIMITED,
            error.strerror or "",
            "-p, -s cannot have their file there",
            "name a directory that is yours to write to",
        )
    with held as directory:
        try:
            done = trial.command(["-p", "state"], ["true"], directory, environment)
        except subprocess.TimeoutExpired:
            return Finding(name, Verdict.LIMITED, "the trial did not end", "-p hangs there")
    if done.returncode == 0:
        return good(name, "-p works there (flock(2), shared maps)")
    said = " ".join(done.stderr.split()).replace(f"{directory}/", "")
    advice = "keep states on another file system: it must know flock(2) and shared maps"
    return Finding(name, Verdict.LIMITED, said, "-p does not work there", advice)


def look(directories: list[str], environment: Mapping[str, str]) -> Iterator[Finding]:
    """The file systems' part."""
    for place in dict.fromkeys(directories):
        found = births(place)
        yield found
        if found.verdict is not Verdict.MISSING:
            yield states(place, environment)
