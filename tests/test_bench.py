"""The pieces of bench/: statistics, verdicts, how often is measured, services; what the
questions measure is left to them."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

# At the end: the installed fakeroot_sc is the one under test, not the sources beside bench.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from bench import against, rst
from bench.measure import CANNOT, FULL, QUICK, Cell, Measured, measure
from bench.question import Case, Effort, Place, Question, Row, load_questions
from bench.report import (
    MISSED,
    NOT_MEASURED,
    REACHED,
    Report,
    answer,
    judge,
    to_json,
    verdict_table,
    write_json,
)
from bench.scratch import BenchError, Done, Scratch
from bench.service import Service
from bench.stats import difference, median, quantile, ratio, spread
from bench.tools import TOOLS

positive = st.floats(min_value=1e-3, max_value=1e9)
samples = st.lists(positive, min_size=1, max_size=30)


@given(samples)
def test_median_is_that_of_the_standard_library(values: list[float]) -> None:
    assert median(values) == pytest.approx(statistics.median(values))


@given(st.lists(positive, min_size=2, max_size=30))
def test_quartiles_are_those_of_the_standard_library(values: list[float]) -> None:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    found = spread(values)
    assert (found.low, found.middle, found.high) == pytest.approx((low, middle, high))


def test_quantile_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_ratio_of_constant_samples_is_certain() -> None:
    found = ratio([6.0] * 5, [2.0] * 7)
    assert (found.low, found.value, found.high) == (3, 3, 3)


def test_ratio_is_repeatable_and_inside_its_interval() -> None:
    over, under = [9.0, 10, 11, 10, 30], [4.0, 5, 6, 5, 5]
    found = ratio(over, under)
    assert found == ratio(over, under)
    assert found.value == 2
    assert found.low <= 2 <= found.high
    assert found.low < found.high


def test_difference_of_constant_samples_is_certain() -> None:
    found = difference([6.0] * 5, [8.0] * 7)
    assert (found.low, found.value, found.high) == (-2, -2, -2)


def test_ratio_narrows_with_more_samples() -> None:
    few = ratio([9.0, 10, 11], [4.0, 5, 6])
    many = ratio([9.0, 10, 10, 10, 11] * 10, [4.0, 5, 5, 5, 6] * 10)
    assert many.high - many.low < few.high - few.low


OURS, THEIRS = Place("fakeroot-sc", "static"), Place("native", "static")


@pytest.mark.parametrize(
    ("at_most", "at_least", "verdict"),
    [
        (2.0, None, REACHED),
        (1.9, None, MISSED),
        (None, 2.0, REACHED),
        (None, 2.1, MISSED),
        (3.0, 2.1, MISSED),
    ],
)
def test_verdict(at_most: float | None, at_least: float | None, verdict: str) -> None:
    cells = [Cell(OURS, samples=[2.0] * 5), Cell(THEIRS, samples=[1.0] * 5)]
    row = Row("text", OURS, THEIRS, at_most=at_most, at_least=at_least)
    assert judge(row, cells).verdict == verdict


@pytest.mark.parametrize(("at_most", "verdict"), [(5e3, REACHED), (3e3, MISSED)])
def test_a_difference_is_judged_and_shown_in_the_unit(at_most: float, verdict: str) -> None:
    row = Row("text", OURS, THEIRS, at_most=at_most, difference=True)
    question = Question("title", "bytes", 1, lambda *_: [], rows=(row,))
    cells = [Cell(OURS, samples=[6e6 + 4e3] * 5), Cell(THEIRS, samples=[6e6] * 5)]
    answered = answer(question, Measured(cells, 0))
    _, _, [line] = verdict_table([answered])
    assert line[1:] == ["text", "4 kB", "4 kB", f"at most {at_most / 1e3:.0f} kB", verdict]


def test_verdict_says_when_the_interval_holds_the_limit() -> None:
    cells = [Cell(OURS, samples=[1.0, 2, 3]), Cell(THEIRS, samples=[1.0] * 5)]
    assert "not sure" in judge(Row("text", OURS, THEIRS, at_most=2.5), cells).note


def test_what_was_not_measured_is_not_reached() -> None:
    cell = Cell(OURS)
    cell.give_up(CANNOT, "because")
    found = judge(Row("text", OURS, THEIRS, at_most=2), [cell])
    assert found.verdict == NOT_MEASURED
    assert "because" in found.note
    assert "native (static): not asked for" in found.note


def test_every_question_can_be_reported() -> None:
    questions = load_questions()
    answers = [answer(question, Measured([], 0.5)) for question in questions.values()]
    report = to_json(Report({}, {}, [], answers))
    assert list(report["questions"]) == list(questions)
    assert all("busy" in row["note"] for row in report["questions"]["lstat"]["rows"])


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_can_be_asked_for_by_name(name: str) -> None:
    assert name.split(",") == [name]  # what --tools does with its list


class PaperScratch(Scratch):
    """One in which nothing is made that takes time."""

    def tree(self, count: int, whose: str = "") -> str:
        return f"{self.path}/tree-{count}"

    def program(self, name: str, static: bool = False) -> str:
        return f"{self.path}/{name}"


@pytest.mark.parametrize("effort", [FULL, QUICK], ids=["full", "quick"])
def test_every_row_compares_what_is_measured(tmp_path: Path, effort: Effort) -> None:
    with PaperScratch(str(tmp_path)) as scratch:
        for question in load_questions().values():
            for place in {place for row in question.rows for place in row.places}:
                cases = question.cases(scratch, TOOLS[place.tool], effort)
                assert place.variant in [case.variant for case in cases], (question.name, place)


HASTY = Effort(
    run_ms=1, question_s=1e-9, total_s=60, runs_least=5, runs_most=9, runs_slow=2,
    slow_s=1e9, skip_s=1e9, run_longest_s=20, part=1,
)  # fmt: skip


def runs_and_samples(scratch: Scratch, slow_s: float, check: bool) -> tuple[int, int]:
    """How often a case was run in all, and how many of its numbers count."""
    count = Path(scratch.path, "count")
    case = Case(
        command=["sh", "-c", f"echo >>{count}; echo 1"],
        check=(lambda _done: None) if check else None,
    )
    question = Question("title", "ns", 1, lambda *_: [case])
    effort = attrs.evolve(HASTY, slow_s=slow_s)
    [cell] = measure(question, [TOOLS["native"]], scratch, effort, lambda _text: None).cells
    return len(count.read_text()), len(cell.samples)


@pytest.mark.parametrize(
    ("slow_s", "check", "expected"),
    [(1e9, False, (6, 5)), (1e9, True, (7, 5)), (0, False, (3, 2)), (0, True, (3, 2))],
    ids=["fast", "fast checked", "slow", "slow checked"],
)
def test_what_is_slow_is_run_less_often(
    tmp_path: Path, slow_s: float, check: bool, expected: tuple[int, int]
) -> None:
    with Scratch(str(tmp_path)) as scratch:
        assert runs_and_samples(scratch, slow_s, check) == expected


def service(scratch: Scratch, script: str) -> Service:
    return Service(scratch, ["sh", "-c", script], {})


def test_a_service_is_started_once_and_answers_each_line(tmp_path: Path) -> None:
    with Scratch(str(tmp_path)) as scratch:
        asked = service(scratch, 'while read line; do echo "$$ $line"; done')
        answers = [asked.ask(line, 20).output.split() for line in ("one", "two")]
        assert asked.close() == 0
    assert [line for _, line in answers] == ["one", "two"]
    assert answers[0][0] == answers[1][0]


def test_a_service_that_fails_says_why(tmp_path: Path) -> None:
    with Scratch(str(tmp_path)) as scratch:
        failing = service(scratch, "read line; echo $line is wrong >&2; exit 3")
        assert failing.ask("this", 20) == Done(3, "", "this is wrong\n")
        assert service(scratch, "exit 4").ask("that", 20).status == 4
        assert Service(scratch, ["/nowhere"], {}).ask("that", 20).status == 127


def test_a_service_that_is_too_slow_is_ended(tmp_path: Path) -> None:
    with Scratch(str(tmp_path)) as scratch:
        slow = service(scratch, "exec sleep 100")
        assert slow.ask("this", 0.01).status is None
        assert slow.close() is None


def test_a_question_ends_the_services_it_has_used(tmp_path: Path) -> None:
    with Scratch(str(tmp_path)) as scratch:
        used = service(scratch, "while read line; do echo 1; done; echo >ended")
        case = Case(command=["this"], service=used)
        question = Question("title", "ns", 1, lambda *_: [case])
        effort = attrs.evolve(HASTY, runs_least=1, runs_most=1)
        [cell] = measure(question, [TOOLS["native"]], scratch, effort, lambda _text: None).cells
        assert (cell.state, cell.reason) == ("ok", "")
        assert Path(scratch.path, "ended").exists()


def report_of(samples: list[float], machine: dict[str, str] | None = None) -> Report:
    question = Question(title="t", unit="ns", order=1, cases=lambda *_: [], name="lstat")
    cells = [Cell(Place("fakeroot-sc", "v"), samples=samples), Cell(Place("native"), CANNOT, "no")]
    facts = {name: "same" for name in against.MACHINE}
    return Report({**facts, **(machine or {})}, {}, [], [answer(question, Measured(cells, 0.0))])


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, against.SAME), (1.3, against.SLOWER), (0.7, against.FASTER), (1.03, against.SAME)],
)
def test_what_got_slower_is_told_against_an_earlier_run(
    tmp_path: Path, factor: float, verdict: str
) -> None:
    before = [100.0 + number % 3 for number in range(30)]
    old = tmp_path / "old.json"
    write_json(report_of(before), str(old))
    now = report_of([value * factor for value in before])
    found = against.changes(now, against.load(str(old)))
    assert [(change.place, change.verdict) for change in found] == [
        (Place("fakeroot-sc", "v"), verdict)
    ]
    assert found[0].value.value == pytest.approx(factor, rel=0.02)
    assert against.remarks(now, against.load(str(old))) == []


def test_another_machine_s_run_is_said_not_to_compare(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    write_json(report_of([1.0], {"kernel": "6.1"}), str(old))
    remarks = against.remarks(report_of([1.0]), against.load(str(old)))
    assert remarks == ["NOT COMPARABLE: kernel is same, and was 6.1"]


@pytest.mark.parametrize("text", ["", "[]", '{"format": 99}', "no JSON"])
def test_what_is_no_earlier_run_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "old.json").write_text(text)
    with pytest.raises(BenchError, match=r"old\.json"):
        against.load(str(tmp_path / "old.json"))
    with pytest.raises(BenchError, match="No such file"):
        against.load(str(tmp_path / "none"))


def test_a_report_marks_what_was_missed_and_shows_anything_as_text(tmp_path: Path) -> None:
    row = Row("odd *text* |here|", OURS, THEIRS, at_most=0.5, issue=6)
    question = Question(
        title="t", unit="ns", order=1, cases=lambda *_: [], name="lstat", rows=(row,)
    )
    cells = [Cell(place, samples=[5000.0] * 9) for place in (OURS, THEIRS)]
    report = Report({"kernel": "6_1"}, {"tar": "1"}, [], [answer(question, Measured(cells, 0.0))])
    missing = rst.write(report, str(tmp_path / "b.rst"))
    text = (tmp_path / "b.rst").read_text()
    assert "**MISSED**" in text
    assert r"odd \*text\* \|here\|" in text
    pictures = sorted(path.name for path in tmp_path.glob("*.svg"))
    assert pictures == ([] if missing else ["b-calls.svg"])
    assert [
        line.split("figure:: ")[1] for line in text.splitlines() if "figure::" in line
    ] == pictures
