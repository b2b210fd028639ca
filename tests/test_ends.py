"""Who outlives whom: daemons, killed processes, and what is left behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from commands import (
    FAKEROOT_SC,
    PATIENCE,
    READER,
    Pipe,
    Watched,
    dedent,
    fake,
    python,
    read_to_end,
    started,
)

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


def test_a_supervisor_killed_under_load_takes_all_targets_along(tmp_path: Path) -> None:
    """With the shim they could go on for ever, without anybody to remember what they do."""
    code = dedent("""
        import os
        print(os.getppid(), flush=True)
        open("file", "w").close()
        for _ in range(3):
            os.fork()
        if os.getpid() % 2:
            os.setsid()
        os.chown("file", 1, 2)
        os.write(1, b"changed\\n")
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
        assert [process.stdout.readline() for _ in range(8)] == ["changed\n"] * 8
        supervisor.kill()
        assert process.wait(PATIENCE) == 125
        # All eight have ended when the pipe does.
        assert read_to_end(process.stdout.fileno()) == ""
        assert "supervisor was killed" in process.stderr.read()


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
