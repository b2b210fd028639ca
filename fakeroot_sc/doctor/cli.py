"""The command: ``fakeroot-sc doctor [--json] [DIRECTORY...]``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from fakeroot_sc import __version__, _core
from fakeroot_sc.doctor import kernel, places, process, shim, surroundings, trial
from fakeroot_sc.doctor.finding import Finding, Verdict, good
from fakeroot_sc.plan import MODES
from fakeroot_sc.preload import SHIM

FAILED = 1
WIDTH = 80


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fakeroot-sc doctor",
        description="Tries what a run needs on this machine; says what is missing, what that "
        "costs and what to do.",
        epilog="Exit status: 0 if the main job works, done here for trial; 1 if not.",
    )
    parser.add_argument("--json", action="store_true", help="one object, for programs")
    parser.add_argument(
        "directory",
        nargs="*",
        metavar="DIRECTORY",
        help="where builds work and states lie (default: the working and the temporary one)",
    )
    return parser


def _way(mode: str, found: list[surroundings.Surroundings], done: trial.Trial) -> Finding:
    name = f"--mode {mode}"
    if not done.wrong:
        return good(name, "works")
    said = "; ".join(done.said) or done.wrong
    what = "seccomp" if mode == "notify" else "ptrace"
    cost = {
        "notify": "calls stop under ptrace instead: slower",
        "ptrace": "there is no way but notify and ptrace-all",
        "ptrace-all": "there is no way without seccomp",
    }[mode]
    return Finding(
        name, Verdict.LIMITED, said, cost, surroundings.advice(found, what, "see the line above")
    )


def _ways(
    found: list[surroundings.Surroundings], environment: Mapping[str, str]
) -> Iterator[Finding]:
    for mode in MODES:
        if mode != "auto":
            yield _way(mode, found, trial.run(["--mode", mode], SHIM, environment))
    static = trial.run(["--no-shim"], SHIM, environment)
    name = "programs without the shim"
    if static.wrong:
        yield Finding(
            name,
            Verdict.LIMITED,
            "; ".join(static.said) or static.wrong,
            "static programs and Go see the real owners",
        )
    else:
        yield good(name, "get the same answers")


def main_job(environment: Mapping[str, str]) -> Finding:
    """The proof: what people come for, done as they would."""
    name = "main job"
    done = trial.run([], SHIM, environment)
    if done.wrong:
        return Finding(
            name,
            Verdict.MISSING,
            f"{done.wrong}: {'; '.join(done.said)}" if done.said else done.wrong,
            "a run on this machine does not give what it must",
            "see what is MISSING or limited above",
        )
    what = "an archive with owners, a set-user-ID mode and a device: packed as root would"
    if done.said:
        return Finding(name, Verdict.SLOWER, what, "; ".join(done.said))
    return good(name, what)


def examine(directories: list[str], environment: Mapping[str, str]) -> Iterator[Finding]:
    """All findings, the main job's last."""
    found = surroundings.find(environment)
    yield good("fakeroot-sc", f"{__version__}, Python {sys.version.split()[0]}")
    where = ", ".join(one.name for one in found) or "nothing that shows"
    hints = "; ".join(one.hint for one in found if one.hint)
    yield Finding("surroundings", Verdict.NOTED if hints else Verdict.GOOD, where, "", hints)
    if _core.in_session():
        yield Finding(
            "session",
            Verdict.NOTED,
            "this is inside of a run already",
            "commands join it; what follows is what programs in it see",
        )
    yield from process.look()
    yield from kernel.look(found)
    if not _core.in_session():
        yield from _ways(found, environment)
    yield from shim.look(environment)
    if not _core.in_session():
        yield from places.look(directories, environment)
    yield main_job(environment)


def _print(finding: Finding) -> None:
    head = f"{finding.verdict.value:8} {finding.name}: "
    lines = [head + finding.found]
    if finding.cost:
        lines.append(f"costs: {finding.cost}")
    if finding.advice:
        lines.append(f"do: {finding.advice}")
    for number, line in enumerate(lines):
        first = "" if number == 0 else " " * 9
        print(
            textwrap.fill(
                line,
                WIDTH,
                initial_indent=first,
                subsequent_indent=" " * 11,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    sys.stdout.flush()


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs the command; returns its exit status.  ``environment``: the caller's."""
    # The supervisor's process has all signals blocked: ^C must end this one.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as error:
        return int(error.code or 0)
    directories = options.directory or [os.getcwd(), tempfile.gettempdir()]
    findings = []
    for finding in examine(directories, environment):
        findings.append(finding)
        if not options.json:
            _print(finding)
    works = findings[-1].verdict in (Verdict.GOOD, Verdict.SLOWER)
    if options.json:
        whole = {"works": works, "findings": [finding.described() for finding in findings]}
        print(json.dumps(whole, indent=2))
    return 0 if works else FAILED
