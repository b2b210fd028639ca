# SPDX-License-Identifier: Apache-2.0
"""A program that walks with fts(3) is told the same by the shim's as by glibc's.

programs/fts.c prints all that a walk tells it. It runs with glibc's functions and with
the shim's, mostly outside of any session: the preloaded object then makes every call as
it is, and all that differs is whose code walks.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from commands import bare, compile_c, fake_output, fake_script, need
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakeroot_sc import _core

SHIM = Path(_core.__file__).parent / "shim64.so"
TESTS = Path(__file__).parent
SOURCE = (TESTS / "programs" / "fts.c").read_text()
NATIVE = TESTS.parent / "native"

# fts(3)
COMFOLLOW, LOGICAL, NOCHDIR, NOSTAT, PHYSICAL, SEEDOT, XDEV = (1 << bit for bit in range(7))
ORDERS = ("none", "name", "reverse", "same")

Walk = tuple[int, str, int, int, Sequence[str]]
"""Options, order, seeds of instructions and of changes, roots: see programs/fts.c."""


@pytest.fixture(scope="module")
def walker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, for glibc."""
    return compile_c(tmp_path_factory.mktemp("fts"), "walk", SOURCE)


def arguments(walk: Walk) -> list[str]:
    *numbers, roots = walk
    return [*map(str, numbers), *roots]


def walked(
    program: Path, walk: Walk, directory: Path, environment: dict[str, str] | None = None
) -> str:
    """What it prints; it must come to its end."""
    done = subprocess.run(
        [program, *arguments(walk)],
        cwd=directory,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, (walk, done)
    if environment:
        assert done.stderr == b"", (walk, done.stderr.decode())
    return done.stdout.decode(errors="replace")


WITH_SHIM = {"LD_PRELOAD": str(SHIM)}


def same(program: Path, walk: Walk, directory: Path) -> str:
    """Walks with glibc's functions and with the shim's, which must print the same."""
    expected = walked(program, walk, directory)
    assert walked(program, walk, directory, WITH_SHIM).splitlines() == expected.splitlines()
    return expected


# --- Trees -------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d", "long" * 40)
TARGETS = ("..", ".", "a0", "../b1", "missing", "a0/missing", "c2")
MODES = (0, 0o111, 0o444, 0o555)


def plant(place: Path, choose: Callable[[int], int]) -> list[str]:
    """Makes a random tree; choose(n) is a number below n. Returns its directories.

    Directories above the place are the tree's own: links lead there.
    """
    base = place / "1" / "2" / "3" / "4"
    base.mkdir(parents=True)
    made = [Path()]
    closed = []
    for _ in range(choose(18)):
        below = made[choose(len(made))]
        path = below / (NAMES[choose(len(NAMES))] + str(choose(6)))
        target = base / path
        if os.path.lexists(target):
            continue
        kind = choose(9)
        if kind < 4:
            target.mkdir(mode=0o755)
            made.append(path)
            if choose(8) == 0:
                closed.append((target, MODES[choose(len(MODES))]))
        elif kind < 6:
            target.write_bytes(b"x" * choose(5))
        elif kind == 6:
            os.mkfifo(target)
        elif kind == 7:
            target.symlink_to(TARGETS[choose(len(TARGETS))])
        else:
            target.symlink_to(os.path.relpath(made[choose(len(made))], below))
    for target, mode in reversed(closed):
        target.chmod(mode)
    return [str(path) for path in made]


def pick_roots(directories: list[str], base: Path, choose: Callable[[int], int]) -> list[str]:
    def root() -> str:
        one = directories[choose(len(directories))]
        others = (f"{one}/", f"{one}//", f"{base}/{one}", "a0", "./b1/..", "missing", "")
        drawn = choose(14)
        return others[drawn] if drawn < len(others) else one

    return [root() for _ in range(1 + choose(6) // 3)]


def pick_options(choose: Callable[[int], int]) -> int:
    options = (PHYSICAL, PHYSICAL, LOGICAL, 0)[choose(4)]
    for option in (NOCHDIR, NOSTAT, SEEDOT, COMFOLLOW, XDEV):
        options |= option * choose(2)
    return options


def uproot(place: Path) -> None:
    bare(["chmod", "-R", "u+rwX", place])
    shutil.rmtree(place)


class Choices:
    """Numbers that hypothesis has drawn, as a function; 0 behind the last."""

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = iter(numbers)

    def __call__(self, below: int) -> int:
        return next(self._numbers, 0) % below


# --- The same as glibc -------------------------------------------------------------------


@pytest.fixture
def fixed(tmp_path: Path) -> Path:
    """A tree with a bit of everything."""
    here = tmp_path / "up" / "here"
    for name in ("dir/sub/subsub", "dir/empty", "search", "read", "closed", "links"):
        (here / name).mkdir(parents=True)
    for name in ("dir/file", "dir/sub/file", "search/file", "read/file", "closed/file"):
        (here / name).write_bytes(b"hello")
    (here / "read" / "sub").mkdir()
    os.mkfifo(here / "dir" / "fifo")
    targets = ("../dir", "../dir/file", "../dir/empty", "..", "missing", "loop", "../closed/file")
    for number, target in enumerate(targets):
        (here / "links" / f"link{number}").symlink_to(target)
    (here / "links" / "loop").symlink_to("loop")
    (here / "search").chmod(0o111)
    (here / "read").chmod(0o444)
    (here / "closed").chmod(0)
    return here


@pytest.mark.pure
@pytest.mark.parametrize("kind", [PHYSICAL, LOGICAL, 0], ids=["physical", "logical", "neither"])
@pytest.mark.parametrize("no_chdir", [0, NOCHDIR], ids=["chdir", "nochdir"])
@pytest.mark.parametrize("no_stat", [0, NOSTAT], ids=["stat", "nostat"])
def test_a_walk_is_as_glibcs(
    walker: Path, fixed: Path, kind: int, no_chdir: int, no_stat: int
) -> None:
    for more in (0, SEEDOT, COMFOLLOW, XDEV, SEEDOT | COMFOLLOW | XDEV):
        options = kind | no_chdir | no_stat | more
        for order in ORDERS:
            same(walker, (options, order, 0, 0, ["."]), fixed)
        roots = ["links/link0", "dir/", "closed", "links/link5", "nothing", str(fixed / "read")]
        text = same(walker, (options, "name", 0, 0, roots), fixed)
        assert text.count("\n") > len(roots)


@pytest.mark.pure
def test_every_kind_of_entry_is_met(walker: Path, fixed: Path) -> None:
    met = set()
    for options in (PHYSICAL, LOGICAL | SEEDOT, PHYSICAL | NOSTAT, PHYSICAL | NOCHDIR):
        text = same(walker, (options, "name", 0, 0, ["."]), fixed)
        met |= set(re.findall(r"^read (\w+)", text, re.MULTILINE))
    kinds = {"D", "DC", "DEFAULT", "DNR", "DOT", "DP", "F", "NS", "NSOK", "SL", "SLNONE"}
    assert met == kinds  # FTS_ERR takes a change on the way


@pytest.mark.pure
@pytest.mark.parametrize("seed", range(1, 25))
def test_instructions_are_followed_as_by_glibc(walker: Path, fixed: Path, seed: int) -> None:
    options = pick_options(random.Random(seed).randrange)
    same(walker, (options, "name", seed, 0, [".", "dir", "links"]), fixed)


@pytest.mark.pure
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    tree=st.lists(st.integers(0, 2**16), max_size=100),
    walk=st.lists(st.integers(0, 2**16), min_size=8, max_size=16),
    order=st.sampled_from(ORDERS),
    instructions=st.integers(0, 2**32),
    changes=st.just(0) | st.integers(0, 2**32),
)
def test_any_walk_is_as_glibcs(
    walker: Path,
    tree: list[int],
    walk: list[int],
    order: str,
    instructions: int,
    changes: int,
) -> None:
    place = Path(tempfile.mkdtemp(prefix="fsc-fts-"))
    printed = []
    try:
        for environment in ({}, WITH_SHIM):
            base = place / "1" / "2" / "3" / "4"
            if not printed or changes:
                shutil.rmtree(place)
                place.mkdir()
                directories = plant(place, Choices(tree))
            choose = Choices(walk)
            options = pick_options(choose)
            what = (options, order, instructions, changes, pick_roots(directories, base, choose))
            printed.append(walked(walker, what, base, environment).splitlines())
            if changes:
                bare(["chmod", "-R", "u+rwX", place])
    finally:
        uproot(place)
    assert printed[1] == printed[0], what


@pytest.mark.pure
@pytest.mark.parametrize("length", [4095, 4096, 36000, 40000])
def test_a_path_may_be_long(walker: Path, tmp_path: Path, length: int) -> None:
    start = os.open(tmp_path, os.O_PATH)
    here, name, done = start, "top", 0
    for _ in range(length // 201):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_PATH, dir_fd=here)
        os.close(here)
        here, name, done = below, "d" * 200, done + 1
    os.mkdir("e" * (length % 201 or 1), dir_fd=here)
    os.close(here)
    for options in (PHYSICAL, PHYSICAL | NOCHDIR, LOGICAL, PHYSICAL | NOSTAT):
        text = same(walker, (options, "none", 0, 0, ["top"]), tmp_path)
        if options == PHYSICAL and length < 4096:
            assert text.count("read DP") == done + 1
    bare(["rm", "-rf", "top"], cwd=tmp_path)


@pytest.mark.pure
@pytest.mark.parametrize("descriptors", [4, 5, 6])
@pytest.mark.parametrize("options", [PHYSICAL, PHYSICAL | NOCHDIR, PHYSICAL | NOSTAT])
def test_descriptors_may_be_few(walker: Path, fixed: Path, descriptors: int, options: int) -> None:
    # The shell's limit: loading the program takes one beside 0 to 2, and 3 is its own.
    script = f'ulimit -n {descriptors}; exec "$@"'
    command = ["sh", "-c", script, "sh", walker, *arguments((options, "name", 0, 0, ["."]))]
    expected = bare(command, cwd=fixed)
    assert expected.returncode == 0
    shown = bare(command, cwd=fixed, env={**os.environ, **WITH_SHIM})
    assert (shown.returncode, shown.stdout) == (0, expected.stdout)


@pytest.mark.pure
def test_the_names_for_large_files_are_the_same(fixed: Path, tmp_path: Path) -> None:
    program = compile_c(tmp_path, "walk64", SOURCE, "-D_FILE_OFFSET_BITS=64")
    assert "fts64_read" in bare([need("nm", "binutils"), "-D", program]).stdout
    same(program, (PHYSICAL, "name", 3, 0, ["."]), fixed)


@pytest.mark.pure
def test_a_walk_of_nothing_ends_at_once(walker: Path, tmp_path: Path) -> None:
    """glibc 2.36 crashes."""
    lines = walked(walker, (PHYSICAL, "none", 0, 0, []), tmp_path, WITH_SHIM).splitlines()
    assert [line.split(" here")[0] for line in lines] == ["options 0x10", "end 0", "close 0 0"]


@pytest.mark.pure
def test_unknown_options_are_refused(walker: Path, tmp_path: Path) -> None:
    assert same(walker, (PHYSICAL | 0x100, "none", 0, 0, ["."]), tmp_path) == "open EINVAL\n"
    assert same(walker, (PHYSICAL, "none", 0, 0, [".", ""]), tmp_path) == "open ENOENT\n"


# --- In a session ------------------------------------------------------------------------


def test_in_a_session_all_is_as_outside_but_the_owners(walker: Path, fixed: Path) -> None:
    # Root passes these, the user outside does not.
    for name in ("search", "read", "closed"):
        (fixed / name).chmod(0o755)
    for options in (PHYSICAL, PHYSICAL | NOCHDIR, LOGICAL):
        walk = (options, "name", 0, 0, ["."])
        expected = re.sub(r"owner=\d+:\d+", "owner=0:0", walked(walker, walk, fixed))
        shown = fake_output([walker, *arguments(walk)], cwd=fixed)
        assert shown.splitlines() == expected.splitlines()


@pytest.mark.parametrize("seed", range(6))
def test_in_a_session_a_walk_is_the_same_with_and_without_the_shim(
    walker: Path, tmp_path: Path, seed: int
) -> None:
    choose = random.Random(seed).randrange
    place = tmp_path / "place"
    place.mkdir()
    directories = plant(place, choose)
    base = place / "1" / "2" / "3" / "4"
    before = """
        find . -type d -exec sh -c 'for d; do mknod "$d/char" c 1 3; done' sh {} + 2>/dev/null ||:
        find . -type f -exec chown 5:6 {} + -exec chmod 4711 {} + 2>/dev/null ||:
        find . -type d -exec chown 7:8 {} + 2>/dev/null ||:
    """
    walks = []
    for number in range(12):
        roots = list(filter(None, pick_roots(directories, base, choose))) or ["."]
        walk = (pick_options(choose), ORDERS[choose(4)], number * seed, 0, roots)
        walks.append(" ".join(arguments(walk)))
    script = before + "".join(
        f'echo "# {walk}"\n{walker} {walk} >../with\n'
        f"env -u LD_PRELOAD {walker} {walk} >../without\n"
        "cmp ../with ../without; grep -c '^read' ../with ||:\n"
        for walk in walks
    )
    text = fake_script(script, base)
    uproot(place)
    assert text.count("#") == len(walks)
    assert "differ" not in text


def test_remembered_files_are_shown_as_they_are_remembered(walker: Path, tmp_path: Path) -> None:
    script = f"""
        mkdir dir; touch dir/file; mknod dir/disk b 8 1
        chown 5:6 dir/file; chmod 4755 dir/file; chown 7:8 dir
        {walker} {PHYSICAL} name 0 0 dir
    """
    shown = re.findall(
        r"^read (\w+) .* name=(\w+) .* mode=(\d+) owner=([\d:]+) rdev=(\w+)",
        fake_script(script, tmp_path),
        re.MULTILINE,
    )
    assert [entry[:2] + entry[3:] for entry in shown] == [
        ("D", "dir", "7:8", "0"),
        ("DEFAULT", "disk", "0:0", "801"),
        ("F", "file", "5:6", "0"),
        ("DP", "dir", "7:8", "0"),
    ]
    assert [entry[2][-5:] for entry in shown[1:3]] == ["60644", "04755"]


# --- Memory ------------------------------------------------------------------------------

ALLOCATE = """
#include <errno.h>
#include <stdlib.h>
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	static long count;
	const char *last = getenv("ALLOCATIONS");
	if (last && ++count > atol(last))
		return errno = ENOMEM, NULL;
	return __real_malloc(size);
}
"""


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with the shim's functions in it, under AddressSanitizer and UBSan.

    After $ALLOCATIONS there is no memory.
    """
    place = tmp_path_factory.mktemp("sanitized")
    parts = [f"shim/{name}.c" for name in ("look", "libc", "session", "stat_x86_64")]
    parts += [f"shim/{path.name}" for path in NATIVE.glob("shim/fts*.c")]
    sources = [str(NATIVE / part) for part in (*parts, "inode_table.c", "pending.c")]
    (place / "allocate.c").write_text(ALLOCATE)
    sanitizers = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    probe = bare(["gcc", *sanitizers, "-o", place / "probe", "-xc", "-"], input="int main(){}")
    if probe.returncode != 0:
        pytest.skip("this gcc has no sanitizers (Debian package libgcc-12-dev)")
    return compile_c(
        place,
        "walk",
        SOURCE,
        *sanitizers,
        *("-std=gnu11", "-ffreestanding", "-fvisibility=hidden", "-Wl,--wrap=malloc"),
        *("-I", str(NATIVE), str(place / "allocate.c"), *sources),
    )


@pytest.mark.pure
@pytest.mark.parametrize("seed", range(8))
def test_memory_is_used_well(walker: Path, sanitized: Path, tmp_path: Path, seed: int) -> None:
    """fts_set(), fts_children(), and changes on the way, by glibc and by the shim's code."""
    printed = []
    for program, environment in ((walker, {}), (sanitized, {"ALLOCATIONS": "999999"})):
        choose = random.Random(seed).randrange
        place = tmp_path / program.parent.name
        place.mkdir()
        directories = plant(place, choose)
        for changes in range(3):
            roots = [directories[choose(len(directories))] for _ in range(2)]
            walk = (pick_options(choose), ORDERS[choose(4)], seed + 1, changes, roots)
            text = walked(program, walk, place / "1" / "2" / "3" / "4", environment)
            # Numbers are only told apart where the tree changes.
            printed.append(text if changes else re.findall(r"^\w+ \w+|name=\w+", text))
            bare(["chmod", "-R", "u+rwX", place])
        uproot(place)
    assert printed[:3] == printed[3:]


@pytest.mark.pure
@pytest.mark.parametrize("options", [PHYSICAL, PHYSICAL | NOCHDIR, LOGICAL])
def test_without_memory_a_walk_ends_with_an_error(
    sanitized: Path, fixed: Path, options: int
) -> None:
    ends = set()
    for allocations in range(36):
        environment = {"ALLOCATIONS": str(allocations)}
        lines = walked(sanitized, (options, "name", 0, 0, ["dir"]), fixed, environment)
        ends |= set(re.findall(r"^(?:open|end) \w+|error=\w+", lines, re.MULTILINE))
    assert ends == {"open ENOMEM", "end ENOMEM", "end 0", "error=0", "error=ENOMEM"}


# --- Other implementations ---------------------------------------------------------------

FOREIGN = """
static int walk, entry;
void *fts_open(char *const *paths, int options, void *compare) { return &walk; }
void *fts_read(void *of) { return of == &walk ? &entry : 0; }
void *fts_children(void *of, int instruction) { return of == &walk ? &entry : 0; }
int fts_set(void *of, void *what, int instruction)
{
	return of == &walk && what == &entry ? 10 + instruction : -1;
}
int fts_close(void *of) { return of == &walk ? 77 : -1; }
"""
USE = """
void *fts_open(char *const *paths, int options, void *compare);
void *fts_read(void *walk), *fts_children(void *walk, int instruction);
int fts_set(void *walk, void *entry, int instruction), fts_close(void *walk);
int use(void)
{
	void *walk = fts_open((void *)1, 2, (void *)3), *entry = fts_read(walk);
	int right = fts_children(walk, 0) == entry && fts_set(walk, entry, 4) == 14;
	int closed = fts_close(walk);
	return right ? closed : 1;
}
"""
LINKED = "int use(void);\nint main(void) { return use(); }\n"
LOADED = """
#include <dlfcn.h>
int main(void)
{
	void *plugin = dlopen("./libuse.so", RTLD_NOW | RTLD_LOCAL);
	int (*use)(void) = plugin ? (int (*)(void))dlsym(plugin, "use") : 0;
	return use ? use() : 2;
}
"""
MUSL_LOADER = Path("/lib/ld-musl-x86_64.so.1")


@pytest.mark.parametrize(
    ("compiler", "way"), [("gcc", "linked"), ("musl-gcc", "linked"), ("musl-gcc", "loaded")]
)
def test_another_library_s_functions_are_left_alone(
    tmp_path: Path, compiler: str, way: str
) -> None:
    loader = []
    if compiler == "musl-gcc":
        if not MUSL_LOADER.exists():
            pytest.skip(f"{MUSL_LOADER} is missing (Debian package musl)")
        # Debian's has functions of its own; here they go by other names.
        without = tmp_path / "ld-musl.so"
        without.write_bytes(MUSL_LOADER.read_bytes().replace(b"\0fts_", b"\0ftx_"))
        without.chmod(0o755)
        loader = [f"-Wl,--dynamic-linker={without}"]
    shared = ("-fPIC", "-shared", "-w")
    here = ("-L", str(tmp_path), "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed")
    compile_c(tmp_path, "libforeign.so", FOREIGN, *shared, compiler=compiler)
    compile_c(tmp_path, "libuse.so", USE, *shared, *here, "-lforeign", compiler=compiler)
    more = [*here, "-luse", "-lforeign"] if way == "linked" else ["-ldl"]
    source = LINKED if way == "linked" else LOADED
    program = compile_c(tmp_path, "program", source, *more, *loader, compiler=compiler)
    assert bare([program], cwd=tmp_path).returncode == 77
    script = './program || echo "$?"; env -u LD_PRELOAD ./program || echo "$?"'
    assert fake_script(script, tmp_path) == "77\n77\n"
