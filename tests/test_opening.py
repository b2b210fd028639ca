# SPDX-License-Identifier: Apache-2.0
"""Root opens what its mode would keep from the user."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import installed
import pytest
from commands import bare, need
from conftest import Run

only_by_shim = pytest.mark.skipif(not installed.has_shim(), reason="the shim is turned off")


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """Files and directories that lay there before, without any permission."""
    (tmp_path / "locked" / "inner").mkdir(parents=True)
    for name in ("plain", "locked/inner/file"):
        (tmp_path / name).write_text("text\n")
        (tmp_path / name).chmod(0)
    for name in ("locked/inner", "locked"):
        (tmp_path / name).chmod(0)
    return tmp_path


READERS = (
    "cat plain locked/inner/file",
    "awk '{print}' plain locked/inner/file",
    "python3 -c \"print(open('plain').read() + open('locked/inner/file').read(), end='')\"",
    "cd locked/inner && cat ../../plain file",
    "sh -c 'cat <plain; cat <locked/inner/file'",
)


@only_by_shim
@pytest.mark.parametrize("command", READERS)
def test_dynamic_programs_open_what_lay_there_closed(run: Run, closed: Path, command: str) -> None:
    done = run("sh", "-c", command, cwd=closed)
    assert done.stdout == "text\ntext\n", done.stderr


@only_by_shim
def test_closed_directories_are_walked_and_keep_their_modes(run: Run, closed: Path) -> None:
    done = run("find", ".", "-printf", "%p %m\n", cwd=closed)
    shown = dict(line.split() for line in done.stdout.splitlines())
    assert shown.keys() == {
        ".", "./plain", "./locked", "./locked/inner", "./locked/inner/file"
    }, done.stderr  # fmt: skip
    assert {shown[name] for name in shown if name != "."} == {"0"}


def test_a_look_passes_closed_directories(run: Run, closed: Path) -> None:
    done = run("stat", "-c", "%a %n", "locked/inner/file", "locked/inner", "locked", cwd=closed)
    assert done.stdout.split()[::2] == ["0", "0", "0"], done.stderr
    assert stat.S_IMODE((closed / "locked").stat().st_mode) == 0o700


def test_others_files_stay_closed(run: Run) -> None:
    done = run("cat", "/etc/shadow")
    assert done.returncode != 0 or Path("/etc/shadow").stat().st_uid == 0


@pytest.mark.parametrize("mask", ["777", "277", "577"])
@only_by_shim
def test_a_umask_that_locks_the_owner_out_shows_and_does_not_lock(
    run: Run, tmp_path: Path, mask: str
) -> None:
    script = f"umask {mask}; echo a >f; echo b >>f; cat f; mkdir d; : >d/x; stat -c %a f d d/x"
    done = run("sh", "-c", script, cwd=tmp_path)
    mode = ~int(mask, 8)
    expected = [f"{0o666 & mode:o}", f"{0o777 & mode:o}", f"{0o666 & mode:o}"]
    assert done.stdout.split() == ["a", "b", *expected], done.stderr


def test_streams_are_opened_as_by_libc(run: Run, tmp_path: Path) -> None:
    script = (
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "libc.fopen.restype = ctypes.c_void_p\n"
        "for mode in (b'w', b'r', b'r+', b'a+e', b'wx', b'q', b'r,ccs=UTF-8', b'rm'):\n"
        "    ctypes.set_errno(0)\n"
        "    made = libc.fopen(b'stream', mode)\n"
        "    print(mode.decode(), bool(made), ctypes.get_errno())\n"
    )
    done = run("python3", "-c", script, cwd=tmp_path)
    assert [line.split()[1:] for line in done.stdout.splitlines()] == [
        ["True", "0"], ["True", "0"], ["True", "0"], ["True", "0"], ["False", "17"],
        ["False", "22"], ["True", "0"], ["True", "0"],
    ], done.stderr  # fmt: skip


@only_by_shim
def test_directories_that_are_not_writable_are_written_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "fixed" / "below").mkdir(parents=True)
    (tmp_path / "fixed" / "file").touch()
    (tmp_path / "fixed").chmod(0o555)
    script = (
        "mkdir fixed/made && ln -s x fixed/link && rm fixed/file && rmdir fixed/below &&"
        " mv fixed/made fixed/moved && echo text >fixed/new && stat -c %a fixed && rm -r fixed"
    )
    done = run("sh", "-c", script, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "555\n"), done.stderr
    assert not (tmp_path / "fixed").exists()


TEMPORARIES = """
import ctypes, os, stat
libc = ctypes.CDLL(None, use_errno=True)
libc.mkdtemp.restype = ctypes.c_char_p
def made(name, template, *more):
    text = ctypes.create_string_buffer(template)
    ctypes.set_errno(0)
    fd = getattr(libc, name)(text, *more)
    if fd in (-1, None):
        return ctypes.get_errno()
    shown = os.stat(text.value)
    fits = text.value != template and len(text.value) == len(template)
    fits = fits and text.value.startswith(template.split(b'X')[0])
    if name == 'mkdtemp':
        return fits, fd == text.value, oct(shown.st_mode), shown.st_uid
    import fcntl
    flags = fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_APPEND)
    cloexec = fcntl.fcntl(fd, fcntl.F_GETFD)
    same = os.fstat(fd).st_ino == shown.st_ino and text.value.endswith(template.split(b'X')[-1])
    return fits, same, oct(shown.st_mode), shown.st_uid, flags, cloexec
for large in ('', '64'):
    print(made('mkstemp' + large, b'fixed/aXXXXXX'))
    print(made('mkstemps' + large, b'fixed/aXXXXXX.c', 2))
    print(made('mkostemp' + large, b'fixed/aXXXXXX', os.O_APPEND | os.O_CLOEXEC | os.O_WRONLY))
    print(made('mkostemps' + large, b'fixed/aXXXXXX.cc', 3, os.O_CLOEXEC))
print(made('mkdtemp', b'fixed/aXXXXXX'))
print([made('mkstemp', text) for text in (b'', b'XXXXX', b'aXXXXXXb', b'none/XXXXXX', b'f/XXXXXX')])
print([made('mkdtemp', text) for text in (b'', b'XXXXX', b'aXXXXXXb', b'none/XXXXXX', b'f/XXXXXX')])
print([made('mkstemps', b'XXXXXX.c', length) for length in (-1, 1, 3, 100)])
for number in range(50):
    made('mkstemp', b'fixed/nXXXXXX')
print(len(os.listdir('fixed')))
"""


@only_by_shim
def test_temporary_files_are_made_as_by_libc(run: Run, tmp_path: Path) -> None:
    (tmp_path / "program").write_text(TEMPORARIES)
    shown = []
    for mode in (0o755, 0o555):
        (tmp_path / "f").touch()
        (tmp_path / "fixed").mkdir()
        (tmp_path / "fixed").chmod(mode)
        command = ["python3", "-I", "-S", "program"]
        if mode == 0o755:
            text = bare(command, cwd=tmp_path).stdout.replace(f", {os.getuid()}", ", 0")
        else:
            done = run(*command, cwd=tmp_path)
            assert done.stderr == ""
            text = done.stdout
        shown.append(text)
        shutil.rmtree(tmp_path / "fixed")
    assert shown[0] == shown[1]
    assert shown[0].count("True, True") == 9


@only_by_shim
def test_attributes_and_sizes_of_closed_files_are_root_s(run: Run, closed: Path) -> None:
    try:
        (closed / "plain").chmod(0o600)
        os.setxattr(closed / "plain", "user.one", b"value")
    except OSError:
        pytest.skip("the file system has no extended attributes")
    (closed / "plain").chmod(0)
    script = (
        "import os; print(os.getxattr('plain', 'user.one'))\n"
        "os.truncate('locked/inner/file', 2)\n"
        "print(os.stat('plain').st_mode & 0o7777, os.stat('locked/inner/file').st_size)\n"
    )
    done = run("python3", "-c", script, cwd=closed)
    assert done.stdout == "b'value'\n0 2\n", done.stderr


@only_by_shim
def test_a_program_that_may_be_executed_only_is_served(run: Run, closed: Path) -> None:
    shutil.copy(need("stat", "coreutils"), closed / "program")
    (closed / "program").chmod(0o111)
    done = run("./program", "-c", "%u %a", "program", cwd=closed)
    assert (done.stdout, done.stderr) == ("0 111\n", "")


@only_by_shim
@pytest.mark.parametrize(
    "command",
    [
        "mv fixed/below fixed/file .",
        "mv -n fixed/below fixed/file .",
        "mv fixed/file fixed/below/",
        "ln fixed/file linked",
        "ln open fixed/linked",
    ],
)
def test_files_are_moved_out_of_and_linked_into_such_directories(
    run: Run, tmp_path: Path, command: str
) -> None:
    (tmp_path / "fixed" / "below").mkdir(parents=True)
    (tmp_path / "fixed" / "file").touch()
    (tmp_path / "open").touch()
    for name in ("fixed/below", "fixed"):
        (tmp_path / name).chmod(0o555)
    done = run("sh", "-c", f"{command} && stat -c %a fixed", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "555\n"), done.stderr
