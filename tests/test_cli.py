"""The command line is that of fakeroot(1), and Python's interface that of subprocess.run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import FAKEROOT_SC, PATIENCE, PYTHON, bare, fake, fake_output
from hypothesis import example, given
from hypothesis import strategies as st
from installed import OPTIONS

from fakeroot_sc.plan import UsageError, parse
from fakeroot_sc.syscalls.row import Abi
from fakeroot_sc.syscalls.table import rows

MODULE = [sys.executable, "-m", "fakeroot_sc", *OPTIONS]
"""To be started outside of the source tree, which shadows the installed package."""


def say(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs fakeroot-sc with these arguments."""
    return bare([FAKEROOT_SC, *arguments], env={**os.environ, **environment})


@pytest.mark.parametrize("option", ["-h", "--help", "--hel", "-uh"])
def test_help_goes_to_standard_output(option: str) -> None:
    done = say(option)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: fakeroot-sc ")
    for name in ("--unknown-is-real", "--lib", "--faked", "--fd-base", "--dump-filter", "127"):
        assert name in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("option", ["-v", "--version"])
def test_version_has_fakeroot_s_form(option: str) -> None:
    done = say(option)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"fakeroot-sc version \d+\.\d+\S*\n", done.stdout)


@pytest.mark.parametrize("option", ["-u", "--unknown-is-real", "--unknown"])
def test_unknown_is_real_shows_real_owners(tmp_path: Path, option: str) -> None:
    (tmp_path / "file").touch()
    output = bare([FAKEROOT_SC, option, "stat", "-c", "%u %g", tmp_path / "file"]).stdout
    assert output == f"{os.getuid()} {os.getgid()}\n"


@pytest.mark.parametrize(
    "options",
    [
        "-l foo", "-lfoo", "--lib foo", "--lib=foo", "--lib=", "-f foo", "-ffoo", "--faked foo",
        "--faked=foo", "-b 3", "-b3", "--fd-base 3", "--fd-base=3", "-u -l foo -b 100 -f foo",
        "-ul foo", "-ulfoo", "-l -- -u",
    ],
)  # fmt: skip
def test_options_of_fakeroot_are_taken_and_ignored(options: str) -> None:
    for end in ([], ["--"]):
        done = say(*options.split(), *end, "echo", "-u", "hello")
        assert (done.returncode, done.stdout, done.stderr) == (0, "-u hello\n", "")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["-x"], "-x"),
        (["--mode", "fast"], "--mode"),
        (["--mode"], "--mode"),
        (["--no-such-option"], "--no-such-option"),
        (["-ux"], "-x"),
        (["--f"], "--f"),
        (["--help=yes"], "--help=yes"),
        (["-l"], "-l"),
        (["--lib"], "--lib"),
        (["-b", "many"], "-b"),
        (["--fd-base=-1"], "--fd-base"),
        (["-u", "-i"], "-i"),
        (["-s", ""], "-s"),
    ],
)
def test_bad_options_give_the_usage_and_status_2(arguments: list[str], named: str) -> None:
    done = say(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    first, second, *_ = done.stderr.splitlines()
    assert first.startswith(f"fakeroot-sc: {named}: ")
    assert second.startswith("usage: fakeroot-sc ")


def test_everything_behind_the_two_dashes_is_command_s() -> None:
    done = say("--", "printf", "%s|", "--", "-u", "-h", "--help", "", "a b", "\n")
    assert done.stdout == "--|-u|-h|--help||a b|\n|"


def test_options_behind_command_are_command_s() -> None:
    assert say("printf", "%s|", "-u", "--version").stdout == "-u|--version|"


def test_without_command_the_user_s_shell_runs(tmp_path: Path) -> None:
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\necho "shell $# $(id -u)"\nexit 4\n')
    shell.chmod(0o755)
    for arguments in ([], ["--"], ["-u"]):
        done = say(*arguments, SHELL=str(shell))
        assert (done.returncode, done.stdout) == (4, "shell 0 0\n")


def test_without_command_and_shell_bin_sh_runs() -> None:
    for environment in ({"PATH": "/usr/bin:/bin"}, {"PATH": "/usr/bin:/bin", "SHELL": ""}):
        done = bare([FAKEROOT_SC], env=environment, input="echo $0 $(id -u); exit 3\n")
        assert (done.returncode, done.stdout) == (3, "/bin/sh 0\n")


def test_fakerootkey_is_set() -> None:
    key = fake_output(["sh", "-c", "echo $FAKEROOTKEY"], env={"PATH": os.environ["PATH"]})
    assert key.strip().isdecimal()


def test_empty_command_is_an_error_not_a_crash() -> None:
    done = say("--", "")
    assert done.returncode == 127
    assert done.stderr == "fakeroot-sc: : No such file or directory\n"


def test_a_name_with_newlines_and_control_characters_is_one_message() -> None:
    done = say("--", "no/such\x1b[2J\x07thing")
    assert done.returncode == 127
    assert done.stderr.startswith("fakeroot-sc: ")
    assert done.stderr.endswith(": No such file or directory\n")


def test_a_thousand_arguments_pass() -> None:
    arguments = [f"{number}{'x' * 100}" for number in range(1000)]
    assert fake_output(["printf", "%s\n", *arguments]).split() == arguments


def test_argument_list_too_long_is_named() -> None:
    # One argument may have 128 KiB (MAX_ARG_STRLEN), together much more.  What the
    # supervisor adds to the list is little, so a list may be too long for it alone.
    for size in (131000, 131071):
        done = fake(["printf", "%s", "x" * size])
        assert (done.returncode, len(done.stdout)) == (0, size)


def test_the_module_does_the_same_as_the_command(tmp_path: Path) -> None:
    for arguments in (["-v"], ["-h"], ["-x"], ["--", "sh", "-c", "id -u; exit 5"], ["no-command"]):
        module = bare([*MODULE, *arguments], cwd=tmp_path)
        command = say(*arguments)
        assert (module.returncode, module.stdout, module.stderr) == (
            command.returncode,
            command.stdout,
            command.stderr,
        )


def test_the_command_works_through_a_symbolic_link_and_path(tmp_path: Path) -> None:
    link = tmp_path / "fakeroot"
    link.symlink_to(FAKEROOT_SC)
    assert bare([link, "id", "-u"]).stdout == "0\n"
    path = f"{Path(FAKEROOT_SC).parent}:{os.environ['PATH']}"
    done = bare(["sh", "-c", "fakeroot-sc -- id -u"], env={**os.environ, "PATH": path})
    assert done.stdout == "0\n"


def test_python_settings_of_the_user_do_not_reach_the_supervisor(tmp_path: Path) -> None:
    (tmp_path / "os.py").write_text("raise SystemExit('the wrong os')\n")
    (tmp_path / "fakeroot_sc.py").write_text("raise SystemExit('the wrong package')\n")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": str(tmp_path),
        "PYTHONSTARTUP": str(tmp_path / "os.py"),
        "PYTHONVERBOSE": "1",
    }
    assert fake_output(["id", "-u"], cwd=tmp_path, env=environment) == "0\n"


# --- --dump-filter -----------------------------------------------------------------------


def test_dump_filter_prints_every_trapped_call_by_name() -> None:
    done = say("--dump-filter")
    assert (done.returncode, done.stderr) == (0, "")
    words = set(re.findall(r"\w+", done.stdout))
    missing = {row.name for abi in Abi for row in rows(abi).values()} - words
    assert not missing
    assert done.stdout.count("\n") > 100
    assert done.stdout.isprintable() or set(done.stdout) - {"\n"} <= set(map(chr, range(32, 127)))


def test_dump_filter_into_a_closed_pipe_is_no_traceback() -> None:
    done = bare(["sh", "-c", f"{FAKEROOT_SC} --dump-filter | head -1"])
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_output_to_a_full_device_is_an_error() -> None:
    for option in ("--help", "--version", "--dump-filter"):
        done = bare(["sh", "-c", f"{FAKEROOT_SC} {option} >/dev/full"])
        assert done.returncode not in (0, 2)
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("fakeroot-sc: ")


# --- Parsing -----------------------------------------------------------------------------

WORDS = st.one_of(
    st.sampled_from(
        ["-u", "-h", "-v", "-l", "-f", "-b", "-i", "-s", "--", "-", "--lib", "--faked", "--fd-base",
         "--lib=", "--unknown-is-real", "--version", "--dump-filter", "--d", "-uu", "-ulx", "7",
         "=", "--=", "--lib=--"]
    ),
    st.text(max_size=8),
    st.text("-=ulfbishv", max_size=6),
)  # fmt: skip


@pytest.mark.pure
@given(st.lists(WORDS, max_size=8))
@example([])
@example(["-"])
@example(["--="])
def test_parse_raises_nothing_but_usage_errors(arguments: list[str]) -> None:
    given_ones = list(arguments)
    try:
        plan = parse(arguments)
    except UsageError as error:
        assert str(error)
    else:
        assert plan.action in ("run", "help", "version", "dump-filter")
        assert plan.command
    assert arguments == given_ones


@pytest.mark.pure
@given(
    st.lists(st.sampled_from(["-u", "-lx", "--lib=x", "-b7", "-fx"])), st.lists(WORDS, min_size=1)
)
def test_parse_touches_nothing_behind_the_dashes(options: list[str], command: list[str]) -> None:
    plan = parse([*options, "--", *command])
    assert plan.command == command
    assert plan.unknown_is_real is ("-u" in options)
    assert plan.action == "run"


@given(st.lists(WORDS, min_size=1))
def test_parse_ends_at_the_first_word_that_is_no_option(command: list[str]) -> None:
    assert parse(["-u", "command", *command]).command == ["command", *command]


# --- What a plain run imports ------------------------------------------------------------

PLAIN_RUN_MODULES = {
    "_abc", "_collections_abc", "_stat", "abc", "errno", "genericpath", "os", "os.path",
    "posixpath", "stat",
    "fakeroot_sc", "fakeroot_sc._core", "fakeroot_sc.cli", "fakeroot_sc.origin",
    "fakeroot_sc.passes", "fakeroot_sc.plan", "fakeroot_sc.preload",
    "fakeroot_sc.supervisor",
}  # fmt: skip
"""All that a plain run may import beyond what ``python -I -S`` itself does: each costs
start-up time."""


def imported(lines: str) -> set[str]:
    """The modules that -X importtime names."""
    names = (
        line.rpartition("|")[2].strip() for line in lines.splitlines() if "import time" in line
    )
    return set(names) - {"imported package"}


def front_with(interpreter: Path) -> list[str]:
    """fakeroot-sc with another interpreter for its supervisor."""
    code = "import fakeroot_sc.runner as r, json; print(json.dumps(r.command([])))"
    command = json.loads(bare([sys.executable, "-I", "-c", code]).stdout)
    option, _, _ = command[1].partition("=")
    return [command[0], f"{option}={interpreter}", *command[2:], *OPTIONS]


def test_a_plain_run_imports_little(tmp_path: Path) -> None:
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -X importtime "$@"\n')
    wrapper.chmod(0o755)
    done = bare(
        [*front_with(wrapper), "--", "sh", "-c", "chown 12 . && stat -c %u ."], cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "12\n")
    basis = imported(bare([*PYTHON, "-X", "importtime", "-c", "pass"]).stderr)
    found = imported(done.stderr)
    assert "fakeroot_sc.supervisor" in found  # else nothing was seen
    assert found - basis <= PLAIN_RUN_MODULES
    heavy = {"attr", "attrs", "pyseccomp", "pyroute2", "argparse", "typing", "re", "subprocess"}
    assert not found & (heavy | {"pathlib", "enum", "ctypes", "site"})


def test_a_missing_package_is_named_with_what_to_do(tmp_path: Path) -> None:
    command = front_with(Path(sys.executable))
    command[2] = str(tmp_path)
    done = bare([*command, "--", "touch", str(tmp_path / "marker")])
    assert done.returncode not in (0, 2)
    assert re.fullmatch(r"fakeroot-sc: .*: .*: install fakeroot-sc .*\n", done.stderr)
    assert not (tmp_path / "marker").exists()


def test_a_missing_interpreter_is_named(tmp_path: Path) -> None:
    done = bare([*front_with(tmp_path / "missing"), "--", "touch", str(tmp_path / "marker")])
    assert done.returncode == 125
    assert done.stderr.startswith(f"fakeroot-sc: {tmp_path}/missing: No such file or directory")
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


# --- fakeroot_sc.run ---------------------------------------------------------------------


def call_run(code: str, directory: Path) -> object:
    """Evaluates an expression with fakeroot_sc.run imported from the installed package."""
    program = f"import json, os, subprocess\nfrom fakeroot_sc import run\nprint(json.dumps({code}))"
    done = bare([sys.executable, "-I", "-c", program], cwd=directory)
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("run(['true']).returncode", 0),
        ("run(['sh', '-c', 'exit 7']).returncode", 7),
        ("run(['sh', '-c', 'kill -9 $$']).returncode", 137),
        ("run(['id', '-u'], capture_output=True).stdout.decode()", "0\n"),
        ("run(['id', '-u'], capture_output=True, text=True).stdout", "0\n"),
        ("run(['cat'], input='hello', text=True, capture_output=True).stdout", "hello"),
        ("run(['cat'], input=b'hello', stdout=subprocess.PIPE).stdout.decode()", "hello"),
        ("run(['pwd'], cwd='/usr', text=True, capture_output=True).stdout", "/usr\n"),
        (
            "run(['/bin/sh', '-c', 'echo $A'], env={'A': 'b'}, text=True,"
            " capture_output=True).stdout",
            "b\n",
        ),
        ("run(['sh', '-c', 'exit 3']).args", ["sh", "-c", "exit 3"]),
        ("run(['true', '-u', '--', '-h']).args", ["true", "-u", "--", "-h"]),
        ("run(['sh', '-c', 'echo no >&2'], stderr=subprocess.PIPE, text=True).stderr", "no\n"),
        ("run(['printf', '%s', '--version'], capture_output=True, text=True).stdout", "--version"),
        ("type(run(['true'])).__name__", "CompletedProcess"),
        ("run(['true'], check=True).returncode", 0),
        ("run(['no-such-command'], stderr=subprocess.PIPE).returncode", 127),
    ],
)
def test_run_is_shaped_like_subprocess_run(tmp_path: Path, code: str, expected: object) -> None:
    assert call_run(code, tmp_path) == expected


def test_run_shows_real_owners_if_asked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = "run(['stat', '-c', '%u', 'file'], unknown_is_real={}, stdout=-1).stdout.decode()"
    assert call_run(code.format(True), tmp_path) == f"{os.getuid()}\n"
    assert call_run(code.format(False), tmp_path) == "0\n"


def test_run_goes_without_the_shim_if_asked(tmp_path: Path) -> None:
    code = "run(['sh', '-c', 'stat -c %u . $LD_PRELOAD'], shim=False, stdout=-1).stdout.decode()"
    assert call_run(code, tmp_path) == "0\n"


RAISES = """
import subprocess, sys
from fakeroot_sc import run
try:
    {code}
except {error} as caught:
    print(type(caught).__name__, getattr(caught, "cmd", ""), getattr(caught, "returncode", ""))
"""


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (
            "run(['sh', '-c', 'exit 3'], check=True)",
            "subprocess.CalledProcessError",
            "CalledProcessError ['sh', '-c', 'exit 3'] 3",
        ),
        (
            "run(['cat'], stdout=subprocess.PIPE, timeout=0.3)",
            "subprocess.TimeoutExpired",
            "TimeoutExpired ['cat'] ",
        ),
        ("run('true')", "TypeError", "TypeError  "),
        ("run(['true'], shell=True)", "TypeError", "TypeError  "),
        ("run(['true'], executable='/bin/sh')", "TypeError", "TypeError  "),
        ("run(['true'], cwd='/no/such/place')", "FileNotFoundError", "FileNotFoundError  "),
    ],
)
def test_run_raises_what_subprocess_run_does(
    tmp_path: Path, code: str, error: str, said: str
) -> None:
    program = RAISES.format(code=code, error=error)
    # Its input stays open, so that the command of the time-out has something to wait for.
    with subprocess.Popen(
        [sys.executable, "-I", "-c", program],
        cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.read() == said + "\n"
        assert process.wait(PATIENCE) == 0


def test_the_package_itself_imports_nothing_until_run_is_used(tmp_path: Path) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import fakeroot_sc\n"
        "print(sorted(set(sys.modules) - before), fakeroot_sc.__all__)\n"
        "fakeroot_sc.no_such_name"
    )
    done = bare([sys.executable, "-I", "-c", code], cwd=tmp_path)
    names = ["FileIdentity", "InodeRecord", "State", "StateError", "__version__", "run"]
    assert done.stdout == f"['fakeroot_sc'] {names}\n"
    assert "AttributeError: module 'fakeroot_sc' has no attribute 'no_such_name'" in done.stderr
