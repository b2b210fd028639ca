"""The pure pieces of bench/: statistics and verdicts."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

# At the end: the installed fakeroot_sc is the one under test, not the sources beside bench.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from bench.measure import CANNOT, Cell, Measured
from bench.question import Place, Row, load_questions
from bench.report import MISSED, NOT_MEASURED, REACHED, Report, answer, judge, to_json
from bench.stats import median, quantile, ratio, spread

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
