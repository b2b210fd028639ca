"""Life and death: COMMAND lives, stops, ends and inherits as if it ran bare."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import (
    FAKEROOT_SC,
    PATIENCE,
    PYTHON,
    Pipe,
    Terminal,
    Watched,
    bare,
    compile_c,
    fake,
    fake_output,
    fake_script,
    parent_of,
    process_state,
    read_line,
    read_to_end,
    started,
)

# COMMAND that says who it is and then waits for a line on its standard input.
READER = [*PYTHON, "-c", "import os; print(os.getpid(), os.getppid(), flush=True); input()"]


def python(code: str) -> list[str]:
    """A command line that runs a piece of Python."""
    return [*PYTHON, "-c", code]


def dedent(text: str) -> str:
    """The text without its first line's indentation."""
    lines = text.strip("\n").splitlines()
    width = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[width:] for line in lines) + "\n"


# --- Exit status -------------------------------------------------------------------------


def test_every_exit_status_is_passed_on() -> None:
    for first in range(0, 256, 8):  # eight at a time: a run takes its start-up time
        running = [
            subprocess.Popen([FAKEROOT_SC, "--", "sh", "-c", f"exit {status}"])
            for status in range(first, first + 8)
        ]
        assert [process.wait(PATIENCE) for process in running] == list(range(first, first + 8))


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "ILL", "ABRT", "KILL", "PIPE", "TERM"])
def test_a_signal_that_ends_command_gives_128_and_its_number(name: str) -> None:
    done = fake(["sh", "-c", f"ulimit -c 0; kill -{name} $$"])
    number = signal.Signals[f"SIG{name}"]
    assert done.returncode == 128 + number
    assert done.stderr == ""


def test_real_time_signal_that_ends_command_gives_128_and_its_number() -> None:
    done = fake(python("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 3)"))
    assert done.returncode == 128 + signal.SIGRTMIN + 3


@pytest.mark.parametrize(
    ("name", "status", "why"),
    [
        ("no-such-command-anywhere", 127, "No such file or directory"),
        ("./missing", 127, "No such file or directory"),
        ("./plain", 126, "Permission denied"),
        ("./directory", 126, "Permission denied"),
        ("./directory/plain/under", 127, "No such file or directory"),
        ("./plain/under", 126, "Not a directory"),
        ("./no-interpreter", 127, "No such file or directory"),
    ],
)
def test_command_that_cannot_run_is_named(tmp_path: Path, name: str, status: int, why: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "plain").write_text("echo hello\n")
    (tmp_path / "no-interpreter").write_text("#!/no/such/interpreter\n")
    (tmp_path / "no-interpreter").chmod(0o755)
    done = fake([name], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (status, f"fakeroot-sc: {name}: {why}\n")


def test_command_in_an_unsearchable_directory_of_path_is_not_found(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    try:
        path = f"{closed}:{os.environ['PATH']}"
        assert fake(["no-such-command"], env={**os.environ, "PATH": path}).returncode == 127
        assert fake(["true"], env={**os.environ, "PATH": path}).returncode == 0
    finally:
        closed.chmod(0o700)


def test_a_script_without_interpreter_line_runs_as_under_env(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo hello\nexit 3\n")
    script.chmod(0o755)
    plain = bare(["env", script])
    done = fake([script])
    assert (done.returncode, done.stdout) == (plain.returncode, plain.stdout) == (3, "hello\n")


# --- Signals of the terminal -------------------------------------------------------------


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
@pytest.mark.parametrize(("key", "number"), [("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT)])
def test_interrupt_key_ends_a_script_that_calls_us(
    prefix: list[str], key: str, number: int
) -> None:
    wait = 'sh -c "ulimit -c 0; echo ready=$$; read line"'
    script = f"{' '.join(prefix)} {wait}; echo after; exit 7"
    with Terminal(["bash", "-c", script]) as terminal:
        terminal.expect_number("ready")
        terminal.type(key)
        assert terminal.status() == -number if number == signal.SIGINT else 7
        # As a bare command: bash ends only if the command died of ^C.
        assert ("after" in terminal.rest()) is (number != signal.SIGINT)


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_interrupt_key_ends_us_by_the_signal_itself(prefix: list[str]) -> None:
    command = ["sh", "-c", "echo ready=$$; read line"]
    with Terminal([*prefix, *command]) as terminal:
        terminal.expect_number("ready")
        terminal.type("\x03")
        assert terminal.status() == -signal.SIGINT


HANDLES_INTERRUPT = dedent("""
    import os, signal, sys
    got = []
    signal.signal(signal.SIGINT, lambda number, frame: got.append(number))
    print(f"ready={os.getpid()}", flush=True)
    while not got:
        signal.pause()
    print("handled", flush=True)
    line = input()
    print("line", line, len(got), flush=True)
    sys.exit(5)
""")


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_command_that_handles_the_interrupt_key_goes_on(prefix: list[str]) -> None:
    with Terminal([*prefix, *python(HANDLES_INTERRUPT)]) as terminal:
        terminal.expect_number("ready")
        terminal.type("\x03")
        terminal.expect("handled")
        terminal.type("hello\n")
        # Once: the terminal's signal is not passed on a second time.
        terminal.expect("line hello 1")
        assert terminal.status() == 5


def test_script_goes_on_when_command_handled_the_interrupt_key(tmp_path: Path) -> None:
    code = tmp_path / "command.py"
    code.write_text(HANDLES_INTERRUPT)
    command = " ".join([FAKEROOT_SC, "--", *PYTHON, str(code)])
    with Terminal(["bash", "-c", f'{command}; echo "status=$?"']) as terminal:
        terminal.expect_number("ready")
        terminal.type("\x03")
        terminal.expect("handled")
        terminal.type("hello\n")
        assert terminal.expect_number("status") == 5
        assert terminal.status() == 0


@pytest.mark.parametrize("prefix", ["", f"{FAKEROOT_SC} -- "], ids=["bare", "fakeroot-sc"])
def test_suspend_key_stops_and_fg_continues(prefix: str) -> None:
    # The shell of the user: with job control, it stops and continues the group.
    script = f"""
        set -m
        {prefix}sh -c 'echo ready=$$; read line; echo "got $line"; stat -c owner=%u /; exit 9'
        echo "stopped=$?"
        read line
        fg >/dev/null
        echo "ended=$?"
    """
    with Terminal(["bash", "--norc", "-c", script]) as terminal:
        command = terminal.expect_number("ready")
        terminal.type("\x1a")
        assert terminal.expect_number("stopped") == 128 + signal.SIGTSTP
        assert process_state(command) == "T"
        terminal.type("fg\n")
        # The line may come before COMMAND is in the foreground again: it waits there.
        terminal.type("hello\n")
        terminal.expect("got hello")
        assert terminal.expect_number("owner") == 0
        assert terminal.expect_number("ended") == 9


SAYS_CONTINUED = dedent("""
    import os, select, signal, sys
    wakes, wake = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(wake) # a handler alone could miss the moment before a read
    signal.signal(signal.SIGCONT, lambda number, frame: None)
    print(f"ready={os.getpid()}", flush=True)
    while True:
        for fd in select.select([0, wakes], [], [])[0]:
            text = os.read(fd, 100)
            if fd == 0:
                sys.exit(9 if text == b"end\\n" else 1)
            os.write(1, b"continued\\n")
""")


def test_suspend_key_stops_us_too_and_fg_works_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "command.py").write_text(SAYS_CONTINUED)
    script = f"""
        set -m
        again() {{ echo "stopped=$?"; read line; }}
        {FAKEROOT_SC} -- {" ".join(PYTHON)} {tmp_path}/command.py
        again; fg >/dev/null
        again; fg >/dev/null
        again; fg >/dev/null
        echo "ended=$?"
    """
    with Terminal(["bash", "--norc", "-c", script]) as terminal:
        command = terminal.expect_number("ready")
        front = os.getpgid(command)
        for _ in range(3):
            terminal.type("\x1a")
            assert terminal.expect_number("stopped") == 128 + signal.SIGTSTP
            assert process_state(command) == "T"
            assert process_state(front) == "T"
            terminal.type("fg\n")
            terminal.expect("continued")
        terminal.type("end\n")
        assert terminal.expect_number("ended") == 9


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_suspend_key_does_nothing_where_nobody_could_continue(prefix: list[str]) -> None:
    """A session's first process group is orphaned: the kernel drops its ^Z."""
    command = ["sh", "-c", "echo ready=$$; read line; echo got=$line"]
    with Terminal([*prefix, *command]) as terminal:
        terminal.expect_number("ready")
        terminal.type("\x1a")
        terminal.type("5\n")
        assert terminal.expect_number("got") == 5
        assert terminal.status() == 0


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_a_stopped_job_ends_when_its_shell_has_gone(prefix: list[str]) -> None:
    """The kernel hangs up on stopped groups that nobody can continue any more."""
    inner = "sh -c 'echo ready=$$; read line'"
    script = f"set -m; {' '.join([*prefix, inner])}; echo stopped=$?; read line"
    with Terminal(["bash", "--norc", "-c", script]) as terminal:
        command = Watched(terminal.expect_number("ready"))
        terminal.type("\x1a")
        assert terminal.expect_number("stopped") == 128 + signal.SIGTSTP
        terminal.process.kill()
        terminal.process.wait(PATIENCE)
        try:
            assert command.ended(10)
        finally:
            front = os.getpgid(command.pid) if process_state(command.pid) else 0
            command.kill()
            if front > 1 and prefix:
                Watched(front).kill()


def test_background_command_that_reads_the_terminal_stops() -> None:
    script = f"""
        set -m
        {FAKEROOT_SC} -- sh -c 'echo ready=$$; read line; exit 9' &
        wait %1
        echo "stopped=$?"
        fg >/dev/null
        echo "ended=$?"
    """
    with Terminal(["bash", "--norc", "-c", script]) as terminal:
        assert terminal.expect_number("stopped") == 128 + signal.SIGTTIN
        terminal.type("hello\n")
        assert terminal.expect_number("ended") == 9


REPORTS_SIGNALS = dedent("""
    import os, signal
    watched = [signal.SIGHUP, signal.SIGTERM, signal.SIGWINCH, signal.SIGUSR1, signal.SIGCONT]
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    print(f"ready={os.getpid()}", flush=True)
    fd = os.open(os.environ["RESULT"], os.O_WRONLY)
    while True:
        number = signal.sigwait(watched)
        os.write(fd, f"{signal.Signals(number).name}\\n".encode())
        if number in (signal.SIGHUP, signal.SIGTERM):
            break
""")


@pytest.fixture
def result_fifo(tmp_path: Path) -> Path:
    """A FIFO in which COMMAND says what happened to it, named by RESULT."""
    path = tmp_path / "result"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_a_new_window_size_reaches_command_and_harms_nothing(
    result_fifo: Path, prefix: list[str]
) -> None:
    environment = {**os.environ, "RESULT": str(result_fifo)}
    with Terminal([*prefix, *python(REPORTS_SIGNALS)], environment) as terminal:
        command = terminal.expect_number("ready")
        with result_fifo.open() as result:
            for rows in range(20, 23):
                terminal.resize(rows, 80)
                assert read_line(result.fileno()) == "SIGWINCH"
            os.kill(command, signal.SIGTERM)
            assert read_line(result.fileno()) == "SIGTERM"
        assert terminal.status() == 0


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_closing_the_terminal_reaches_command_when_we_lead_the_session(
    result_fifo: Path, prefix: list[str]
) -> None:
    environment = {**os.environ, "RESULT": str(result_fifo)}
    with Terminal([*prefix, *python(REPORTS_SIGNALS)], environment) as terminal:
        terminal.expect_number("ready")
        with result_fifo.open() as result:
            terminal.hang_up()
            seen = [read_line(result.fileno(), timeout=10)]
            while seen[-1] and seen[-1] != "SIGHUP":
                seen.append(read_line(result.fileno(), timeout=10))
        assert "SIGHUP" in seen
        assert terminal.status() == 0


@pytest.mark.parametrize("prefix", [[], [FAKEROOT_SC, "--"]], ids=["bare", "fakeroot-sc"])
def test_closing_the_terminal_reaches_command_below_a_shell(
    tmp_path: Path, result_fifo: Path, prefix: list[str]
) -> None:
    code = tmp_path / "command.py"
    code.write_text(REPORTS_SIGNALS)
    environment = {**os.environ, "RESULT": str(result_fifo)}
    script = f"{' '.join([*prefix, *PYTHON, str(code)])}; exit 0"
    with Terminal(["bash", "--norc", "-c", script], environment) as terminal:
        terminal.expect_number("ready")
        with result_fifo.open() as result:
            terminal.hang_up()
            seen = [read_line(result.fileno(), timeout=10)]
            while seen[-1] and seen[-1] != "SIGHUP":
                seen.append(read_line(result.fileno(), timeout=10))
        assert "SIGHUP" in seen


def test_closing_the_terminal_ends_command_and_supervisor() -> None:
    wait = python("import os, signal; print(f'ready={os.getpid()}', flush=True); signal.pause()")
    with Terminal([FAKEROOT_SC, "--", *wait]) as terminal:
        command = Watched(terminal.expect_number("ready"))
        supervisor = Watched(parent_of(command.pid))
        terminal.hang_up()
        try:
            assert command.ended(10)
            assert supervisor.ended(10)
        finally:
            command.kill()


# --- Signals that processes send ---------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGWINCH", "SIGCONT"])
def test_a_signal_sent_to_us_reaches_command(result_fifo: Path, name: str) -> None:
    environment = {**os.environ, "RESULT": str(result_fifo)}
    command = [FAKEROOT_SC, "--", *python(REPORTS_SIGNALS)]
    with started(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("ready=")
        with result_fifo.open() as result:
            process.send_signal(signal.Signals[name])
            assert read_line(result.fileno()) == name
            if name not in ("SIGTERM", "SIGHUP"):
                process.terminate()
                assert read_line(result.fileno()) == "SIGTERM"
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGUSR2"])
def test_a_fatal_signal_sent_to_us_ends_us_as_it_ends_command(name: str) -> None:
    number = signal.Signals[name]
    with started(
        [FAKEROOT_SC, "--", *READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        command, supervisor = map(int, process.stdout.readline().split())
        watched = Watched(supervisor)
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number
        assert watched.ended()
        assert process_state(command) == ""


def test_a_signal_sent_right_at_the_start_is_not_lost() -> None:
    """However early: COMMAND may not have been started when it comes."""
    for _ in range(10):
        with started(
            [FAKEROOT_SC, "--", *READER], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as process:
            process.terminate()
            assert process.wait(10) == -signal.SIGTERM


def test_timeout_ends_us_and_command() -> None:
    done = bare(["timeout", "0.3", FAKEROOT_SC, "--", *READER], stdin=subprocess.PIPE)
    # Its standard input is at its end: READER fails at once, timeout has nothing to do.
    assert done.returncode == 1
    with Pipe() as held:
        done = bare(["timeout", "0.3", FAKEROOT_SC, "--", *READER], stdin=held.reader)
    assert done.returncode == 124
    command, supervisor = map(int, done.stdout.split())
    assert process_state(command) == ""
    with contextlib.suppress(ProcessLookupError):
        assert Watched(supervisor).ended()


def test_timeout_inside_works() -> None:
    with Pipe() as held:
        done = fake(["timeout", "0.3", "cat"], stdin=held.reader)
    assert (done.returncode, done.stderr) == (124, "")


def test_a_stop_signal_sent_to_command_stops_us_and_continuing_us_continues_it() -> None:
    with started(
        [FAKEROOT_SC, "--", *READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stdin
        command = int(process.stdout.readline().split()[0])
        os.kill(command, signal.SIGSTOP)
        info = os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert info and info.si_status == signal.SIGSTOP
        assert process_state(command) == "T"
        process.send_signal(signal.SIGCONT)
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.wait(PATIENCE) == 0


# --- What outlives what ------------------------------------------------------------------

LEAVES_DAEMON = dedent("""
    import os, sys
    print(os.getpid(), os.getppid(), flush=True)
    ready, said = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open("file", "w").close()
            os.chown("file", 12, 34)
            null = os.open("/dev/null", os.O_RDWR)
            for fd in range(3):
                os.dup2(null, fd)
            os.write(said, b"x")
            os.close(said)
            os.close(ready)
            with open("go") as go, open("result", "w") as result:
                go.read()
                before = os.stat("file")
                os.chown("file", 56, 78)
                after = os.stat("file")
                parent = os.getppid()
                print(before.st_uid, before.st_gid, after.st_uid, os.getuid(), parent, file=result)
        os._exit(0)
    os.read(ready, 1)
    os._exit(3)
""")


def test_a_daemon_left_behind_is_served_and_then_the_supervisor_ends(tmp_path: Path) -> None:
    for name in ("go", "result"):
        os.mkfifo(tmp_path / name)
    done = fake(python(LEAVES_DAEMON), cwd=tmp_path)
    # It returned, its output came to an end, and the daemon lives.
    assert (done.returncode, done.stderr) == (3, "")
    supervisor = Watched(int(done.stdout.split()[1]))
    assert not supervisor.ended(0)
    with (tmp_path / "go").open("w"):
        pass
    with (tmp_path / "result").open() as result:
        answer = read_to_end(result.fileno()).split()
    assert answer == ["12", "34", "56", "0", str(supervisor.pid)]
    assert supervisor.ended()


def test_output_ends_when_command_closes_it() -> None:
    command = python("import os; os.close(1); input()")
    with (
        Pipe() as output,
        started(
            [FAKEROOT_SC, "--", *command], stdin=subprocess.PIPE, stdout=output.writer
        ) as process,
    ):
        output.close_writer()
        assert read_to_end(output.reader) == ""
        assert process.poll() is None
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.close()
        process.stdin = None
        assert process.wait(PATIENCE) == 0


def test_writer_of_input_sees_command_close_it() -> None:
    command = python(
        "import os; print(1, flush=True); os.close(0); open(os.environ['FIFO']).read()"
    )
    with Pipe() as source, Pipe() as hold:
        environment = {**os.environ, "FIFO": f"/dev/fd/{hold.reader}"}
        with started(
            [FAKEROOT_SC, "--", *command],
            stdin=source.reader,
            stdout=subprocess.PIPE,
            env=environment,
            pass_fds=[hold.reader],
        ) as process:
            source.close_reader()
            watch = wait_for_no_reader(source.writer)
            assert watch(PATIENCE)
            assert process.poll() is None
            hold.close_writer()
            assert process.wait(PATIENCE) == 0


def wait_for_no_reader(fd: int) -> Callable[[float], bool]:
    """A wait for the last reader of a pipe to go."""
    poll = select.poll()
    poll.register(fd, 0)
    return lambda timeout: bool(poll.poll(timeout * 1000))


def test_killing_us_takes_command_and_supervisor_along() -> None:
    with started(
        [FAKEROOT_SC, "--", *READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        pids = map(int, process.stdout.readline().split())
        command, supervisor = map(Watched, pids)
        process.kill()
        assert process.wait(PATIENCE) == -signal.SIGKILL
        assert command.ended()
        assert supervisor.ended()


def test_killing_us_early_leaves_nothing_behind(tmp_path: Path) -> None:
    """At whatever point of the start: whoever still holds the pipe lives."""
    for _ in range(15):
        with Pipe() as held:
            code = "import os; os.read(0, 1)"
            process = subprocess.Popen(
                [FAKEROOT_SC, "--", *python(code)],
                stdin=subprocess.PIPE,
                stdout=held.writer,
                cwd=tmp_path,
            )
            held.close_writer()
            process.kill()
            assert process.wait(PATIENCE) == -signal.SIGKILL
            assert process.stdin
            assert read_to_end(held.reader, timeout=10) == ""
            process.stdin.close()


def test_a_killed_supervisor_is_told_and_ends_command() -> None:
    with started(
        [FAKEROOT_SC, "--", *READER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stderr
        pids = map(int, process.stdout.readline().split())
        command, supervisor = map(Watched, pids)
        supervisor.kill()
        assert process.wait(PATIENCE) == 125
        assert command.ended()
        said = process.stderr.read()
    assert said.startswith("fakeroot-sc: the supervisor was killed by signal 9 (Killed)")
    assert said.count("\n") == 1


def test_a_supervisor_killed_under_load_hangs_nothing(tmp_path: Path) -> None:
    code = dedent("""
        import os
        print(os.getppid(), flush=True)
        open("file", "w").close()
        for _ in range(3):
            os.fork()
        while True:
            try:
                os.chown("file", 1, 2)
            except OSError:
                os._exit(1)
    """)
    with started(
        [FAKEROOT_SC, "--", *python(code)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stderr
        supervisor = Watched(int(process.stdout.readline()))
        supervisor.kill()
        assert process.wait(PATIENCE) == 125
        # All eight have ended when the pipe does.
        assert read_to_end(process.stdout.fileno()) == ""
        assert "supervisor was killed" in process.stderr.read()


# --- Targets that die or are interrupted in the middle of a call -------------------------

STRESS = r"""
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
enum { WORKERS = 8, KILLS = 400 };
static void work(int number)
{
	char a[32], b[32];
	struct stat st;
	snprintf(a, sizeof(a), "a%d", number);
	snprintf(b, sizeof(b), "b%d", number);
	for (unsigned round = 0;; round++) {
		close(open(a, O_CREAT | O_WRONLY, 0644));
		chown(a, round, round + 1);
		stat(a, &st);
		chmod(a, 04755);
		rename(a, b);
		stat(b, &st);
		mknod(a, S_IFCHR | 0600, 0x103);
		unlink(a);
		unlink(b);
	}
}
int main(int argc, char **argv)
{
	pid_t workers[WORKERS];
	struct stat st;
	srandom((unsigned)atoi(argv[argc - 1]));
	for (int i = 0; i < WORKERS; i++)
		if ((workers[i] = fork()) == 0)
			work(i);
	close(open("own", O_CREAT | O_WRONLY, 0644));
	for (unsigned i = 1; i <= KILLS; i++) {
		// Work of a random length, so that the kill comes at a random point.
		for (long j = random() % 12; j >= 0; j--) {
			if (chown("own", i, (gid_t)j) || stat("own", &st))
				return 1;
			if (st.st_uid != i || st.st_gid != (gid_t)j)
				return 2;
		}
		int victim = (int)(random() % WORKERS), status;
		kill(workers[victim], SIGKILL);
		if (waitpid(workers[victim], &status, 0) != workers[victim])
			return 3;
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			return 4;
		if ((workers[victim] = fork()) == 0)
			work(victim);
	}
	for (int i = 0; i < WORKERS; i++) {
		kill(workers[i], SIGKILL);
		waitpid(workers[i], NULL, 0);
	}
	return 0;
}
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_targets_killed_at_random_points_do_no_harm(tmp_path: Path, seed: int) -> None:
    program = compile_c(tmp_path, "program", STRESS)
    script = f"{program} {seed}; chown 12:34 own; stat -c %u:%g own"
    assert fake_script(script, tmp_path) == "12:34\n"


INTERRUPTED = r"""
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
static volatile sig_atomic_t alarms;
static void count(int number) { (void)number; alarms++; }
// Without SA_RESTART a call may be interrupted before the supervisor has received
// it. It has done nothing then, and is repeated as programs do that catch signals.
#define MUST(call) \
	do \
		errno = 0; \
	while ((failed = (call)) && errno == EINTR && !restart); \
	if (failed) { \
		fprintf(stderr, "round %u: %s: %s\n", round, #call, strerror(errno)); \
		return 1; \
	}
int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = count};
	struct itimerval every = {{0, 1000}, {0, 1000}};
	struct stat st;
	int failed, restart = argc > 1 && atoi(argv[1]);
	action.sa_flags = restart ? SA_RESTART : 0;
	sigaction(SIGALRM, &action, NULL);
	close(open("file", O_CREAT | O_WRONLY, 0644));
	setitimer(ITIMER_REAL, &every, NULL);
	for (unsigned round = 1; round <= 20000 || alarms < 300; round++) {
		MUST(chown("file", round, round + 1));
		MUST(stat("file", &st));
		MUST(st.st_uid != round || st.st_gid != round + 1);
		MUST(chmod("file", round & 1 ? 0755 : 04711));
		MUST(lstat("file", &st));
		MUST(st.st_mode != (S_IFREG | (round & 1 ? 0755u : 04711u)));
		uid_t uid = getuid(); // which cannot report an error
		MUST(uid != 0 && (restart || uid != (uid_t)-EINTR));
		MUST(rename("file", "other"));
		MUST(rename("other", "file"));
		if (round % 16 == 0) {
			MUST(mknod("device", S_IFBLK | 0600, 0x811));
			MUST(unlink("device"));
		}
	}
	return 0;
}
"""


def test_signals_whose_handlers_restart_interrupt_no_call(tmp_path: Path) -> None:
    program = compile_c(tmp_path, "program", INTERRUPTED)
    done = fake([program, "1"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupted_call_has_done_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    program = compile_c(tmp_path, "program", INTERRUPTED)
    done = fake([program, "0"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_threads_that_are_cancelled_in_calls_do_no_harm(tmp_path: Path) -> None:
    """exit_group and execve end the other threads wherever they are."""
    source = r"""
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
static void *work(void *name)
{
	struct stat st;
	for (;;) {
		chown(name, 1, 2);
		stat(name, &st);
	}
	return NULL;
}
int main(int argc, char **argv)
{
	int left = atoi(argv[1]);
	char next[16];
	pthread_t thread;
	struct stat st;
	close(open("file", O_CREAT | O_WRONLY, 0644));
	for (int i = 0; i < 4; i++)
		pthread_create(&thread, NULL, work, "file");
	for (int i = 0; i < 20; i++)
		if (stat("file", &st))
			return 1;
	snprintf(next, sizeof(next), "%d", left - 1);
	if (left > 0)
		execl(argv[0], argv[0], next, NULL);
	return argc != 2;
}
"""
    program = compile_c(tmp_path, "program", source, "-pthread")
    assert fake_script(f"{program} 50; chown 3:4 file; stat -c %u:%g file", tmp_path) == "3:4\n"


# --- What COMMAND inherits ---------------------------------------------------------------


def both(
    command: list[str],
    prepare: Callable[[], object] | None = None,
    environment: dict[str, str] | None = None,
    pass_fds: tuple[int, ...] = (),
    cwd: Path | None = None,
) -> tuple[str, str]:
    """What a command prints when it is run bare and under fakeroot-sc."""
    outputs = []
    for prefix in ([], [FAKEROOT_SC, "--"]):
        done = bare(
            [*prefix, *command],
            preexec_fn=prepare,
            restore_signals=False,
            env=environment,
            pass_fds=pass_fds,
            cwd=cwd,
        )
        assert (done.returncode, done.stderr) == (0, "")
        outputs.append(str(done.stdout))
    return outputs[0], outputs[1]


def default_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def ignore_some() -> None:
    default_signals()
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGRTMIN):
        signal.signal(number, signal.SIG_IGN)


def block_some() -> None:
    default_signals()
    some = [signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD, signal.SIGRTMAX]
    signal.pthread_sigmask(signal.SIG_SETMASK, some)


@pytest.mark.parametrize("prepare", [default_signals, ignore_some, block_some])
def test_signal_dispositions_and_mask_are_inherited(prepare: Callable[[], None]) -> None:
    command = ["grep", "-E", "^(SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt):", "/proc/self/status"]
    plain, faked = both(command, prepare)
    assert faked == plain


def test_a_command_that_ignores_the_interrupt_key_survives_it() -> None:
    command = 'trap "" INT; "$@"'
    wait = "echo ready=$$; read line; echo got=$line; exit 4"
    with Terminal(["sh", "-c", command, "sh", FAKEROOT_SC, "--", "sh", "-c", wait]) as terminal:
        terminal.expect_number("ready")
        terminal.type("\x03")
        terminal.type("7\n")
        assert terminal.expect_number("got") == 7
        assert terminal.status() == 4


def test_nohup_protects_command_from_a_hang_up(tmp_path: Path) -> None:
    code = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    done = bare(["nohup", FAKEROOT_SC, "--", *python(code)], cwd=tmp_path)
    assert done.stdout == "True\n"


def test_limits_are_inherited() -> None:
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_STACK, (4 << 20, 5 << 20))

    for prepare in (None, lower):
        plain, faked = both(["cat", "/proc/self/limits"], prepare)
        assert faked == plain


def test_umask_directory_priority_and_flags_are_inherited(tmp_path: Path) -> None:
    def prepare() -> None:
        os.umask(0o137)
        os.nice(3)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    code = dedent("""
        import os
        mask = os.umask(0)
        print(oct(mask), os.getcwd(), os.nice(0), os.sched_getaffinity(0))
        for name in ("oom_score_adj", "timerslack_ns", "coredump_filter", "personality"):
            try:
                print(name, open(f"/proc/self/{name}").read())
            except PermissionError:
                print(name)
    """)
    plain, faked = both(python(code), prepare, cwd=tmp_path)
    assert faked == plain
    assert plain.startswith(f"0o137 {tmp_path} ")


@pytest.mark.parametrize(
    "environment",
    [
        {"PATH": "/usr/bin:/bin", "EMPTY": "", "LINES": "a\nb", "PYTHONPATH": "/nowhere"},
        {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONHOME": "/nowhere"},
        {"PATH": "/usr/bin:/bin", "LANG": "POSIX"},
        {"PATH": "/usr/bin:/bin"},
        {"PATH": "/usr/bin:/bin", "FAKEROOTKEY": "7"},
    ],
)
def test_environment_is_inherited_and_gains_two_variables(environment: dict[str, str]) -> None:
    plain, faked = both(["env", "-0"], environment=environment)
    added = ("FAKEROOTKEY=", "LD_PRELOAD=")
    ours = [entry for entry in faked.split("\0") if not entry.startswith(added)]
    assert ours == [entry for entry in plain.split("\0") if not entry.startswith(added)]
    assert faked.count("FAKEROOTKEY=") == 1
    if "FAKEROOTKEY" in environment:
        assert "FAKEROOTKEY=7" in faked


def test_environment_and_arguments_that_are_not_utf8_pass_unchanged() -> None:
    command = [b"printf", b"%s|%s", b"\xff\xfe argument", b""]
    for environment in ({"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}):
        done = subprocess.run(
            [FAKEROOT_SC.encode(), b"--", *command],
            capture_output=True,
            timeout=PATIENCE,
            check=True,
            env={"PATH": os.environ["PATH"], **environment},
        )
        assert done.stdout == b"\xff\xfe argument|"
        done = subprocess.run(
            [FAKEROOT_SC.encode(), b"--", b"env", b"-0"],
            capture_output=True,
            timeout=PATIENCE,
            check=True,
            env={b"PATH": os.fsencode(os.environ["PATH"]), b"ODD": b"\xff\xfe"},
        )
        assert b"ODD=\xff\xfe\0" in done.stdout


def list_descriptors() -> list[str]:
    """A command that prints what is open in it, but for the listing itself."""
    return python(
        "import os\n"
        "for fd in sorted(map(int, os.listdir('/proc/self/fd'))):\n"
        "    try:\n"
        "        print(fd, os.readlink(f'/proc/self/fd/{fd}').partition(':')[0],\n"
        "              os.get_inheritable(fd))\n"
        "    except OSError:\n"
        "        pass\n"
    )


def test_descriptors_are_inherited_and_none_is_added(tmp_path: Path) -> None:
    file = os.open(tmp_path / "inherited", os.O_CREAT | os.O_RDWR)
    high = os.dup2(file, 900)
    try:
        plain, faked = both(list_descriptors(), pass_fds=(file, high))
    finally:
        os.close(file)
        os.close(high)
    assert faked == plain
    assert "\n900 " in plain


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_command_runs_with_standard_descriptors_closed(tmp_path: Path, closed: str) -> None:
    listings = []
    for prefix in ("", f"{FAKEROOT_SC} -- "):
        script = f"{prefix}sh -c 'ls -l /proc/$$/fd >listing 2>errors; exit 7' {closed}"
        done = bare(["sh", "-c", script], cwd=tmp_path)
        assert done.returncode == 7
        lines = (tmp_path / "listing").read_text().splitlines()[1:]
        (tmp_path / "listing").unlink()
        listings.append(sorted(line.split()[-3] for line in lines))
    assert listings[0] == listings[1]


def test_a_line_written_to_an_inherited_descriptor_arrives() -> None:
    with Pipe() as pipe:
        done = fake(["sh", "-c", "echo hello >&7"], preexec_fn=lambda: os.dup2(pipe.writer, 7),
                    close_fds=False)  # fmt: skip
        pipe.close_writer()
        assert (done.returncode, read_to_end(pipe.reader)) == (0, "hello\n")


def test_process_group_session_and_terminal_are_inherited() -> None:
    code = "import os; print(os.getpgrp(), os.getsid(0), os.isatty(0), os.getppid() != 1)"
    for prefix in ([], [FAKEROOT_SC, "--"]):
        with started(
            [*prefix, *python(code)], stdout=subprocess.PIPE, start_new_session=True
        ) as process:
            assert process.stdout
            group, session, *_ = process.stdout.read().split()
            assert (int(group), int(session)) == (process.pid, process.pid)


def test_command_is_in_the_foreground_of_its_terminal() -> None:
    code = "import os; print(f'ours={int(os.tcgetpgrp(0) == os.getpgrp())}', os.ttyname(0))"
    with Terminal([FAKEROOT_SC, "--", *python(code)]) as terminal:
        assert terminal.process.poll() in (None, 0)
        terminal.expect("ours=1 /dev/pts/")
        assert terminal.status() == 0


def test_an_interactive_shell_has_job_control() -> None:
    command = [FAKEROOT_SC, "--", "bash", "--norc", "--noediting", "-i"]
    environment = {**os.environ, "PS1": "prompt> ", "HISTFILE": ""}
    with Terminal(command, environment) as terminal:
        terminal.expect("prompt> ")
        terminal.type("sh -c 'echo ready=$$; read line; echo got=$line'\n")
        terminal.expect("\n")  # the echo of what was typed
        inner = terminal.expect_number("ready")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        assert process_state(inner) == "T"
        terminal.expect("prompt> ")
        terminal.type("fg\n")
        terminal.expect("sh -c")  # fg says what it continues
        terminal.expect("\n")
        terminal.type("5\n")
        assert terminal.expect_number("got") == 5
        terminal.expect("prompt> ")
        terminal.type("echo own=$(id -u); exit 6\n")
        terminal.expect("own=$(id")
        assert terminal.expect_number("own") == 0
        assert terminal.status() == 6


# --- Limits of resources -----------------------------------------------------------------

USES_MANY = r"""
set -e
i=0
while [ $i -lt 40 ]; do touch f$i; (chown $i f$i) & i=$((i + 1)); done
wait
stat -c %u f0 f39
"""


def test_64_descriptors_are_enough(tmp_path: Path) -> None:
    done = bare(["sh", "-c", f"ulimit -n 64; exec {FAKEROOT_SC} -- sh -c '{USES_MANY}'"],
                cwd=tmp_path)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n39\n", "")


def test_few_descriptors_that_are_all_in_use_are_command_s_own_affair(tmp_path: Path) -> None:
    code = dedent("""
        import os
        open("file", "w").close()
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        os.chown("file", 12, 34)
        print(len(held) > 50, os.stat("file").st_uid, os.stat(held[-1]).st_uid)
    """)
    done = bare(
        [FAKEROOT_SC, "--", *python(code)],
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True 12 0\n", "")


def test_the_highest_limit_of_descriptors_works(tmp_path: Path) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    done = bare(["sh", "-c", f"ulimit -n {most}; exec {FAKEROOT_SC} -- sh -c '{USES_MANY}'"],
                cwd=tmp_path)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n39\n", "")


@pytest.mark.parametrize(
    "limit", ["-v 1000000", "-v 200000", "-v 60000", "-v 25000", "-f 0", "-f 8", "-d 20000",
              "-n 20", "-n 10", "-n 5", "-l 0", "-s 256", "-q 0", "-i 0"],
)  # fmt: skip
def test_a_low_limit_works_or_fails_clearly(tmp_path: Path, limit: str) -> None:
    script = f"ulimit {limit} || exit 77; exec {FAKEROOT_SC} -- sh -c 'chown 12 . && stat -c %u .'"
    done = bare(["bash", "-c", script], cwd=tmp_path)
    if done.returncode == 77:
        pytest.skip(f"ulimit {limit} is not permitted here")
    if done.returncode == 0:
        assert (done.stdout, done.stderr) == ("12\n", "")
    else:
        # A limit under which nothing can start is the dynamic loader's or Python's
        # to tell; else it is ours.  Nothing may run half-faked.
        assert done.stdout == ""
        assert done.returncode in (125, 127), done
        assert done.stderr != ""


# --- What is left ------------------------------------------------------------------------


def is_fakeroot_s_daemon(process: Path) -> bool:
    with contextlib.suppress(OSError):
        return (process / "comm").read_text().startswith("faked")
    return False


def test_no_files_and_no_ipc_objects_are_left(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("home", "tmp", "run", "work")]
    for place in places:
        place.mkdir()

    def shared() -> set[str]:
        names = {str(path) for place in ("/tmp", "/dev/shm") for path in Path(place).iterdir()}
        names = {name for name in names if "fakeroot" in name}
        for kind in ("shm", "sem", "msg"):
            with contextlib.suppress(FileNotFoundError):
                names |= set(Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:])
        return names

    before = shared()
    environment = {**os.environ, "HOME": str(places[0]), "TMPDIR": str(places[1])}
    environment["XDG_RUNTIME_DIR"] = str(places[2])
    script = "touch a; chown 12 a; mknod b c 1 3; rm a b"
    done = fake(["sh", "-ec", script], cwd=places[3], env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    left = shared() - before
    # Other tests run fakeroot itself, whose daemon has such objects while it lives.
    if left and any(map(is_fakeroot_s_daemon, Path("/proc").glob("[0-9]*"))):
        left = {name for name in left if name.startswith("/")}
    assert left & shared() == set()
    assert [list(place.iterdir()) for place in places] == [[], [], [], []]


def test_the_supervisor_ends_with_command() -> None:
    done = fake(python("import os; print(os.getppid())"))
    with contextlib.suppress(ProcessLookupError):
        assert Watched(int(done.stdout)).ended()


def test_twenty_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    for name in ("go", "file"):
        (tmp_path / name).touch()
    script = "chown $0 file; stat -c %u file"
    running = [
        subprocess.Popen(
            [FAKEROOT_SC, "--", "sh", "-c", script, str(number)],
            cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        )
        for number in range(1, 21)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=PATIENCE)[0] for process in running]
    assert outputs == [f"{number}\n" for number in range(1, 21)]


# --- Nested use --------------------------------------------------------------------------


def test_nested_use_joins_the_outer_session(tmp_path: Path) -> None:
    script = f"""
        touch file; chown 1:2 file
        {FAKEROOT_SC} -- sh -c 'stat -c %u:%g file; chown 12:34 file; mknod device c 1 3'
        stat -c '%u:%g %F' file device
    """
    assert fake_script(script, tmp_path).splitlines() == [
        "1:2",
        "12:34 regular empty file",
        "0:0 character special file",
    ]


@pytest.mark.parametrize("script", ["exit 0", "exit 9", "kill -TERM $$", "kill -KILL $$"])
def test_nested_use_passes_the_status_on(script: str) -> None:
    expected = fake(["sh", "-c", script]).returncode
    for depth in (1, 2):
        nested = [FAKEROOT_SC, "--"] * depth
        done = fake([*nested, "sh", "-c", script])
        assert (done.returncode, done.stderr) == (expected, "")


@pytest.mark.parametrize(("name", "status"), [("no-such-command", 127), ("/etc/passwd", 126)])
def test_nested_use_names_a_command_that_cannot_run(tmp_path: Path, name: str, status: int) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    for path in (os.environ["PATH"], f"{closed}:{os.environ['PATH']}"):
        done = fake([FAKEROOT_SC, "--", name], env={**os.environ, "PATH": path})
        assert done.returncode == status
        assert done.stderr.startswith(f"fakeroot-sc: {name}: ")
    closed.chmod(0o700)


def test_nested_use_runs_a_script_without_interpreter_line(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("id -u\nexit 3\n")
    script.chmod(0o755)
    done = fake([FAKEROOT_SC, "--", script])
    assert (done.returncode, done.stdout, done.stderr) == (3, "0\n", "")


def test_nested_use_keeps_key_and_environment() -> None:
    script = f'echo $FAKEROOTKEY; {FAKEROOT_SC} -- sh -c "echo \\$FAKEROOTKEY"'
    first, second = fake_output(["sh", "-c", script]).split()
    assert first == second


def test_nested_use_obeys_the_terminal(tmp_path: Path) -> None:
    wait = f"{FAKEROOT_SC} -- sh -c 'echo ready=$$; read line'; echo after"
    with Terminal([FAKEROOT_SC, "--", "bash", "-c", wait]) as terminal:
        terminal.expect_number("ready")
        terminal.type("\x03")
        assert terminal.status() == -signal.SIGINT
        assert "after" not in terminal.rest()


def test_nested_use_sees_signals_sent_to_the_inner_command(result_fifo: Path) -> None:
    code = dedent("""
        import os, subprocess, sys
        inner = subprocess.Popen(sys.argv[1:])
        with open(os.environ["STARTED"]) as go:
            go.read()
        inner.terminate()
        sys.exit(inner.wait())
    """)
    go = result_fifo.with_name("started")
    os.mkfifo(go)
    environment = {**os.environ, "RESULT": str(result_fifo), "STARTED": str(go)}
    command = [*python(code), FAKEROOT_SC, "--", *python(REPORTS_SIGNALS)]
    with started([FAKEROOT_SC, "--", *command], env=environment, stdout=subprocess.PIPE) as process:
        with result_fifo.open() as result:
            go.write_text("")
            assert read_line(result.fileno()) == "SIGTERM"
        assert process.wait(PATIENCE) == 0


# --- Targets that cannot be read ---------------------------------------------------------

NOT_DUMPABLE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct stat st;
	if (argc > 1)
		prctl(PR_SET_DUMPABLE, 0);
	close(open("file", O_CREAT | O_WRONLY, 0644));
	for (int i = 0; i < 20; i++) {
		chown("file", 12, 34);
		stat("file", &st);
		getuid();
	}
	return 0;
}
"""


def test_a_process_that_cannot_be_read_does_not_hang_and_is_told_once(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root can read every process: run the tests as an ordinary user")
    program = compile_c(tmp_path, "program", NOT_DUMPABLE)
    script = f"{program} closed; {program} closed; touch new; chown 5:6 new; stat -c %u:%g new"
    done = fake(["sh", "-c", script], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "5:6\n")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("fakeroot-sc: process ")


def test_a_program_that_may_not_be_read_by_its_file_s_mode_runs(tmp_path: Path) -> None:
    """The kernel closes the memory of a program whose file the user may not read."""
    program = compile_c(tmp_path, "program", NOT_DUMPABLE)
    program.chmod(0o111)
    done = fake([program], cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("\n") <= 1
