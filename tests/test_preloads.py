# SPDX-License-Identifier: Apache-2.0
"""Other objects that programs are preloaded with, before the run and inside of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import installed
import pytest
from commands import FAKEROOT_SC, PYTHON, bare, compile_c, fake, need

from fakeroot_sc import _core

PROGRAMS = Path(__file__).parent / "programs"
SHIM = Path(_core.__file__).parent / "shim64.so"

# --- What the caller tells loader and libc -----------------------------------------------

# Notes in a file who was loaded with it.
NOSY_C = """
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void note(void) {
    int fd = open(getenv("NOSY"), O_WRONLY | O_APPEND);
    dprintf(fd, "%s\\n", program_invocation_short_name);
    close(fd);
}
"""

OF_THE_CALLER = {
    "LD_LIBRARY_PATH": "/nowhere",
    "LD_BIND_NOW": "",
    "GCONV_PATH": "/nowhere",
    "MALLOC_ARENA_MAX": "1",
    "GLIBC_TUNABLES": "glibc.malloc.check=1",
    "LOCPATH": "/nowhere",
}


def ways(arguments: list[str]) -> dict[str, list[str]]:
    """How fakeroot-sc is started, by name."""
    call = f"import fakeroot_sc; fakeroot_sc.run({arguments!r}, shim=False)"
    options = [*installed.OPTIONS, "--no-shim", "--"]
    return {
        "command": [FAKEROOT_SC, "--no-shim", "--", *arguments],
        "module": [PYTHON[0], "-m", "fakeroot_sc", *options, *arguments],
        "function": [PYTHON[0], "-c", call],
    }


@pytest.mark.parametrize("way", ways([]))
def test_the_supervisor_has_none_of_what_the_caller_preloads(way: str, tmp_path: Path) -> None:
    own = compile_c(tmp_path, "own.so", NOSY_C, "-shared", "-fPIC")
    noted = tmp_path / "noted"
    noted.touch()
    script = """
        tr '\\0' '\\n' </proc/$PPID/environ | grep -aE '^(LD_|GCONV|MALLOC|GLIBC_TUN|LOCPATH)'
        touch file; chmod 4750 file; stat -c %a file
    """
    environment = {**os.environ, **OF_THE_CALLER, "LD_PRELOAD": str(own), "NOSY": str(noted)}
    done = bare(ways(["sh", "-c", script])[way], env=environment, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "4750\n", "")
    others = {"tr", "grep", "touch", "chmod", "stat", "sh"}
    started = {Path(PYTHON[0]).name}
    if way == "command":
        started = {"fakeroot-sc"} if installed.OPTIONS else set()  # what adds the options
    assert set(noted.read_text().split()) == others | started


GIVES_C = """
#include <stddef.h>
#include <unistd.h>
int main(int argc, char **argv) {
    (void)argc;
    char *given[] = {
        "LD_PRELOAD=", "B=1", "LD_LIBRARY_PATH=/nowhere", "A=2", "B=3", "LD_PRELOAD=", "=",
        "nothing", "MALLOC_ARENA_MAX=1", "A=", "LC_ALL=C", "GCONV_PATH=", "L=", "LD_=",
        "\\xff=\\xff", "FAKEROOTKEY=5", "LD_LIBRARY_PATH", NULL,
    };
    execve(argv[1], argv + 1, given);
    return 126;
}
"""


@pytest.mark.parametrize("nested", [False, True])
def test_command_gets_its_environment_to_the_byte(nested: bool, tmp_path: Path) -> None:
    """Empty ones, those given twice, and their order, as programs before it have left them."""
    gives = compile_c(tmp_path, "gives", GIVES_C)
    shown = [need("cat", "coreutils"), "/proc/self/environ"]
    plain = bare([gives, *shown], encoding="latin-1")
    command = [gives, FAKEROOT_SC, "--no-shim", "--", *shown]
    if nested:
        command = [FAKEROOT_SC, "--no-shim", "--", *command]
    done = bare(command, encoding="latin-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == plain.stdout


@pytest.mark.skipif(not installed.has_shim(), reason="the shim is turned off")
def test_the_shim_comes_behind_what_the_caller_preloads_where_that_stood(tmp_path: Path) -> None:
    gives = compile_c(tmp_path, "gives", GIVES_C)
    shown = [need("cat", "coreutils"), "/proc/self/environ"]
    plain = bare([gives, *shown], encoding="latin-1").stdout
    done = bare([gives, FAKEROOT_SC, "--", *shown], encoding="latin-1")
    assert done.stdout == plain.replace("LD_PRELOAD=", f"LD_PRELOAD={SHIM}")


def test_under_fakechroot_a_device_keeps_the_user_able_to_open_it(tmp_path: Path) -> None:
    """fakechroot's functions change the paths of whoever calls them."""
    command = [need("fakechroot", "fakechroot"), FAKEROOT_SC, "--no-shim", "--"]
    done = bare([*command, "mknod", "c", "c", "1", "3"], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "c").stat().st_mode & 0o600 == 0o600


# --- The names that several stand in front of --------------------------------------------

BUILDS = {
    "glibc": ("gcc", ()),
    # musl-gcc looks for headers in its own places only.
    "musl": (
        "musl-gcc",
        ("-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"),
    ),
    "i386": ("gcc", ("-m32",)),
}


def exported_names() -> list[str]:
    """What the shim stands in front of."""
    lines = bare([need("nm", "binutils"), "-D", "--defined-only", SHIM]).stdout.splitlines()
    return sorted({line.split()[-1] for line in lines})


BEHIND = ("__open64", "fdopen", "fdopendir", "_IO_fopen")
"""What libc does not call by these names where the shim uses them."""


def counts(directory: Path, build: str) -> Path:
    """An object that counts the calls of the names, and passes them on."""
    compiler, flags = BUILDS[build]
    names = [name for name in exported_names() if not name.startswith("fts64")]
    shared = ("-shared", "-fPIC", "-ldl", f"-DNAMES={' '.join(f'X({n})' for n in names)}")
    source = (PROGRAMS / "counts.c").read_text()
    more = f"-DMORE={' '.join(f'X({name})' for name in BEHIND)}"
    return compile_c(directory, "counts.so", source, *flags, *shared, more, compiler=compiler)


def entered(directory: Path, build: str, *more: str | Path) -> Path:
    """A program that calls each of them once."""
    compiler, flags = BUILDS[build]
    source = (PROGRAMS / "entered.c").read_text()
    flags = (*flags, "-Wno-deprecated-declarations", *map(str, more), "-ldl")
    return compile_c(directory, "entered", source, *flags, compiler=compiler)


@pytest.mark.parametrize("place", ["before", "behind", "both", "needed"])
@pytest.mark.parametrize("build", BUILDS)
def test_each_object_is_entered_once_by_each_name(build: str, place: str, tmp_path: Path) -> None:
    """Wherever it stands to the shim, in LD_PRELOAD or among the libraries of the program."""
    if build == "musl" and not Path("/lib/ld-musl-x86_64.so.1").exists():
        pytest.skip("no loader of musl (Debian package musl)")
    first = counts(tmp_path, build)
    second = Path(shutil.copy(first, tmp_path / "again.so"))
    needed = ("-Wl,--no-as-needed", f"-Wl,-rpath,{tmp_path}", first) if place == "needed" else ()
    program = entered(tmp_path, build, *needed)
    order = {
        "before": f"{first}:$shim",
        "behind": f"$shim:{first}",
        "both": f"{first}:$shim:{second}",
        "needed": "$shim",
    }[place]
    script = f"""
        touch recorded; chown 5:6 recorded; shim=${{LD_PRELOAD:-}}
        LD_PRELOAD={order} exec {program}
    """
    done = fake(["sh", "-euc", script], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


EARLY_C = """
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void early(void) { close(open("/dev/null", O_RDONLY)); }
int early_bird;
"""

USES_EARLY_C = """
#include <dlfcn.h>
extern int early_bird;
int main(void) {
    int (*counted)(const char *) = (int (*)(const char *))dlsym(RTLD_DEFAULT, "counted");
    return early_bird + counted("open");
}
"""

COUNTS_OPEN_C = """
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
static int count;
int open(const char *path, int flags, ...) {
    count++;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0);
}
int counted(const char *name) { return name ? count : 0; }
"""


def test_what_a_library_calls_while_it_starts_is_passed_on(tmp_path: Path) -> None:
    library = compile_c(tmp_path, "early.so", EARLY_C, "-shared", "-fPIC")
    behind = compile_c(tmp_path, "behind.so", COUNTS_OPEN_C, "-shared", "-fPIC")
    program = compile_c(tmp_path, "uses", USES_EARLY_C, "-ldl", str(library))
    script = f"LD_PRELOAD=$LD_PRELOAD:{behind} exec {program}"
    assert fake(["sh", "-c", script]).returncode == 1


VERSIONED_C = """
#include <sys/stat.h>
int access(const char *path, int mode) { return path ? 77 + mode : 0; }
int own_access(void) { return access("", 0); }
"""

USES_VERSIONED_C = """
#include <unistd.h>
extern int own_access(void);
int main(void) { return own_access() == 77 && access("/", F_OK) == 0 ? 0 : 1; }
"""


def test_a_name_of_another_version_is_not_libcs(tmp_path: Path) -> None:
    """A library may have a function of that name that means something else."""
    script = tmp_path / "own.map"
    script.write_text("OWN_1.0 { global: access; own_access; };\n")
    flags = ("-shared", "-fPIC", "-Wl,-Bsymbolic", f"-Wl,--version-script={script}")
    own = compile_c(tmp_path, "own.so", VERSIONED_C, *flags)
    libc = bare([need("gcc", "gcc"), "-print-file-name=libc.so.6"]).stdout.strip()
    program = compile_c(tmp_path, "uses", USES_VERSIONED_C, libc, str(own))
    done = fake([program], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- Those that people use ---------------------------------------------------------------


@pytest.mark.parametrize("outside", [False, True])
def test_cow_shell_keeps_the_original(outside: bool, tmp_path: Path) -> None:
    cow_shell = need("cow-shell", "cowdancer")
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    (original / "file").write_text("old\n")
    assert bare(["cp", "-al", original, copy]).returncode == 0
    work = "echo new >file; chmod 600 file; chown 3:4 file; stat -c %u:%g file"
    command = [FAKEROOT_SC, "--", cow_shell, "sh", "-euc", work]
    if outside:
        command = [cow_shell, FAKEROOT_SC, "--", "sh", "-euc", work]
    # What cow-shell leaves behind waits for a process that this one has yet to wait for.
    with (tmp_path / "shown").open("w") as shown:
        done = bare(command, cwd=copy, stdout=shown, stderr=shown)
    assert (done.returncode, (tmp_path / "shown").read_text()) == (0, "3:4\n")
    assert (copy / "file").read_text() == "new\n"
    assert (original / "file").read_text() == "old\n"
    assert (original / "file").stat().st_mode & 0o777 != 0o600


@pytest.mark.parametrize("outside", [False, True])
def test_faketime_shows_its_times(outside: bool, tmp_path: Path) -> None:
    faketime = [need("faketime", "faketime"), "@86400"]
    work = ["sh", "-euc", "touch file; chown 3:4 file; stat -c %u:%Y file; stat -c %u:%X ."]
    command = [FAKEROOT_SC, "--", *faketime, *work]
    if outside:
        command = [*faketime, FAKEROOT_SC, "--", *work]
    plain = bare([*faketime, "sh", "-c", "touch file; stat -c %Y file; stat -c %X ."], cwd=tmp_path)
    shown = plain.stdout.splitlines()
    done = bare(command, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    owner_and_time, start = done.stdout.splitlines()
    assert owner_and_time.startswith("3:")
    assert abs(int(owner_and_time[2:]) - int(shown[0])) < 600
    assert start.startswith("0:")


@pytest.mark.parametrize("outside", [False, True])
def test_umockdev_shows_its_devices(outside: bool, tmp_path: Path) -> None:
    umockdev = [need("umockdev-run", "umockdev"), "--"]
    script = "test -e /sys/kernel || echo mocked; touch file; chown 3:4 file; stat -c %u:%g file"
    command = [FAKEROOT_SC, "--", *umockdev, "sh", "-c", script]
    if outside:
        command = [*umockdev, FAKEROOT_SC, "--", "sh", "-c", script]
    done = bare(command, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "mocked\n3:4\n"), done.stderr


@pytest.mark.parametrize("outside", [False, True])
def test_a_program_in_a_root_of_fakechroot_runs(outside: bool, tmp_path: Path) -> None:
    """Its functions give each path another beginning: once."""
    fakechroot, chroot = need("fakechroot", "fakechroot"), need("chroot", "coreutils")
    root = tmp_path / "root"
    libraries: set[str] = set()
    for name in ("cat", "chown", "ls", "sh", "stat", "touch"):
        program = Path(need(name, "coreutils")).resolve()
        (root / "bin").mkdir(parents=True, exist_ok=True)
        shutil.copy(program, root / "bin" / name)
        words = bare(["ldd", program]).stdout.split()
        libraries |= {word for word in words if word.startswith("/")}
    for library in libraries:
        target = root / library[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    (root / "etc").mkdir()
    (root / "etc" / "motd").write_text("welcome\n")
    script = "cat /etc/motd; cat </etc/motd; touch /file; chown 3:4 /file; stat -c %u:%g /file"
    inner = [chroot, root, "/bin/sh", "-euc", script]
    command = [FAKEROOT_SC, "--", fakechroot, *inner]
    if outside:
        command = [fakechroot, FAKEROOT_SC, "--", *inner]
    done = bare(command, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "welcome\nwelcome\n3:4\n"), done.stderr
    assert (root / "file").exists()
