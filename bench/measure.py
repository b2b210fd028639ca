"""Measuring: interleaved runs of all cases of a question, within a bound of time."""

from __future__ import annotations

import contextlib
import itertools
import random
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from bench.accounting import Account, Accounting, calls_of
from bench.question import Case, Effort, Place, Question
from bench.scratch import Done, Scratch
from bench.stats import Spread, spread
from bench.tools import Tool

FULL = Effort(
    run_ms=40, question_s=24, total_s=1320, runs_least=5, runs_most=61, runs_slow=2,
    slow_s=1.5, skip_s=7, overrun_s=10, run_longest_s=90, part=1,
)  # fmt: skip
QUICK = Effort(
    run_ms=15, question_s=4, total_s=200, runs_least=3, runs_most=15, runs_slow=1,
    slow_s=0.5, skip_s=2, overrun_s=3, run_longest_s=20, part=10,
)  # fmt: skip

STATUS_WRONG = 3  # see programs/bench.h
BUSY_MOST = 0.10  # of the machine's processor time, by others
HUNG_MOST = 3  # runs; then a case is left alone
OTHERS_WEIGHT = 0.25  # in the sharing of time, of what no row with a limit compares
WANTED_WEIGHT = 1.5
ACCOUNTS_MOST = 0.5  # of a question's time
ROUNDS_LEAST = 0.5  # of a question's time; the rest may go into first looks
SHARE_LEAST_S = 2.0  # of a question, however late it is
PAUSE = 0.06  # seconds; /proc/stat counts in hundredths

OK, CANNOT, WRONG, FAILED, SKIPPED = "ok", "cannot", "wrong", "failed", "skipped"

Progress = Callable[[str], None]


@attrs.define
class Cell:
    """What one case gave; ``reason`` says why there is no number, or fewer."""

    place: Place
    state: str = OK
    reason: str = ""
    hung: int = 0  # runs that took too long, left out
    samples: list[float] = attrs.field(factory=list)
    account: Account | None = None

    @property
    def spread(self) -> Spread | None:
        return spread(self.samples) if self.state == OK and self.samples else None

    def give_up(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason
        self.samples.clear()


@attrs.define
class _Running:
    tool: Tool
    case: Case
    cell: Cell
    effort: Effort
    longest: float  # seconds that one run may take
    least: int  # runs that are wanted
    wanted: bool  # by a row with a limit: never left out for want of time
    spent: float = 0.0  # seconds, with what is done before and after runs
    takes: float = 0.0  # seconds, one run

    @property
    def alive(self) -> bool:
        return self.cell.state == OK and self.cell.hung < HUNG_MOST

    @property
    def lacks_runs(self) -> bool:
        return len(self.cell.samples) < self.least

    @property
    def weight(self) -> float:
        """Of its share of the time."""
        return WANTED_WEIGHT if self.wanted else OTHERS_WEIGHT

    @property
    def wants_runs(self) -> bool:
        return len(self.cell.samples) < self.effort.runs_most

    def execute(self, scratch: Scratch, command: list[str]) -> Done:
        if self.case.before:
            self.case.before()
        begin = time.monotonic()
        if self.case.service:
            done = self.case.service.ask(" ".join(command), self.longest)
        else:
            wrapped = command if self.case.outside else self.tool.wrap(command)
            done = scratch.run(wrapped, self.tool.environment(scratch), self.longest)
            if done.status is None:
                scratch.end_leftovers()
        self.takes = time.monotonic() - begin
        return done

    def prepare(self, scratch: Scratch, expected: float | None) -> None:
        """Looks whether the tool's results are right, and warms up; ``expected``: what a
        run will take by the smaller one of its series, which has done both."""
        if self.case.cannot:
            self.cell.give_up(CANNOT, self.case.cannot)
        elif self.case.large and self.effort.part > 1:
            self.cell.give_up(SKIPPED, "only in a full run")
        elif expected is not None and expected > self.effort.skip_s:
            self.cell.give_up(SKIPPED, f"would take about {expected:.0f} s a run")
        elif expected is not None and expected > self.effort.slow_s:
            self.settle(expected)
        else:
            self.look(scratch, check=expected is None)

    def look(self, scratch: Scratch, *, check: bool) -> None:
        if self.case.check and check:
            done = self.execute(scratch, self.case.check_command or self.case.command)
            verdict = self.case.check(done) if done.status == 0 else done.trouble
            if verdict:
                self.cell.give_up(WRONG, verdict)
                return
        if self.takes <= self.effort.slow_s:  # else the check has warmed up as well
            self.sample(scratch)
            self.cell.samples.clear()
        self.settle(self.takes)
        self.spent = 0.0

    def settle(self, takes: float) -> None:
        """How often and for how long is measured what takes ``takes`` seconds a run."""
        self.takes = takes
        if takes > self.effort.slow_s:
            self.least = self.effort.runs_slow
        self.longest = min(self.longest, 5 + 10 * takes)

    def sample(self, scratch: Scratch) -> None:
        begin = time.monotonic()
        with self.guarded():
            self.take(scratch)
        self.spent += time.monotonic() - begin

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """What goes wrong beside a run (a result that is not there, a copy to work on that
        cannot be made) is this case's trouble alone."""
        try:
            yield
        except (OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
            self.cell.give_up(FAILED, f"{type(error).__name__}: {error}")

    def take(self, scratch: Scratch) -> None:
        done = self.execute(scratch, self.case.command)
        if done.status is None:
            self.hang()
        elif done.status != 0:
            self.cell.give_up(WRONG if done.status == STATUS_WRONG else FAILED, done.trouble)
        elif trouble := self.case.after and self.case.after():
            self.cell.give_up(WRONG, trouble)
        else:
            try:
                self.cell.samples.append(float(done.output.split()[-1]))
            except (IndexError, ValueError):
                self.cell.give_up(FAILED, f"printed no number: {done.output[-80:]!r}")

    def account(self, scratch: Scratch, accounting: Accounting) -> None:
        """One more run, whose tasks are counted; its time is not."""
        accounting.begin()
        done = self.execute(scratch, self.case.command)
        account = accounting.end(calls_of(done.output))
        self.cell.account = account if done.status == 0 else None

    def hang(self) -> None:
        """Some peers hang now and then: that run is left out, and told of."""
        self.cell.hung += 1
        self.cell.reason = f"{self.cell.hung} runs hung"
        if not self.alive and not self.cell.samples:
            self.cell.give_up(FAILED, self.cell.reason)


def _processor_times() -> tuple[int, int]:
    """(idle, all) ticks of the machine since its start."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


@attrs.define
class Load:
    """How busy the machine was in the times that were watched."""

    idle: int = 0
    every: int = 0

    def watch(self, seconds: float) -> None:
        idle, every = _processor_times()
        time.sleep(seconds)
        idle_then, every_then = _processor_times()
        self.idle += idle_then - idle
        self.every += every_then - every

    @property
    def busy(self) -> float:
        """0 to 1."""
        return 1 - self.idle / self.every if self.every else 0.0


@attrs.frozen
class Measured:
    """``busy``: which part of the machine others used between the rounds."""

    cells: list[Cell]
    busy: float


def _most(effort: Effort) -> float:
    """Seconds, after which the first looks, or the rounds, of a question end in any case."""
    return effort.question_s + max(effort.question_s, effort.overrun_s)


def _prepare(
    name: str, running: list[_Running], scratch: Scratch, effort: Effort, tell: Progress
) -> None:
    before: dict[tuple[str, str], list[_Running]] = {}
    end = time.monotonic() + _most(effort)
    for one in running:
        tell(f"{name}: checking {one.tool.name} {one.case.variant}")
        smaller = before.setdefault((one.tool.name, one.case.series or one.case.variant), [])
        if time.monotonic() > end and not one.wanted:
            one.cell.give_up(SKIPPED, "no time left")
        elif smaller and smaller[-1].cell.state != OK:
            one.cell.give_up(smaller[-1].cell.state, smaller[-1].cell.reason)
        else:
            # The least of them: a single run may have been disturbed.
            rates = [each.takes / each.case.scale for each in smaller]
            with one.guarded():
                one.prepare(scratch, min(rates) * one.case.scale if rates else None)
        smaller.append(one)


def _rounds(
    name: str, running: list[_Running], scratch: Scratch, effort: Effort, tell: Progress
) -> float:
    """Returns how busy others kept the machine."""
    order = random.Random(name)
    others = Load()
    begin = time.monotonic()
    for turn in itertools.count(1):
        alive = [one for one in running if one.alive and one.wants_runs]
        elapsed = time.monotonic() - begin
        lacking = elapsed < _most(effort) and any(one.lacks_runs for one in alive)
        if not alive or (elapsed >= effort.question_s and not lacking):
            break
        unit = effort.question_s / sum(one.weight for one in alive)
        so_far = unit * min(1.0, elapsed / effort.question_s)
        due = [one for one in alive if one.lacks_runs or one.spent <= so_far * one.weight]
        due = due or [min(alive, key=lambda one: one.spent / one.weight)]
        order.shuffle(due)
        for one in due:
            tell(f"{name}: round {turn}, {one.tool.name} {one.case.variant}")
            one.sample(scratch)
        others.watch(PAUSE)
    for one in running:
        while one.wanted and one.alive and len(one.cell.samples) < effort.runs_slow:
            one.sample(scratch)
        if one.alive and not one.cell.samples:
            one.cell.give_up(SKIPPED, "no time left")
    return others.busy


def _account(
    name: str, running: list[_Running], scratch: Scratch, accounting: Accounting, tell: Progress
) -> None:
    end = time.monotonic() + ACCOUNTS_MOST * running[0].effort.question_s
    for one in running:
        if time.monotonic() > end:
            break
        if one.alive and not one.case.service and one.takes <= one.effort.slow_s:
            tell(f"{name}: counting switches, {one.tool.name} {one.case.variant}")
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                one.account(scratch, accounting)


def share(effort: Effort, left_s: float, weights: Sequence[float]) -> Effort:
    """The effort for the first of the questions of these weights, when there are
    ``left_s`` seconds for all of them."""
    fair = left_s * weights[0] / sum(weights)
    seconds = max(SHARE_LEAST_S, min(effort.question_s * weights[0], fair))
    return attrs.evolve(effort, question_s=seconds)


def _in_turn(
    question: Question, tools: list[Tool], scratch: Scratch, effort: Effort
) -> Iterator[tuple[Tool, Case]]:
    """The first case of all tools, then the second of all: if time runs out, all miss the
    same."""
    cases = [[(tool, case) for case in question.cases(scratch, tool, effort)] for tool in tools]
    for turn in itertools.zip_longest(*cases):
        yield from (one for one in turn if one)


def measure(
    question: Question,
    tools: Iterable[Tool],
    scratch: Scratch,
    effort: Effort,
    tell: Progress,
    accounting: Accounting | None = None,
) -> Measured:
    """Every round runs every case once, in an order of its own, so that slow changes
    of the machine meet all alike.  A case that has used up its share of the time is
    left out of rounds, evenly, once it has the least number of runs; what no row with a
    limit compares has a smaller share.  Between rounds we keep still for a moment, and see
    what others do to the machine."""
    places, wanted = list(tools), question.wanted
    running = [
        _Running(
            tool,
            case,
            Cell(Place(tool.name, case.variant)),
            effort,
            longest=effort.run_longest_s,
            least=effort.runs_least,
            wanted=Place(tool.name, case.variant) in wanted,
        )
        for tool, case in _in_turn(question, places, scratch, effort)
    ]
    begin = time.monotonic()
    try:
        _prepare(question.name, running, scratch, effort, tell)
        left = effort.question_s - (time.monotonic() - begin)
        rest = attrs.evolve(effort, question_s=max(left, ROUNDS_LEAST * effort.question_s))
        busy = _rounds(question.name, running, scratch, rest, tell)
        if accounting and running:
            _account(question.name, running, scratch, accounting, tell)
        running.sort(key=lambda one: places.index(one.tool))
        return Measured([one.cell for one in running], busy)
    finally:
        for one in running:
            if one.case.service:
                one.case.service.close()
