"""The pieces of bench/: statistics, verdicts, how often is measured, services; what the
questions measure is left to them."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tarfile
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

# At the end: the installed fakeroot_sc is the one under test, not the sources beside bench.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from bench import against, archives, plots, rst
from bench.__main__ import check_places
from bench.accounting import Account, Accounting, Counts, Unavailable, calls_of, summed
from bench.measure import (
    CANNOT,
    FAILED,
    FULL,
    OK,
    QUICK,
    SKIPPED,
    WRONG,
    Cell,
    Measured,
    measure,
    share,
)
from bench.question import Case, Effort, Place, Question, Row, load_questions
from bench.report import (
    MISSED,
    NOT_MEASURED,
    REACHED,
    Report,
    answer,
    answer_table,
    judge,
    tally,
    to_json,
    verdict_table,
    write_json,
)
from bench.scratch import BenchError, Done, Scratch
from bench.service import Service
from bench.stats import difference, median, quantile, ratio, spread
from bench.tools import TOOLS, Tool, find

pytestmark = pytest.mark.pure

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

    def tree(self, count: int, whose: str = "", place: str = "") -> str:
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
    slow_s=1e9, skip_s=1e9, overrun_s=10, run_longest_s=20, part=1,
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


def test_a_run_that_has_not_done_its_job_gets_no_number(tmp_path: Path) -> None:
    with Scratch(str(tmp_path)) as scratch:
        out = Path(scratch.path, "out")
        case = Case(
            command=["sh", "-c", f"echo >>{out}; echo 1"],
            after=lambda: "grew" if len(out.read_text()) > 3 else None,
        )
        [cell] = measured(scratch, [case])
    assert (cell.state, cell.reason, cell.samples) == (WRONG, "grew", [])


def test_what_goes_wrong_beside_a_run_is_one_case_s_trouble(tmp_path: Path) -> None:
    def missing() -> str | None:
        return (tmp_path / "none").read_text()

    def broken() -> None:
        subprocess.run(["false"], check=True)

    run = ["sh", "-c", "echo 1"]
    with Scratch(str(tmp_path)) as scratch:
        cells = measured(
            scratch, [Case(run, "a", after=missing), Case(run, "b", before=broken), Case(run, "c")]
        )
    assert [cell.state for cell in cells] == [FAILED, FAILED, OK]
    assert "No such file" in cells[0].reason
    assert "'false'" in cells[1].reason


def measured(scratch: Scratch, cases: list[Case], effort: Effort = HASTY) -> list[Cell]:
    question = Question("title", "ns", 1, lambda *_: cases)
    return measure(question, [TOOLS["native"]], scratch, effort, lambda _text: None).cells


def sized(number: int, command: str = "sleep 0.05; echo 1", *, large: bool = False) -> Case:
    return Case(["sh", "-c", command], f"{number}", series="s", scale=number, large=large)


def test_what_would_take_too_long_by_the_smaller_sizes_is_left_out(tmp_path: Path) -> None:
    effort = attrs.evolve(HASTY, skip_s=5)
    with Scratch(str(tmp_path)) as scratch:
        few, more, many = measured(scratch, [sized(1), sized(2), sized(1000)], effort)
    assert (few.state, more.state, many.state) == (OK, OK, SKIPPED)
    assert "s a run" in many.reason


def test_what_fails_with_few_is_not_tried_with_many(tmp_path: Path) -> None:
    with Scratch(str(tmp_path)) as scratch:
        few, many = measured(scratch, [sized(1, "exit 3"), sized(2, "echo 1")])
    assert (few.state, many.state) == (WRONG, WRONG)


@pytest.mark.parametrize(("part", "state"), [(1, OK), (10, SKIPPED)])
def test_the_largest_is_for_full_runs(tmp_path: Path, part: int, state: str) -> None:
    effort = attrs.evolve(HASTY, part=part)
    with Scratch(str(tmp_path)) as scratch:
        [cell] = measured(scratch, [sized(1, large=True)], effort)
    assert cell.state == state


def test_what_a_row_with_a_limit_compares_is_measured_without_time_left(tmp_path: Path) -> None:
    row = Row("text", Place("native", "wanted"), at_most=1)
    cases = [Case(["sh", "-c", "sleep 0.05; echo 1"], name) for name in ("a", "b", "wanted")]
    question = Question("title", "ns", 1, lambda *_: cases, rows=(row,))
    effort = attrs.evolve(HASTY, overrun_s=1e-9)
    with Scratch(str(tmp_path)) as scratch:
        found = measure(question, [TOOLS["native"]], scratch, effort, lambda _text: None).cells
    assert [cell.state for cell in found] == [SKIPPED, SKIPPED, OK]
    assert len(found[2].samples) == effort.runs_slow


def test_what_rows_compare_gets_more_runs_than_the_rest(tmp_path: Path) -> None:
    row = Row("text", Place("native", "wanted"), at_most=1)
    names = ("wanted", "a", "b", "c", "d")
    cases = [Case(["sh", "-c", "sleep 0.05; echo 1"], name) for name in names]
    question = Question("title", "ns", 1, lambda *_: cases, rows=(row,))
    effort = attrs.evolve(HASTY, question_s=4, runs_least=2, runs_most=16)
    with Scratch(str(tmp_path)) as scratch:
        found = measure(question, [TOOLS["native"]], scratch, effort, lambda _text: None).cells
    wanted, *others = (len(cell.samples) for cell in found)
    assert wanted > max(others)
    assert min(others) >= 2


weights = st.lists(st.floats(min_value=0.5, max_value=5), min_size=1, max_size=40)


@given(weights, st.floats(min_value=600, max_value=3600))
def test_all_questions_together_keep_to_the_time(weights: list[float], total: float) -> None:
    left = total
    for number in range(len(weights)):
        effort = share(FULL, left, weights[number:])
        assert effort.question_s <= FULL.question_s * weights[number]
        left -= effort.question_s
    assert left >= -1e-6


def test_a_question_that_is_late_is_asked_all_the_same() -> None:
    assert share(FULL, -5.0, [1.0, 1.0]).question_s > 0


# --- archives ---


def small_tree(parent: Path) -> Path:
    tree = parent / "tree"
    (tree / "directory").mkdir(parents=True)
    for number, size in enumerate((0, 1, 511, 512, 513, 2000)):
        (tree / "directory" / f"file{number}").write_bytes(b"x" * size)
    (tree / "link").symlink_to("nowhere")
    return tree


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_the_owners_in_a_tar_archive_are_counted(tmp_path: Path, form: int) -> None:
    tree, archive = small_tree(tmp_path), tmp_path / "a.tar"

    def own(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid, member.gid = (7, 8) if member.isfile() else (0, 0)
        return member

    with tarfile.open(archive, "w", format=form) as made:
        made.add(tree, "tree", filter=own)
        made.add(tree / "link", "a/" * 70 + "long", filter=own)
    assert archives.owners(str(archive)) == {(7, 8): 6, (0, 0): 4}


@pytest.mark.skipif(not shutil.which("cpio"), reason="apt install cpio")
def test_the_owners_in_a_cpio_archive_are_counted(tmp_path: Path) -> None:
    tree, archive = small_tree(tmp_path), tmp_path / "a.cpio"
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    command = ["cpio", "--quiet", "-o", "-H", "newc", "-R", "7:8", "-O", str(archive)]
    subprocess.run(command, input=names, text=True, cwd=tree, timeout=20, check=True)
    assert archives.owners(str(archive)) == {(7, 8): 8}


def test_what_is_no_archive_is_an_error_or_empty(tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.write_bytes(b"")
    assert archives.owners(str(odd)) == {}
    odd.write_bytes(b"neither of the two" * 100)
    with pytest.raises(ValueError, match="invalid literal"):
        archives.owners(str(odd))


# --- accounting ---


@pytest.mark.parametrize(
    ("output", "calls"),
    [("12 calls, 3.5\n", 12), ("a note\n7 calls, 3\n", 7), ("3.5\n", 1), ("", 1),
     ("7 calls, 3\n9\n", 1)],
)  # fmt: skip
def test_the_last_line_says_how_many_calls_were_made(output: str, calls: int) -> None:
    assert calls_of(output) == calls


def test_an_account_is_that_of_all_tasks_for_each_call() -> None:
    tasks = [Counts(100, 3000, 5), Counts(30, 1000, 6).since(Counts(10, 500, 2))]
    assert summed(tasks, 10) == Account(calls=10, tasks=2, switches=12.0, queued_ns=350.0)


def test_the_table_shows_accounts_where_there_are_any() -> None:
    cells = [Cell(OURS, samples=[1.0], account=Account(1, 1, 2.5, 1500.0)), Cell(THEIRS, CANNOT)]
    question = Question("title", "ns", 1, lambda *_: [])
    _, head, lines = answer_table(answer(question, Measured(cells, 0.0)))
    assert list(head[5:7]) == ["switches", "queued"]
    assert lines[0][5:7] == ["2.50", "1.5 us"]
    assert {len(line) for line in lines} == {len(head)}
    cells[0].account = None
    _, head, lines = answer_table(answer(question, Measured(cells, 0.0)))
    assert "switches" not in head
    assert {len(line) for line in lines} == {len(head)}


@pytest.mark.skipif(os.geteuid() == 0, reason="needs an ordinary user")
def test_an_ordinary_user_is_told_why_there_is_no_account() -> None:
    with pytest.raises(Unavailable, match="root"):
        Accounting(os.getuid())


@pytest.mark.root
def test_the_kernel_s_accounts_are_those_of_getrusage() -> None:
    pytest.importorskip("pyroute2", reason="pip install '.[bench]'")
    user = 54323
    try:
        accounting = Accounting(user)
    except Unavailable as why:
        pytest.skip(str(why))
    accounting.begin()
    script = "import time\nfor _ in range(200): time.sleep(0.0005)"
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", script], user=user, group=user, extra_groups=()
    )
    _, status, usage = os.wait4(child.pid, 0)
    found = accounting.end(1)
    accounting.close()
    assert status == 0
    assert found is not None
    assert found.tasks == 1
    assert found.switches >= 200
    # Its last switch, to never come back, is counted by getrusage alone.
    assert abs(found.switches - usage.ru_nvcsw - usage.ru_nivcsw) <= 2


# --- tools, users, tables ---


def test_a_tool_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    absent = Tool("absent", ("no-such-program",), "apt install absent")
    failing = Tool("failing", ("sh", "-c", "echo no right >&2; exit 1"), "allow it", trial=True)
    with Scratch(str(tmp_path)) as scratch:
        present, missing = find([TOOLS["native"], absent, failing], scratch)
    assert present == [TOOLS["native"]]
    assert missing == {
        "absent": "missing: apt install absent",
        "failing": "does not work here (status 1: no right): allow it",
    }
    row = Row("text", Place("absent"), at_most=1)
    assert judge(row, [], missing).note == "absent: missing: apt install absent"


@pytest.mark.skipif(os.geteuid() == 0, reason="needs an ordinary user")
def test_only_root_can_name_who_is_measured() -> None:
    with pytest.raises(BenchError, match="only root"):
        Scratch(None, "nobody")


@pytest.mark.parametrize(("name", "why"), [("root", "is root"), ("no such", "no such user")])
def test_root_is_not_measured_nor_who_does_not_exist(
    monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(BenchError, match=why):
        Scratch(None, name)


def test_where_results_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    check_places(None, str(tmp_path / "new.json"))
    with pytest.raises(BenchError, match="no directory that can be written to"):
        check_places(None, str(tmp_path / "none" / "new.json"))


def test_rows_with_limits_are_shown_by_issue_and_apart_from_the_others() -> None:
    rows = (
        Row("later", OURS, at_most=1, issue=5),
        Row("earlier", OURS, at_most=1, issue=2),
        Row("known", OURS),
    )
    question = Question("title", "ns", 1, lambda *_: [], rows=rows)
    answers = [answer(question, Measured([Cell(OURS, samples=[5.0])], 0.0))]
    _, _, limited = verdict_table(answers)
    assert [line[:2] for line in limited] == [["2", "earlier"], ["5", "later"]]
    _, _, others = verdict_table(answers, limits=False)
    assert [line[1] for line in others] == ["known"]
    assert tally(answers) == "rows with limits: 0 reached, 2 MISSED, 0 not measured"


LIMITS = {
    2: [0.6, 0.85, 1.0, 1.5, 1.8, 2.0, 10, 20e6],
    3: [0.3, 0.5, 0.5, 1.05, *[1.25] * 6, 1.3, 1.3, 1.35, 1.6, 1.8, *[2.2] * 3, 100e3],
    4: [*[0.01] * 10, 0.6, *[1.0] * 9, *[1.01] * 2, 2.01],
    5: [0.5, 1.3, 1.5, 3e9, 3e9],
    6: [0.33, 0.8, 0.8, 1.0, 1.0],
    14: [3],
}
"""What must be reached, by issue: ratios, bytes, nanoseconds and (4) notifications."""


@pytest.mark.parametrize("issue", LIMITS)
def test_no_limit_is_forgotten_or_loosened(issue: int) -> None:
    rows = (row for question in load_questions().values() for row in question.rows)
    found = [row.at_most or row.at_least for row in rows if row.issue == issue and row.has_limit]
    assert sorted(limit for limit in found if limit) == LIMITS[issue]


def test_every_row_with_a_limit_says_where_it_was_asked_for() -> None:
    rows = (row for question in load_questions().values() for row in question.rows)
    assert all(row.issue in LIMITS for row in rows if row.has_limit)


def test_what_can_no_longer_be_measured_is_told_against_an_earlier_run(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    write_json(report_of([1.0, 2.0]), str(old))
    now = report_of([1.0])
    now.answers[0].cells[0].give_up(WRONG, "because")
    [line] = against.lost(now, against.load(str(old)))
    assert "lstat: fakeroot-sc v: wrong: because" in line


def test_pictures_are_drawn_of_calls_sizes_records_and_starts(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pip install '.[bench]'")
    variants = {
        "families": ["chown"],
        "tree_tar": ["1,000 files", "10,000 files"],
        "records": ["recorded, 1,000 records", "recorded, 10,000 records"],
        "startup": [""],
    }
    report = Report({}, {}, [])
    for name, known in variants.items():
        question = Question(name, "ns", 1, lambda *_: [], name=name)
        cells = [
            Cell(Place(tool, variant), samples=[5e6], account=Account(1, 1, 2.0, 3.0))
            for tool in TOOLS
            for variant in known
        ]
        report.answers.append(answer(question, Measured(cells, 0.0)))
    drawn = [name for name, _ in plots.draw(report, tmp_path / "b.rst")]
    assert drawn == [
        f"b-{name}.svg" for name in ("calls", "switches", "trees", "records", "startup")
    ]
    for name in drawn:
        assert "<svg" in (tmp_path / name).read_text(encoding="utf-8")
