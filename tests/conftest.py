# SPDX-License-Identifier: Apache-2.0
"""How the tests run: as an ordinary user, whoever starts them.

Started as root, pytest does not run the tests itself but starts two more: one as
an unprivileged user for all tests but those marked ``root``, and one as root for
these.  Where that user cannot reach the interpreter or the sources (under /root,
say), both run from a copy with an environment of its own.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import installed
import pytest
from differential import PairOf, sides
from harness import (
    BUILDS,
    LIBC_BUILDS,
    PATIENCE,
    CannotBuild,
    Probe,
    Session,
    build_probe,
    populate,
)

# How long an example takes is the machine's affair, which may be busy.
hypothesis.settings.register_profile("patient", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("patient")

PART = "FAKEROOT_SC_TEST_PART"
"""In the environment of the two inner runs: "user" or "root"."""

UNPRIVILEGED = "FAKEROOT_SC_TEST_UID"
"""In the same: the number of the unprivileged user."""

PLACE = "FAKEROOT_SC_TEST_TMPDIR"
"""In the environment of root: where both inner runs have their files."""

USER_NAME = "fakeroot-sc-test"
STAGE_IGNORES = (".git", ".venv", "build", "dist", "__pycache__", ".hypothesis", ".*_cache")
SETUP_PATIENCE = 600.0


def _unprivileged_ids() -> tuple[int, int]:
    with contextlib.suppress(KeyError):
        entry = pwd.getpwnam(USER_NAME)
        return entry.pw_uid, entry.pw_gid
    uid = 54321
    while True:
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return uid, uid
        uid += 1


def _reachable(command: list[str], ids: tuple[int, int], directory: Path) -> bool:
    """Whether the unprivileged user can run a command in a directory."""
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            user=ids[0],
            group=ids[1],
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def _can_run_here(root: Path, ids: tuple[int, int]) -> bool:
    look = "import os, sys, pytest, fakeroot_sc._core; open(sys.argv[1]); os.listdir(sys.argv[2])"
    here = Path(__file__)
    command = [sys.executable, "-P", "-c", look, str(here), str(here.parent)]
    return _reachable(command, ids, root) and os.access(installed.FAKEROOT_SC, os.X_OK)


def _base_interpreter(ids: tuple[int, int]) -> str:
    own = str(getattr(sys, "_base_executable", sys.executable))
    for candidate in ("/usr/bin/python3", own, "/usr/local/bin/python3"):
        test = "import sys, venv; sys.exit(sys.version_info < (3, 11))"
        if _reachable([candidate, "-c", test], ids, Path("/")):
            return candidate
    raise pytest.UsageError(
        "the tests need a Python >= 3.11 with venv that an ordinary user can run: "
        "install the Debian packages python3 and python3-venv"
    )


def _stage(root: Path, stage: Path, ids: tuple[int, int]) -> tuple[Path, str]:
    """Copies the sources and installs them; returns the copy and its interpreter."""
    print(f"fakeroot-sc: uid {ids[0]} cannot run the tests in {root}: using a copy in {stage}")
    sys.stdout.flush()
    copy, environment = stage / "source", stage / "venv"
    shutil.copytree(root, copy, symlinks=True, ignore=shutil.ignore_patterns(*STAGE_IGNORES))
    for command in (
        [_base_interpreter(ids), "-m", "venv", str(environment)],
        [str(environment / "bin" / "python"), "-m", "pip", "install", "-q", f"{copy}[test]"],
        ["chmod", "-R", "a+rX", str(stage)],
    ):
        try:
            subprocess.run(command, check=True, umask=0o022, timeout=SETUP_PATIENCE)
        except subprocess.CalledProcessError as error:
            raise pytest.UsageError(f"cannot prepare a copy to run from: {error}") from error
    return copy, str(environment / "bin" / "python")


def _moved(arguments: tuple[str, ...], root: Path, copy: Path) -> list[str]:
    """The arguments, with paths in the sources turned to the copy."""
    return [
        str(copy / Path(argument).relative_to(root))
        if argument.startswith("/") and Path(argument).is_relative_to(root)
        else argument
        for argument in arguments
    ]


@contextlib.contextmanager
def _directory(name: str, owner: tuple[int, int], mode: int) -> Iterator[Path]:
    place = os.environ.get(PLACE, "/var/tmp")  # root's TMPDIR may be closed to others
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=place))
    try:
        path.chmod(mode)
        os.chown(path, *owner)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _run_both(config: pytest.Config, stage: Path) -> int:
    ids = _unprivileged_ids()
    root, start = config.rootpath, config.invocation_params.dir
    arguments, interpreter = list(config.invocation_params.args), sys.executable
    if not _can_run_here(root, ids):
        copy, interpreter = _stage(root, stage, ids)
        arguments = _moved(config.invocation_params.args, root, copy)
        start = copy / start.relative_to(root) if start.is_relative_to(root) else copy
    command = [interpreter, "-P", "-m", "pytest", "-p", "no:cacheprovider", *map(str, arguments)]

    statuses: dict[str, int] = {}
    # A part that has none would still collect all.
    without = {"root": "user", "not root": "root"}.get(config.option.markexpr)
    for part, owner in (("user", ids), ("root", (0, 0))):
        if part == without:
            continue
        title = f"as uid {ids[0]}" if part == "user" else "as root, tests marked root"
        print(f"fakeroot-sc tests {title}", flush=True)
        with _directory(f"fsc-{part}", owner, 0o755) as home:
            environment = {
                **os.environ,
                PART: part,
                UNPRIVILEGED: str(ids[0]),
                "HOME": str(home),
                "TMPDIR": str(home),
                "HYPOTHESIS_STORAGE_DIRECTORY": str(home / "hypothesis"),
            }
            done = subprocess.run(
                command,
                cwd=start,
                env=environment,
                user=owner[0],
                group=owner[1],
                extra_groups=[],
                umask=0o022,
                check=False,
            )
        statuses[title] = done.returncode

    nothing = int(pytest.ExitCode.NO_TESTS_COLLECTED)
    counting = [status for status in statuses.values() if status != nothing]
    for title, status in statuses.items():
        said = {0: "passed", nothing: "no tests"}.get(status, f"FAILED (exit status {status})")
        print(f"fakeroot-sc tests {title}: {said}")
    if not counting:
        return nothing
    return next((status for status in counting if status), 0)


def _start_programs_as_a_shell_would() -> None:
    """What nohup(1) or a shell's & has told this process to ignore, programs do not inherit.

    A handler's place is taken by the default at execve(2); set here, it goes on ignoring.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Hands over to the two runs when started as root."""
    option = config.option
    only_looks = option.help or option.version or option.collectonly or option.markers
    only_looks = only_looks or option.showfixtures or option.show_fixtures_per_test
    if os.geteuid() != 0 or PART in os.environ or hasattr(config, "workerinput") or only_looks:
        return None
    with _directory("fsc-stage", (0, 0), 0o755) as stage:
        return _run_both(config, stage)


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "start fakeroot-sc with --no-shim: all calls are answered by the supervisor"
    parser.addoption("--no-shim", action="store_true", help=text)
    text = "start fakeroot-sc with --mode=MODE: notify, ptrace or ptrace-all"
    parser.addoption("--mode", choices=("notify", "ptrace", "ptrace-all"), help=text)


def _own_directory(config: pytest.Config, prefix: str) -> Path:
    """For the time of the run; others can read it, too."""
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))
    directory.chmod(0o755)
    return directory


def pytest_configure(config: pytest.Config) -> None:
    _start_programs_as_a_shell_would()
    if not Path(installed.FAKEROOT_SC).exists():
        raise pytest.UsageError(
            f"{installed.FAKEROOT_SC} is missing: the tests check the installed command; "
            f"run {sys.executable} -m pip install '.[test]' first"
        )
    if not hasattr(config, "workerinput"):
        os.environ[installed.BUILT] = str(_own_directory(config, "fsc-built-"))
    options = ["--no-shim"] * config.option.no_shim
    if config.option.mode:
        options.append(f"--mode={config.option.mode}")
    if options:
        try:
            installed.always_with(options, _own_directory(config, "fsc-command-"))
        except (OSError, subprocess.CalledProcessError) as error:
            raise pytest.UsageError(f"{options} takes cc (Debian package gcc): {error}") from error


def pytest_report_header() -> str | None:
    return f"fakeroot-sc {' '.join(installed.OPTIONS)}" if installed.OPTIONS else None


def _deselect(config: pytest.Config, items: list[pytest.Item], left_out: set[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


def _is_told_by_another(item: pytest.Item) -> bool:
    """Whether a set with options has, or had without them, a test that finds the same.

    How fakeroot-sc is started makes no difference to tests that do not start it, and the shim
    none to static programs.  What the functions of a C library come to is the shim's affair;
    without it they are the same few system calls, however these are heard of.
    """
    if item.get_closest_marker("pure"):
        return True
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    names = {value for value in parameters if isinstance(value, str)}
    telling = {"x86-64-static", "i386-static"} if installed.is_traced() else {"x86-64-libc"}
    return bool(names & BUILDS.keys() - telling) or (not installed.has_shim() and "static" in names)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each part runs its own tests; an ordinary user's run skips those marked root."""
    if installed.OPTIONS:
        _deselect(config, items, {item for item in items if _is_told_by_another(item)})
    part = os.environ.get(PART)
    marked = [item for item in items if item.get_closest_marker("root")]
    if part is None:
        if os.geteuid() != 0:
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs real root"))
        return
    _deselect(config, items, {item for item in items if (item in marked) != (part == "root")})


@pytest.fixture(scope="session")
def fakeroot_sc() -> str:
    """The installed command."""
    return installed.FAKEROOT_SC


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(fakeroot_sc: str, tmp_path: Path) -> Run:
    """Runs a command under fakeroot-sc in the test's directory, within a time limit."""

    def run_command(
        *command: str,
        options: tuple[str, ...] = (),
        **more: Any,
    ) -> subprocess.CompletedProcess[str]:
        more = {"cwd": tmp_path, "timeout": PATIENCE, "stdin": subprocess.DEVNULL, **more}
        if "input" in more:
            del more["stdin"]
        return subprocess.run(
            [fakeroot_sc, *options, "--", *command],
            capture_output=True,
            text=True,
            check=False,
            **more,
        )

    return run_command


Probes = Callable[[str], Probe]


@pytest.fixture(scope="session")
def probes() -> Probes:
    """Builds probes by name, once for all workers; skips where the machine lacks what it takes."""
    built: dict[str, Probe | CannotBuild] = {}
    directory = Path(os.environ[installed.BUILT])

    def probe_named(name: str) -> Probe:
        if name not in built:
            try:
                built[name] = build_probe(name, directory)
            except CannotBuild as error:
                built[name] = error
        found = built[name]
        if isinstance(found, CannotBuild):
            pytest.skip(str(found))
        return found

    return probe_named


@pytest.fixture(params=list(BUILDS))
def any_probe(request: pytest.FixtureRequest, probes: Probes) -> Probe:
    """Every build of the probe in turn."""
    return probes(request.param)


@pytest.fixture(params=["x86-64-static", "i386-static", *LIBC_BUILDS])
def probe(request: pytest.FixtureRequest, probes: Probes) -> Probe:
    """The probe that calls the kernel by itself, of each ABI, and all that call a C library."""
    return probes(request.param)


@pytest.fixture(params=["x86-64-static", "x86-64-libc"])
def probe64(request: pytest.FixtureRequest, probes: Probes) -> Probe:
    """The probe of the machine's own ABI."""
    return probes(request.param)


@pytest.fixture(params=["i386-static", "i386-old-libc"])
def probe32(request: pytest.FixtureRequest, probes: Probes) -> Probe:
    """The probe of 32-bit programs.

    The old functions of its C library alone are able to fill the system call's own struct stat.
    """
    return probes(request.param)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with files of every kind that a user can make."""
    populate(tmp_path)
    return tmp_path


@pytest.fixture
def fake(probe: Probe, tree: Path) -> Iterator[Session]:
    """A running probe under fakeroot-sc, in the tree."""
    with probe.session(tree) as session:
        yield session


@pytest.fixture
def fake64(probe64: Probe, tree: Path) -> Iterator[Session]:
    """The same for the machine's own ABI."""
    with probe64.session(tree) as session:
        yield session


@pytest.fixture
def fake32(probe32: Probe, tree: Path) -> Iterator[Session]:
    """The same for 32-bit programs."""
    with probe32.session(tree) as session:
        yield session


@pytest.fixture(scope="session")
def real_root_can_make_devices(tmp_path_factory: pytest.TempPathFactory) -> None:
    if os.geteuid() != 0:
        return
    try:
        os.mknod(tmp_path_factory.mktemp("node") / "null", stat.S_IFCHR | 0o666, 0x103)
    except OSError as error:
        pytest.skip(f"real root cannot make devices here (CAP_MKNOD): {error.strerror}")


@pytest.fixture
def pair_of(probes: Probes, real_root_can_make_devices: None) -> PairOf:
    """Opens a pair for a build of the probe."""
    return lambda build: sides(probes(build))


@pytest.fixture
def result_fifo(tmp_path: Path) -> Path:
    """A FIFO in which COMMAND says what happened to it, named by RESULT."""
    path = tmp_path / "result"
    os.mkfifo(path)
    return path
