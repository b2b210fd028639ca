# SPDX-License-Identifier: Apache-2.0
"""What the shim promises to the programs that it lives in, and to those that cannot take it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import installed
import pytest
from commands import (
    FAKEROOT_SC,
    PYTHON,
    bare,
    can_compile,
    compile_c,
    dedent,
    fake,
    fake_output,
    need,
    python,
)

from fakeroot_sc import _core

PACKAGE = Path(_core.__file__).parent
SHIMS = {"x86-64": PACKAGE / "shim64.so", "i386": PACKAGE / "shim32.so"}
SOURCE = Path(__file__).parent / "programs" / "shim.c"

# musl-gcc looks for headers in its own places only.
KERNEL_HEADERS = ("-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu")

BUILDS = {
    "glibc": ("gcc", ()),
    "musl": ("musl-gcc", KERNEL_HEADERS),
    "i386": ("gcc", ("-m32",)),
    "i386-lfs": ("gcc", ("-m32", "-D_FILE_OFFSET_BITS=64")),
    "i386-time64": ("gcc", ("-m32", "-D_FILE_OFFSET_BITS=64", "-D_TIME_BITS=64")),
}
MUSL_LOADER = Path("/lib/ld-musl-x86_64.so.1")
LACKING = 77

INTERPOSED = {
    "access", "chmod", "chown", "eaccess", "euidaccess", "faccessat", "fchmod", "fchmodat",
    "fchown", "fchownat", "fsetxattr", "fstat", "fstat64", "fstatat", "fstatat64", "getegid",
    "geteuid", "getgid", "getgroups", "getresgid", "getresuid", "getuid", "lchown", "lsetxattr",
    "link", "linkat", "lstat", "lstat64", "mknod", "mknodat", "remove", "rename", "renameat",
    "renameat2", "rmdir", "setxattr", "stat", "stat64", "statx", "unlink", "unlinkat",
    "__fxstat", "__fxstat64",
    "__fxstatat", "__fxstatat64", "__lxstat", "__lxstat64", "__xmknod", "__xmknodat", "__xstat",
    "__xstat64", "open", "open64", "openat", "openat64", "creat", "creat64", "__open_2",
    "__open64_2", "__openat_2", "__openat64_2", "mkdir", "mkdirat", "symlink", "symlinkat",
    "chdir", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr",
    "flistxattr", "fopen", "fopen64", "opendir", "mkdtemp", "mkstemp", "mkstemp64", "mkostemp",
    "mkostemp64", "mkstemps", "mkstemps64", "mkostemps", "mkostemps64",
}  # fmt: skip
FTS = {
    f"{prefix}_{name}"
    for prefix in ("fts", "fts64")
    for name in ("open", "read", "children", "set", "close")
}
TIME64 = {"__stat64_time64", "__lstat64_time64", "__fstat64_time64", "__fstatat64_time64"}

pytestmark = pytest.mark.skipif(not installed.has_shim(), reason="the shim is turned off")


needs_calls_that_do_not_stop = pytest.mark.skipif(
    installed.stops_every_call(), reason="--mode ptrace-all stops every call"
)


@pytest.fixture(autouse=True)
def no_search_for_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """AddressSanitizer's looks for leaks as a tracer, which a traced process cannot have."""
    if installed.is_traced():
        monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")


Programs = Callable[[str], Path]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """Builds of programs/shim.c by name, each made once; skips where one cannot be made."""
    directory = tmp_path_factory.mktemp("shim")
    made: dict[str, Path | str] = {}

    def build(name: str) -> Path | str:
        compiler, flags = BUILDS[name]
        need(compiler, {"musl-gcc": "musl-tools"}.get(compiler, compiler))
        if name == "musl" and not MUSL_LOADER.exists():
            return f"{MUSL_LOADER} is missing (Debian package musl)"
        place = directory / name
        place.mkdir()
        done = bare(
            [compiler, "-O1", "-D_GNU_SOURCE", "-pthread", *flags, "-o", place / "shim", SOURCE],
            env={**os.environ, "TMPDIR": str(place)},
        )
        if done.returncode and "-m32" in flags:
            return "this gcc cannot link i386 programs (Debian package gcc-multilib)"
        assert done.returncode == 0, done.stderr
        return place / "shim"

    def program(name: str) -> Path:
        if name not in made:
            made[name] = build(name)
        found = made[name]
        if isinstance(found, str):
            pytest.skip(found)
        return found

    return program


@pytest.fixture(params=list(BUILDS))
def program(request: pytest.FixtureRequest, programs: Programs) -> Path:
    """The program in each build in turn."""
    return programs(str(request.param))


@pytest.fixture
def program64(programs: Programs) -> Path:
    """The program for the machine's own ABI and libc."""
    return programs("glibc")


def keeps(command: list[str | Path], directory: Path, before: str = "", **more: object) -> None:
    """Runs a promise in a session, in a directory with a plain and a recorded file."""
    (directory / "plain").touch()
    (directory / "recorded").touch()
    script = f'chown 5:6 recorded; {before} exec "$@"'
    done = fake(["sh", "-euc", script, "sh", *command], cwd=directory, timeout=90, **more)
    if done.returncode == LACKING:
        pytest.skip(done.stdout.strip())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- The object --------------------------------------------------------------------------


def symbols(shim: Path, *flags: str) -> dict[str, set[str]]:
    """The dynamic symbols by their kind in nm(1)."""
    found: dict[str, set[str]] = {}
    for line in bare([need("nm", "binutils"), "-D", *flags, shim]).stdout.splitlines():
        kind, name = line.split()[-2:]
        found.setdefault(kind, set()).add(name)
    return found


@pytest.mark.parametrize("abi", SHIMS)
def test_the_object_needs_no_library_and_defines_only_what_it_interposes(abi: str) -> None:
    shim = SHIMS[abi]
    if not shim.exists():
        pytest.skip("built by a compiler that makes no i386 objects")
    found = symbols(shim)
    libc = {"__errno_location", "gnu_get_libc_version", "_r_debug", "_dl_debug_addr"}
    if abi == "x86-64":  # for fts(3)
        libc |= {"malloc", "free", "qsort", "dlsym", "dladdr", "dlopen"}
    assert found.pop("w") == libc
    wide = {"bind", "utimensat", "futimens", "truncate", "truncate64"}
    assert found == {"T": INTERPOSED | (TIME64 if abi == "i386" else FTS | wide)}
    dynamic = bare([need("readelf", "binutils"), "-dW", shim]).stdout
    assert "NEEDED" not in dynamic
    assert "TEXTREL" not in dynamic


@pytest.mark.parametrize("abi", SHIMS)
def test_the_object_is_small(abi: str) -> None:
    """Two segments: one that all programs share, and one that each has for itself.

    A page of the second costs memory and a fault in every process.  How long the first is
    depends on the compiler (45 to 51 KB by gcc 12 to 16), so its bound is a wide one.
    """
    lines = bare([need("readelf", "binutils"), "-lW", SHIMS[abi]]).stdout.splitlines()
    loaded = [line.split() for line in lines if line.split()[:1] == ["LOAD"]]
    assert ["W" in "".join(line[6:-1]) for line in loaded] == [False, True]
    shared, own = ((int(line[2], 16), int(line[5], 16)) for line in loaded)
    assert shared[1] <= 64 << 10
    assert sum(own) - (own[0] & -4096) <= 2 * 4096


def test_outside_of_a_session_it_steps_aside(program: Path, tmp_path: Path) -> None:
    abi = "i386" if "i386" in str(program) else "x86-64"
    (tmp_path / "plain").touch()
    command = [program, "errno", "plain"] if os.geteuid() == 0 else [need("ls", "coreutils"), "-ln"]
    if command[0] != program and abi == "i386":
        pytest.skip("needs an i386 program that looks at ids")
    plain = bare(command, cwd=tmp_path)
    (tmp_path / "plain").touch()
    loaded = bare(command, cwd=tmp_path, env={**os.environ, "LD_PRELOAD": str(SHIMS[abi])})
    assert (loaded.returncode, loaded.stderr) == (plain.returncode, plain.stderr)
    assert loaded.stdout.splitlines() == plain.stdout.splitlines()


# --- The program it lives in -------------------------------------------------------------


@needs_calls_that_do_not_stop
def test_looks_are_answered_without_the_supervisor(program: Path, tmp_path: Path) -> None:
    keeps([program, "alone", "plain", "recorded"], tmp_path)


@needs_calls_that_do_not_stop
def test_a_walk_needs_no_supervisor_for_its_looks(program64: Path, tmp_path: Path) -> None:
    before = "mkdir -p walk/dir; touch walk/dir/file; mknod walk/disk b 8 1;"
    before += "chown 5:6 walk/dir/file walk/disk;"
    keeps([program64, "walk", "walk"], tmp_path, before=before)


def test_errno_is_set_on_failure_only(program: Path, tmp_path: Path) -> None:
    if "i386" in str(program):
        pytest.skip("i386 libcs crash for a bad pointer by themselves")
    keeps([program, "errno", "plain"], tmp_path)


def test_the_pass_does_not_outlive_the_call(program64: Path, tmp_path: Path) -> None:
    keeps([program64, "cleared", "plain"], tmp_path)


def test_a_signal_handler_does_not_find_the_pass(program64: Path, tmp_path: Path) -> None:
    keeps([program64, "handler", "plain"], tmp_path)


def test_a_child_after_vfork_may_look(program: Path, tmp_path: Path) -> None:
    keeps([program, "vfork", "plain", "recorded"], tmp_path)


@pytest.mark.parametrize("build", ["glibc", "musl", "i386"])
def test_many_threads_may_look_at_once(programs: Programs, build: str, tmp_path: Path) -> None:
    count = "10000" if build == "glibc" and not installed.OPTIONS else "500"
    keeps([programs(build), "threads", count, "plain", "recorded"], tmp_path)


def test_many_threads_may_change_owners_at_once(program: Path, tmp_path: Path) -> None:
    keeps([program, "owners"], tmp_path)


def test_records_beyond_the_first_mapping_are_found(program: Path, tmp_path: Path) -> None:
    keeps([program, "grow", "15500", "0"], tmp_path)


def test_records_are_found_where_no_more_can_be_mapped(program: Path, tmp_path: Path) -> None:
    keeps([program, "grow", "15500", "1"], tmp_path)


def test_little_address_space_is_enough(program: Path, tmp_path: Path) -> None:
    keeps([program, "vfork", "plain", "recorded"], tmp_path, before="ulimit -v 40000;")


def test_no_descriptor_is_needed_or_left(program64: Path, tmp_path: Path) -> None:
    # Loading libc takes one, too.
    keeps([program64, "cleared", "plain"], tmp_path, before="ulimit -n 4;")
    listed = fake_output(["ls", "-l", "/proc/self/fd"])
    assert "inode table" not in listed


@pytest.mark.parametrize("promise", ["sandbox", "thread-sandbox", "one-call"])
def test_a_program_with_a_filter_of_its_own_lives(
    promise: str, program: Path, tmp_path: Path
) -> None:
    keeps([program, promise, "plain", "recorded"], tmp_path)


def test_a_program_started_behind_a_filter_lives(program: Path, tmp_path: Path) -> None:
    keeps([program, "sandboxed", program, "vfork", "plain", "recorded"], tmp_path)


@needs_calls_that_do_not_stop
def test_a_filter_of_one_program_slows_no_other(program: Path, tmp_path: Path) -> None:
    keeps([program, "beside", "plain", "recorded"], tmp_path)


def test_a_signal_does_not_interrupt_a_change(program: Path, tmp_path: Path) -> None:
    keeps([program, "interrupted", "plain"], tmp_path)


VALGRIND_C = """
#include <sys/stat.h>
int main(void) {
    struct stat st;
    return stat("recorded", &st) || st.st_uid != 5;
}
"""


def test_a_checker_of_memory_finds_no_fault(tmp_path: Path) -> None:
    program = compile_c(tmp_path, "looks", VALGRIND_C, "-g")
    keeps([need("valgrind", "valgrind"), "-q", "--error-exitcode=9", program], tmp_path)


CHANGED_C = """
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static void make(const char *text, int length)
{
    int fd = open("file", O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd < 0 || write(fd, text, length) != length || close(fd))
        _exit(1);
}
int main(void)
{
    int wrong = 0, status;
    pid_t writer = fork();
    if (writer == 0) {
        for (int round = 0; round < 1500; round++) {
            make("1", 1);
            unlink("file");
            make("22", 2);
            if (chown("file", 5, 5))
                _exit(1);
            unlink("file");
        }
        _exit(0);
    }
    while (waitpid(writer, &status, WNOHANG) == 0) {
        struct stat st;
        // 0 bytes may be the second file's, seen before its owner was.
        wrong += stat("file", &st) == 0 && st.st_uid == 5 && st.st_size == 1;
    }
    printf("%d %d\\n", status, wrong);
}
"""


def test_a_look_never_mixes_two_files_of_one_number(tmp_path: Path) -> None:
    """A new file at the path of a removed one often has its inode number."""
    program = compile_c(tmp_path, "changed", CHANGED_C)
    assert fake_output([program], cwd=tmp_path) == "0 0\n"


ODD_FLAGS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for flags in (0x100, 0x1000, 0x1100, 0x200, 1, -1):
    ctypes.set_errno(0)
    print(flags, libc.fchmodat(-100, b"plain", 0o640, flags), ctypes.get_errno())
"""


def test_flags_that_the_libc_refuses_are_refused(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    shown = fake_output([*PYTHON, "-c", ODD_FLAGS], cwd=tmp_path)
    assert shown == fake_output([*PYTHON, "-c", ODD_FLAGS], "--no-shim", cwd=tmp_path)


# --- Who gets it -------------------------------------------------------------------------


def test_a_dynamic_program_gets_it(program: Path, tmp_path: Path) -> None:
    keeps([program, "shimmed"], tmp_path)


@pytest.mark.parametrize("more", [["-u"], []])
def test_no_shim_turns_it_off(more: list[str], program64: Path) -> None:
    # In a directory that is root's for real, too.
    assert fake_output([program64, "bare"], *more, "--no-shim", cwd="/") == ""
    assert "LD_PRELOAD" not in fake_output(["env"], "--no-shim")


def test_no_shim_holds_in_an_inner_run(program64: Path) -> None:
    assert fake_output([FAKEROOT_SC, "--no-shim", "--", program64, "bare"]) == ""
    assert fake_output([FAKEROOT_SC, "--", program64, "shimmed"]) == ""


def test_a_scrubbed_environment_changes_speed_only(program: Path) -> None:
    assert fake_output(["env", "-i", program, "bare"]) == ""
    assert fake_output(["env", "-u", "LD_PRELOAD", program, "bare"]) == ""


MARKER_C = """
#include <errno.h>
#include <stdio.h>
#include <string.h>
__attribute__((constructor)) static void mark(void) {
    if (strcmp(program_invocation_short_name, "%s") == 0) {
        puts("user's own");
        fflush(stdout);
    }
}
"""


def test_the_users_own_preload_is_kept_and_comes_first(program64: Path, tmp_path: Path) -> None:
    own = compile_c(tmp_path, "own.so", MARKER_C % "shim", "-shared", "-fPIC")
    environment = {**os.environ, "LD_PRELOAD": str(own)}
    assert fake_output([program64, "shimmed"], env=environment) == "user's own\n"
    shown = fake_output(["env"], env=environment)
    assert f"LD_PRELOAD={own}:{SHIMS['x86-64']}" in shown.splitlines()
    assert fake_output([program64, "bare"], "--no-shim", env=environment) == "user's own\n"


HELLO_C = """
#include <stdio.h>
#include <sys/stat.h>
int main(void) {
    struct stat st;
    return stat("recorded", &st) || printf("%u\\n", (unsigned) st.st_uid) < 0;
}
"""


@pytest.fixture
def hello(tmp_path: Path) -> Callable[..., Path]:
    """Builds a program that shows who owns the file "recorded"; skips where it cannot."""

    def build(name: str, *flags: str, compiler: str = "gcc") -> Path:
        need(compiler, {"musl-gcc": "musl-tools"}.get(compiler, compiler))
        source = tmp_path / f"{name}.c"
        source.write_text(HELLO_C)
        target = tmp_path / name
        command: list[str | Path] = [compiler, "-o", target, source, *flags]
        done = bare(command, env={**os.environ, "TMPDIR": str(tmp_path)})
        if done.returncode:
            pytest.skip(f"{compiler} {' '.join(flags)} makes no programs here")
        return target

    return build


@pytest.mark.parametrize(
    "kind",
    [
        ("static", "gcc", "-static"),
        ("static-pie", "gcc", "-static-pie"),
        ("i386", "gcc", "-m32"),
        ("i386-static", "gcc", "-m32", "-static"),
        ("x32", "gcc", "-mx32"),
        ("musl", "musl-gcc"),
        ("musl-static", "musl-gcc", "-static"),
        ("address", "gcc", "-fsanitize=address"),
        ("address-i386", "gcc", "-m32", "-fsanitize=address"),
        ("thread", "gcc", "-fsanitize=thread"),
        ("undefined", "gcc", "-fsanitize=undefined"),
    ],
    ids=lambda kind: kind[0],
)
def test_a_program_that_cannot_take_it_runs_without_a_word(
    kind: tuple[str, ...], hello: Callable[..., Path], program64: Path, tmp_path: Path
) -> None:
    name, compiler, *flags = kind
    other = hello(name, *flags, compiler=compiler)
    try:
        bare([other])
    except OSError as error:
        pytest.skip(f"{name} programs do not run here: {error.strerror}")
    (tmp_path / "recorded").touch()
    script = f"""
        chown 5:6 recorded
        {other}
        {program64} execute {other}
        env {other}
        {program64} shimmed # it is back for the next that can take it
        {program64} execute {program64} shimmed
    """
    done = fake(["sh", "-euc", script], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n" * 4, "")


def test_a_loader_that_is_executed_itself_runs_without_a_word(
    hello: Callable[..., Path], tmp_path: Path
) -> None:
    loader = Path("/lib/ld-linux.so.2")
    if not loader.exists():
        pytest.skip(f"{loader} is missing (Debian package libc6-i386)")
    other = hello("other", "-m32")
    (tmp_path / "recorded").touch()
    done = fake(["sh", "-euc", f"chown 5:6 recorded; {loader} {other}"], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")


@pytest.mark.parametrize("flags", [(), ("-m32",)], ids=["x86-64", "i386"])
def test_a_program_that_nobody_may_read_is_served(
    flags: tuple[str, ...], hello: Callable[..., Path], tmp_path: Path
) -> None:
    """The kernel would close its memory, too; but root reads every file."""
    other = hello("other", *flags)
    (tmp_path / "recorded").touch()
    script = f"chown 5:6 recorded; {other}; stat -c %a {other}"
    for more in ([], ["--no-shim"]):
        other.chmod(0o111)
        done = fake(["sh", "-euc", script], *more, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "5\n111\n", "")


def test_an_odd_environment_is_understood_as_a_loader_does(
    hello: Callable[..., Path], program64: Path, tmp_path: Path
) -> None:
    other = hello("other", "-m32")
    (tmp_path / "recorded").touch()
    script = f"chown 5:6 recorded; exec {program64} with-odd-environment {other}"
    done = fake(["sh", "-euc", script], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")


def test_a_program_that_cannot_take_it_keeps_the_users_own_preload(
    hello: Callable[..., Path], tmp_path: Path
) -> None:
    other = hello("address", "-fsanitize=address")
    runtime = bare(["gcc", "-print-file-name=libasan.so"]).stdout.strip()
    own = compile_c(tmp_path, "own.so", MARKER_C % "address", "-shared", "-fPIC")
    (tmp_path / "recorded").touch()
    environment = {**os.environ, "LD_PRELOAD": f"{Path(runtime).resolve()} {own}"}
    assert fake_output([other], env=environment, cwd=tmp_path) == "user's own\n0\n"


@pytest.mark.parametrize("flags", [("-m32",), ("-fsanitize=address",)], ids=["i386", "address"])
def test_a_script_is_as_its_interpreter(
    flags: tuple[str, ...], hello: Callable[..., Path], program64: Path, tmp_path: Path
) -> None:
    interpreter = hello("interpreter", *flags)
    for name, head in (("script", interpreter), ("outer", tmp_path / "script")):
        (tmp_path / name).write_text(f"#! {head} argument\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "recorded").touch()
    script = f"./script; ./outer; {program64} shimmed"
    done = fake(["sh", "-euc", script], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n0\n", "")


@pytest.mark.parametrize("flags", [(), ("-m32",)], ids=["x86-64", "i386"])
def test_a_program_in_another_root_runs_without_a_word(
    flags: tuple[str, ...], hello: Callable[..., Path], tmp_path: Path
) -> None:
    other = hello("other", *flags)
    unshare = need("unshare", "util-linux")
    if bare([unshare, "--user", "true"]).returncode:
        pytest.skip("user namespaces, by which an ordinary user can have another root, are closed")
    root = tmp_path / "root"
    shutil.copytree(tmp_path, root, ignore=shutil.ignore_patterns("root"))
    (root / "recorded").touch()
    for library in bare(["ldd", other]).stdout.split():
        if library.startswith("/"):
            target = root / library[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    inside = [unshare, "--user", "--root", root, "/other"]
    script = 'chown 5:6 root/recorded; "$@"; "$@"; env | grep -c shim64'
    done = fake(["sh", "-euc", script, "sh", *inside], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n5\n1\n", "")


HANDS_ON_C = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    const char *value = getenv("LD_PRELOAD");
    printf("%s\\n", value ? value + strspn(value, ":") : "none");
    fflush(stdout);
    return argc < 2 ? 0 : execvp(argv[1], argv + 1);
}
"""


@pytest.mark.parametrize("flags", [("-static",), ("-static-pie",)], ids=["static", "static-pie"])
def test_a_static_program_has_nothing_of_it_but_its_children_do(
    flags: tuple[str, ...], program64: Path, tmp_path: Path
) -> None:
    """Its loader is not ours: it may be an emulator, which hands its environment on."""
    if not can_compile(tmp_path, *flags):
        pytest.skip(f"gcc {' '.join(flags)} makes no programs here")
    static = compile_c(tmp_path, "static", HANDS_ON_C, *flags)
    own = compile_c(tmp_path, "own.so", MARKER_C % "nobody", "-shared", "-fPIC")
    command = [static, static, program64, "shimmed"]
    assert fake_output(command, cwd=tmp_path) == "\n\n"
    environment = {**os.environ, "LD_PRELOAD": str(own)}
    shown = fake_output([static], env=environment).rstrip(":\n")
    assert shown == str(own)


def test_an_emulator_hands_nothing_of_it_on(program64: Path, tmp_path: Path) -> None:
    emulator = compile_c(tmp_path, "qemu-machine", HANDS_ON_C)
    command = [emulator, program64, "shimmed"]
    assert fake_output(command, cwd=tmp_path) == "\n"


def test_a_program_of_another_machine_runs_without_a_word() -> None:
    """The emulator's guest has the emulator's environment."""
    qemu = need("qemu-aarch64-static", "qemu-user-static")
    guest = Path("/usr/aarch64-linux-gnu/lib/libc.so.6")
    if not guest.exists():
        pytest.skip(f"{guest} is missing (Debian package libc6-arm64-cross)")
    done = fake([qemu, "-L", guest.parent.parent, guest], timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("GNU C Library")


def listed(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The libraries that ldd names, without their addresses."""
    assert (done.returncode, done.stderr) == (0, "")
    return [line.rpartition(" (")[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("build", ["glibc", "i386"])
def test_ldd_does_not_list_it(build: str, programs: Programs) -> None:
    """Who asks for a program's libraries may copy them into a product."""
    program, ldd = programs(build), need("ldd", "libc-bin")
    assert listed(fake([ldd, program])) == listed(bare([ldd, program]))


def test_a_loader_that_lists_is_one_whoever_asks(program64: Path, tmp_path: Path) -> None:
    ask = f"""
        import os, subprocess
        traced = {{**os.environ, "LD_TRACE_LOADED_OBJECTS": ""}}
        for environment in traced, os.environ:
            subprocess.run([{str(program64)!r}, "shimmed"], env=environment, check=True)
    """
    shown = fake_output(python(dedent(ask)))
    assert "libc.so" in shown
    assert "shim" not in shown.replace(str(program64.parent), "")


def test_a_path_that_no_loader_understands_is_not_preloaded(tmp_path: Path) -> None:
    """LD_PRELOAD ends a path at a blank or a colon."""
    from fakeroot_sc import preload

    for name in ("a b", "a:b", "$LIB"):
        place = tmp_path / name
        place.mkdir()
        (place / "shim64.so").touch()
        assert preload.shim_path(os.fsencode(place)) is None
    (tmp_path / "shim64.so").touch()
    assert preload.shim_path(os.fsencode(tmp_path)) == os.fsencode(tmp_path / "shim64.so")


def test_a_program_that_is_replaced_is_looked_at_anew(
    hello: Callable[..., Path], program64: Path, tmp_path: Path
) -> None:
    """What is remembered of a program is forgotten when the file changes."""
    first, second = hello("first"), hello("second", "-fsanitize=address")
    (tmp_path / "recorded").touch()
    script = f"cp {first} tool; ./tool; cat {second} > tool; ./tool; cat {first} > tool; ./tool"
    done = fake(["sh", "-euc", script], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n" * 3, "")


EXECVE = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for arguments in (
    (8, 0, 0), (b"", 0, 0), (b"missing", 0, 0), (b".", 0, 0), (b"plain", 0, 0),
    (b"/bin/true", 8, 0), (b"/bin/true", 0, 8), (b"/bin/true", 0, 2**63), (b"x" * 5000, 0, 0),
):
    libc.execve(*(ctypes.c_void_p(one) if type(one) is int else one for one in arguments))
    print(errno.errorcode[ctypes.get_errno()])
"""


def test_bad_arguments_of_execve_fail_as_ever(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("not a program")
    (tmp_path / "plain").chmod(0o755)
    plain = bare([*PYTHON, "-c", EXECVE], cwd=tmp_path)
    assert plain.returncode == 0
    assert fake_output([*PYTHON, "-c", EXECVE], cwd=tmp_path) == plain.stdout
