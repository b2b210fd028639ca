"""``python -m bench``: measures and prints; see README.rst."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from typing import Any

import attrs

from bench import against, rst
from bench.accounting import Accounting, Unavailable
from bench.measure import BUSY_MOST, FULL, QUICK, Load, measure, share
from bench.progress import Progress
from bench.question import Question, load_questions
from bench.report import (
    MISSED,
    Report,
    answer,
    answer_table,
    describe_machine,
    describe_versions,
    show,
    show_facts,
    tally,
    verdict_table,
    write_json,
)
from bench.scratch import BenchError, Scratch, scratch_parent
from bench.tools import TOOLS, Tool, find, installation_remarks


def _arguments(questions: dict[str, Question]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures fakeroot-sc beside its peers. Questions: " + " ".join(questions),
    )
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help="default: all")
    parser.add_argument("--quick", action="store_true", help="few runs: a trial, not a result")
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help=f"about how long all may take; default: {FULL.total_s / 60:.0f},"
        f" with --quick {QUICK.total_s / 60:.0f}",
    )
    parser.add_argument(
        "--user", default="", help="started as root: who runs the measured commands"
    )
    parser.add_argument("--json", metavar="FILE", help="write everything to FILE")
    parser.add_argument(
        "--report", metavar="FILE", help="write a document with plots (docs/benchmarks.rst)"
    )
    parser.add_argument(
        "--against", metavar="FILE", help="show what got slower since a run that --json has written"
    )
    parser.add_argument("--tools", metavar="LIST", help=f"with commas; default: {','.join(TOOLS)}")
    parser.add_argument(
        "--processor",
        type=int,
        metavar="N",
        help="run everything on processor N, where no other must be woken: steadier",
    )
    given = parser.parse_args()
    unknown = [name for name in given.questions if name not in questions]
    if unknown:
        parser.error(f"no such question: {' '.join(unknown)}; there are: {' '.join(questions)}")
    given.tools = given.tools.split(",") if given.tools else list(TOOLS)
    unknown = [name for name in given.tools if name not in TOOLS]
    if unknown:
        parser.error(f"no such tool: {' '.join(unknown)}; there are: {' '.join(TOOLS)}")
    return given


def _remarks(tools: list[Tool], missing: dict[str, str], busy: float, quick: bool) -> list[str]:
    remarks = [f"{name}: {why}" for name, why in missing.items()]
    remarks += [f"{tool.name}: {tool.remark}" for tool in tools if tool.remark]
    if any(tool.own for tool in tools):
        remarks += installation_remarks()
    if busy > BUSY_MOST:
        remarks.append(f"THE MACHINE IS NOT IDLE ({busy:.0%} busy): do not trust these numbers")
    if quick:
        remarks.append(
            f"--quick: a trial, not a result; with 1/{QUICK.part} of the files that are copied"
            " and of the million records, and without the largest trees"
        )
    return remarks


def _accounting(uid: int) -> tuple[Accounting | None, str]:
    try:
        return Accounting(uid), (
            "switches, queued: context switches for each call (or run, where that is measured),"
            " and the time that tasks waited for a processor, of all that ran as the measured"
            " user, the tool and its start-up included; by taskstats, in a run of its own"
        )
    except Unavailable as why:
        return None, f"no count of context switches and run-queue delays: {why}"


def _close(tools: list[Tool], scratch: Scratch) -> None:
    for tool in tools:
        if tool.close and tool.path:
            scratch.run([tool.path, *tool.close], tool.environment(scratch), 20)


def _measure(
    given: argparse.Namespace,
    questions: list[Question],
    tools: list[Tool],
    scratch: Scratch,
    report: Report,
) -> None:
    accounting, remark = _accounting(scratch.uid)
    report.remarks.append(remark)
    show_facts(report)
    effort = QUICK if given.quick else FULL
    if given.minutes:
        effort = attrs.evolve(effort, total_s=given.minutes * 60)
    end = time.monotonic() + effort.total_s
    weights = [question.weight for question in questions]
    with Progress(sum(weights)) as progress, contextlib.ExitStack() as ending:
        if accounting:
            ending.callback(accounting.close)
        for number, question in enumerate(questions):
            part = share(effort, end - time.monotonic(), weights[number:])
            measured = measure(question, tools, scratch, part, progress.tell, accounting)
            report.answers.append(answer(question, measured, report.missing))
            progress.pause()
            show(answer_table(report.answers[-1]))
            progress.advance(question.weight)


def _bench(given: argparse.Namespace, questions: dict[str, Question]) -> Report:
    before = Load()
    before.watch(1.0)
    busy = before.busy
    begin = time.monotonic()
    if given.processor is not None:
        os.sched_setaffinity(0, {given.processor})
    with Scratch(scratch_parent(), given.user) as scratch:
        tools, missing = find([TOOLS[name] for name in given.tools], scratch)
        report = Report(
            describe_machine(scratch, busy),
            describe_versions(tools),
            _remarks(tools, missing, busy, given.quick),
            missing=missing,
        )
        report.machine["effort"] = "quick" if given.quick else "full"
        if given.processor is not None:
            report.remarks.append(f"everything ran on processor {given.processor} alone")
        try:
            asked = [questions[name] for name in given.questions or questions]
            _measure(given, asked, tools, scratch, report)
        finally:
            _close(tools, scratch)
        report.machine["load after"] = " ".join(f"{value:.2f}" for value in os.getloadavg())
        report.machine["duration"] = f"{(time.monotonic() - begin) / 60:.1f} minutes"
    return report


def _compare(report: Report, earlier: dict[str, Any]) -> bool:
    """Whether something of fakeroot-sc got slower."""
    for remark in (*against.remarks(report, earlier), *against.lost(report, earlier)):
        print(f"note: {remark}")
    found = against.changes(report, earlier)
    show(against.table(found))
    return any(
        change.verdict == against.SLOWER and change.place.tool.startswith("fakeroot-sc")
        for change in found
    )


def check_places(*paths: str | None) -> None:
    """Whether files can be written there: before a long run, not after it."""
    for path in filter(None, paths):
        place = os.path.dirname(path) or "."
        if not os.access(place, os.W_OK | os.X_OK):
            raise BenchError(f"{path}: {place} is no directory that can be written to")


def main() -> int:
    """Status 0: all rows reached; 1: one was missed, or something got slower; 2: nothing
    could be measured."""
    questions = load_questions()
    given = _arguments(questions)
    try:
        check_places(given.json, given.report)
        earlier = against.load(given.against) if given.against else None
        report = _bench(given, questions)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    show(verdict_table(report.answers, limits=False))
    show(verdict_table(report.answers))
    print(tally(report.answers))
    if given.json:
        write_json(report, given.json)
    if given.report:
        for missing in rst.write(report, given.report):
            print(f"note: {missing}")
    slower = earlier is not None and _compare(report, earlier)
    verdicts = [verdict for answered in report.answers for verdict in answered.verdicts]
    return 1 if slower or any(verdict.verdict == MISSED for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
