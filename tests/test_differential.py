# SPDX-License-Identifier: Apache-2.0
"""Real root and fake root, asked the same, must answer the same.

Each test runs one script of calls in two directories beside each other: as root,
bare, and as an ordinary user under fakeroot-sc.  What a call returns, its errno,
all it writes and how every file looks afterwards must agree.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import harness
import pytest
from conftest import Probes
from differential import (
    AT_FLAGS,
    COMPARED,
    LONG_NAME,
    LONGEST_PATH,
    O_PATH,
    PLAIN_PATHS,
    POINTERS,
    ROOT,
    WITH_NODES,
    Here,
    Pair,
    PairOf,
    adorn,
    arguments,
    descriptors,
    operation_rows,
    paths_of_own_process,
    sides,
    table_rows,
    unprivileged,
)
from harness import (
    AT_EACCESS,
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_REMOVEDIR,
    AT_SYMLINK_NOFOLLOW,
    BAD_POINTERS,
    BUILDS,
    FEW,
    NAME_MAX,
    NULL,
    STATX_BASIC,
    TREE,
    Probe,
    Result,
    Session,
    buffer,
    buffer_at_page_end,
    buffer_cut,
    buffer_read_only,
    encode_device,
    garbled,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakeroot_sc.syscalls.row import Abi, Syscall

pytestmark = pytest.mark.root


@pytest.mark.parametrize(("build", "row"), table_rows("stat"))
def test_stat_shows_what_real_root_sees(build: str, row: Syscall, pair_of: PairOf) -> None:
    size = harness.layout_size(row.variant)
    good = buffer(size)
    buffers = (
        *BAD_POINTERS, buffer_at_page_end(size), buffer_cut(size, size - 1), buffer_cut(size, 8),
        buffer_read_only(size),
    )  # fmt: skip
    usual = {"dirfd": AT_FDCWD, "flags": 0, "mask": STATX_BASIC, "buffer": good}
    with pair_of(build) as pair:
        adorn(pair)
        fds = descriptors(pair)
        if "fd" in row.arguments:
            pair.compare(arguments(row, fd=fd, buffer=good) for fd in fds.values())
            pair.compare(
                arguments(row, fd=fd, buffer=bad)
                for fd in (fds["file"], fds["closed"])
                for bad in buffers
            )
            return
        own = paths_of_own_process(fds["file"], fds["dir"])
        paths = [*PLAIN_PATHS, "null", "disk", "null/x", *POINTERS, *own]
        paths += [Here("file"), Here("dirlink/inside"), Here("link"), Here("missing")]
        pair.compare(arguments(row, **{**usual, "path": path}) for path in paths)
        some = ("file", "link", "null", "missing", "", NULL, *own[:7])
        pair.compare(
            arguments(row, **{**usual, "path": path, "buffer": bad})
            for path in some
            for bad in buffers
        )
        if "dirfd" not in row.arguments:
            return
        pair.compare(
            arguments(row, **{**usual, "path": path, "flags": flags})
            for path in paths
            for flags in AT_FLAGS
        )
        pair.compare(
            arguments(row, **{**usual, "path": path, "flags": flags, "dirfd": fd})
            for path in ("inside", "file", "", NULL, ".", "..", "../link", Here("file"), "x/", 1)
            for flags in AT_FLAGS
            for fd in fds.values()
        )
        if "mask" not in row.arguments:
            return
        masks = [1 << bit for bit in range(12)] + [0, 0xFFF, 0x3000, 0x4000, 0x8000]
        masks += [0x8000_0000, 0x7FFF_FFFF, garbled(STATX_BASIC)]
        pair.compare(
            arguments(row, **{**usual, "path": path, "mask": mask})
            for path in ("file", "link", "null", "tool", "dir", "missing")
            for mask in masks
        )


ACCESS_MODES = (*range(8), 8, 12, 0o100, -1, 0x8000_0004, garbled(0), garbled(1), garbled(6))
ACCESS_FLAGS = (*AT_FLAGS, AT_EACCESS, AT_EACCESS | AT_SYMLINK_NOFOLLOW, 0x1300, garbled(0x200))
NODE_MODES = (0, 0o1, 0o10, 0o100, 0o111, 0o222, 0o444, 0o600, 0o611, 0o644, 0o755, 0o4000, 0o7666)
SYSTEM = ("/usr", "/usr/bin/env", "/etc/passwd", "/etc/shadow", "/root", "/dev/null", "/dev/full",
          "/proc/version", "/proc/1", "/proc/1/environ", "/proc/1/fd", "/sys/kernel")  # fmt: skip

KINDS_BY_LETTER = {
    "f": stat.S_IFREG, "c": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO,
    "s": stat.S_IFSOCK, "d": stat.S_IFDIR,
}  # fmt: skip


def nodes_of_every_mode(pair: Pair) -> list[str]:
    """Makes files of every kind in every mode that matters, and links to them."""
    calls: list[tuple[Any, ...]] = []
    made: list[str] = []
    for letter, kind in KINDS_BY_LETTER.items():
        for mode in NODE_MODES:
            name = f"{letter}{mode:o}"
            if kind == stat.S_IFDIR:
                calls.append(("mkdirat", AT_FDCWD, name, 0o700))
            else:
                calls.append(("mknod", name, kind | 0o600, encode_device(1, 3)))
            calls.append(("chmod", name, mode))
            calls.append(("symlinkat", name, AT_FDCWD, f"to-{name}"))
            made += [name, f"to-{name}"]
    pair.prepare(calls)
    return made


@pytest.mark.parametrize(("build", "row"), table_rows("access"))
def test_access_answers_as_it_answers_real_root(build: str, row: Syscall, pair_of: PairOf) -> None:
    usual: dict[str, Any] = {"dirfd": AT_FDCWD, "flags": 0}

    def ask(**values: Any) -> tuple[Any, ...]:
        return arguments(row, **{**usual, **values})

    with pair_of(build) as pair:
        adorn(pair)
        pair.prepare([("chmod", "hard", 0o4001), ("mknod", "dir/node", stat.S_IFCHR | 0o10, 5)])
        fds = descriptors(pair)
        own = paths_of_own_process(fds["file"], fds["dir"])
        paths = [*PLAIN_PATHS, "null", "disk", "null/x", *POINTERS, *own, *SYSTEM]
        paths += [Here("file"), Here("dirlink/inside"), Here("link"), Here("missing"), "dir/node"]
        pair.compare(ask(path=path, mode=mode) for path in paths for mode in ACCESS_MODES)
        made = nodes_of_every_mode(pair)
        pair.compare(ask(path=path, mode=mode) for path in made for mode in range(8))
        if "dirfd" in row.arguments:
            pair.compare(
                ask(path=path, mode=mode, dirfd=fd)
                for path in ("inside", "", NULL, "..", "../link", Here("file"), "node", "x/", 1)
                for mode in (0, 1, 2, 4, 7, 8)
                for fd in fds.values()
            )
        if "flags" not in row.arguments:
            return
        pair.compare(
            ask(path=path, mode=mode, flags=flags)
            for path in ("file", "link", "dangling", "loop", "null", "", NULL, "missing", *own[:8])
            for mode in ACCESS_MODES
            for flags in ACCESS_FLAGS
        )
        pair.compare(
            ask(path=path, mode=mode, flags=flags, dirfd=fd)
            for path in ("", "inside", ".", NULL, 1)
            for mode in (0, 1, 2, 4, 7, 8)
            for flags in (AT_EMPTY_PATH, AT_EMPTY_PATH | AT_EACCESS | AT_SYMLINK_NOFOLLOW)
            for fd in fds.values()
        )
        pair.compare(
            ask(path=path, mode=mode, flags=AT_SYMLINK_NOFOLLOW) for path in made for mode in (1, 7)
        )


# Where the tree is seen once more, and how.
VIEWS = {"ro": "ro", "noexec": "noexec", "both": "ro,noexec"}


def _mount(*arguments_: str | Path) -> None:
    done = subprocess.run(["mount", *arguments_], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"root cannot mount here: {done.stderr.strip()}")


@contextlib.contextmanager
def mounted(pair: Pair) -> Iterator[None]:
    """Each side's tree once more under every one of VIEWS, and a tmpfs beside it."""
    with contextlib.ExitStack() as stack:

        def mount(where: Path, *how: str | Path) -> None:
            where.mkdir()
            stack.callback(where.rmdir)
            _mount(*how, where)
            stack.callback(subprocess.run, ["umount", where], check=True)

        for side in (pair.real, pair.fake):
            for name, options in VIEWS.items():
                mount(side.directory.parent / name, "--bind", side.directory)
                _mount("-o", f"remount,bind,{options}", side.directory.parent / name)
            mount(side.directory.parent / "tmpfs", "-t", "tmpfs", "-o", "mode=1777", "tmpfs")
        yield


@pytest.mark.parametrize("build", COMPARED)
def test_access_heeds_mounts_as_it_does_for_real_root(build: str, pair_of: PairOf) -> None:
    def ask(path: str, mode: int, flags: int = 0) -> tuple[Any, ...]:
        return ("faccessat2", AT_FDCWD, path, mode, flags)

    with pair_of(build) as pair, mounted(pair), strangers(pair, "link", "fifo", "dir"):
        adorn(pair)
        made = [*nodes_of_every_mode(pair), *WITH_NODES]
        flags = (0, AT_SYMLINK_NOFOLLOW)
        for view in VIEWS:
            paths = [f"../{view}/{name}" for name in made]
            pair.compare(ask(*case) for case in itertools.product(paths, range(8), flags))
        for name in ("f755", "f644", "c755", "p755"):
            pair.prepare([("mknod", f"../tmpfs/{name}", KINDS_BY_LETTER[name[0]] | 0o600, 5)])
            pair.prepare([("chmod", f"../tmpfs/{name}", int(name[1:], 8))])
        pair.prepare([("symlinkat", "f755", AT_FDCWD, "../tmpfs/link")])
        paths = [f"../tmpfs/{name}" for name in ("", "f755", "f644", "c755", "p755", "link")]
        for options in ("ro,noexec", "rw,noexec", "ro,exec", "rw,exec"):
            for side in (pair.real, pair.fake):
                _mount("-o", f"remount,{options}", side.directory.parent / "tmpfs")
            pair.compare(ask(*case) for case in itertools.product(paths, range(8), flags))


@contextlib.contextmanager
def strangers(pair: Pair, *names: str) -> Iterator[None]:
    """Files that meanwhile belong to neither user for real."""
    try:
        for side in (pair.real, pair.fake):
            for name in names:
                os.chown(side.directory / name, 7, 7, follow_symlinks=False)
        yield
    finally:
        for side, user in ((pair.real, ROOT), (pair.fake, unprivileged())):
            for name in names:
                os.chown(side.directory / name, user, user, follow_symlinks=False)


@contextlib.contextmanager
def immutable(paths: Sequence[Path]) -> Iterator[None]:
    """Files that nobody may change meanwhile."""
    done = subprocess.run(["chattr", "+i", *paths], capture_output=True, text=True, check=False)
    try:
        if done.returncode:
            pytest.skip(f"the file system has no immutable files: {done.stderr.strip()}")
        yield
    finally:
        subprocess.run(["chattr", "-i", *paths], capture_output=True, check=False)


@pytest.mark.parametrize("build", COMPARED)
def test_access_heeds_immutable_files_as_it_does_for_real_root(build: str, pair_of: PairOf) -> None:
    names = ("file", "tool", "dir", "other")
    with pair_of(build) as pair, mounted(pair), strangers(pair, "file", "dir"):
        pair.prepare([("fchownat", AT_FDCWD, "tool", 5, 6, 0), ("chmod", "other", 0)])
        with immutable(
            [side.directory / name for side in (pair.real, pair.fake) for name in names]
        ):
            pair.compare(
                ("faccessat2", AT_FDCWD, f"{view}/{name}", mode, 0)
                for view in (".", *(f"../{view}" for view in VIEWS))
                for name in names
                for mode in range(8)
            )


IDS = (
    (0, 0), (5, 6), (-1, -1), (7, -1), (-1, 8), (0, -1), (65534, 65534), (65535, 65535),
    (65536, 65537), (0x7FFF_FFFF, 0x8000_0000), (-2, -2), (0xFFFF_0005, 0x1_0006),
    (garbled(9), garbled(10)), (garbled(-1), garbled(-1)),
)  # fmt: skip

SPECIAL_MODES = (0o6755, 0o4755, 0o2755, 0o2745, 0o6744, 0o6711, 0o6666, 0o7777, 0o4000, 0o2010)
KINDS = ("file", "dir", "fifo", "socket", "null", "disk")


@pytest.mark.parametrize(("build", "row"), table_rows("chown"))
def test_chown_does_what_real_root_would(build: str, row: Syscall, pair_of: PairOf) -> None:
    number = itertools.count(100)
    usual: dict[str, Any] = {"dirfd": AT_FDCWD, "flags": 0}

    def change(**values: Any) -> list[tuple[Any, ...]]:
        ids = {"uid": next(number), "gid": next(number)}
        return [arguments(row, **{**usual, **ids, **values}), *pair.looks(WITH_NODES)]

    def chain(changes: Iterable[list[tuple[Any, ...]]]) -> None:
        pair.compare(itertools.chain.from_iterable(changes))

    with pair_of(build) as pair:
        adorn(pair)
        fds = descriptors(pair)
        by_fd = "fd" in row.arguments
        if by_fd:
            chain(change(fd=fd) for fd in fds.values())
            pair.compare(
                ("fstat" if pair.abi is Abi.X86_64 else "fstat64", fd, buffer(144))
                for name, fd in fds.items()
                if "socket" not in name and "pipe" not in name
            )
        else:
            own = [path for path in paths_of_own_process(fds["file"], fds["dir"])
                   if path not in ("/proc/self/exe", "/proc/self", "/dev/stdin")]  # fmt: skip
            own = [path for path in own if not path.endswith("fd/0")]
            inside = [path for path in PLAIN_PATHS if path not in ("..", "/", "//")]
            chain(change(path=path) for path in [*inside, *POINTERS, *own, Here("link")])
        for uid, gid in IDS:
            chain(change(path=path, fd=fds["file"], uid=uid, gid=gid) for path in ("file", "link"))
        if "dirfd" in row.arguments:
            few = {name: fds[name] for name in ("AT_FDCWD", "dir", "file", "closed")}
            all_but = {name: fd for name, fd in fds.items() if name not in ("pipe", "socket")}
            chain(
                change(path=path, flags=flags, dirfd=fd)
                for path in ("file", "link", "inside", "", NULL, Here("link"))
                for flags in AT_FLAGS
                for fd in (all_but if path == "" else few).values()
            )
        for name, mode in itertools.product(KINDS, SPECIAL_MODES):
            if by_fd and name not in ("file", "dir", "fifo"):
                continue
            for uid, gid in ((5, 6), (-1, -1), (-1, 7)):
                pair.prepare([("chmod", name, mode)])
                chain([change(path=name, fd=fds.get(name), uid=uid, gid=gid)])


@pytest.mark.parametrize(("build", "row"), table_rows("chmod"))
def test_chmod_does_what_real_root_would(build: str, row: Syscall, pair_of: PairOf) -> None:
    number = itertools.count(0o1111, 0o123)
    usual: dict[str, Any] = {"dirfd": AT_FDCWD, "flags": 0}

    def change(**values: Any) -> list[tuple[Any, ...]]:
        mode = {"mode": next(number) & 0o7777}
        return [arguments(row, **{**usual, **mode, **values}), *pair.looks(WITH_NODES)]

    def chain(changes: Iterable[list[tuple[Any, ...]]]) -> None:
        pair.compare(itertools.chain.from_iterable(changes))

    with pair_of(build) as pair:
        adorn(pair)
        fds = descriptors(pair)
        modes = [0, 0o7777, 0o644, 0o4755, 0o2755, 0o1777, 0o111, 0o177777, -1, garbled(0o640)]
        if "fd" in row.arguments:
            chain(change(fd=fd) for fd in fds.values())
            chain(change(fd=fds["file"], mode=mode) for mode in modes)
            return
        own = [path for path in paths_of_own_process(fds["file"], fds["dir"])
               if path not in ("/proc/self/exe", "/proc/self", "/dev/stdin")]  # fmt: skip
        own = [path for path in own if not path.endswith("fd/0")]
        inside = [path for path in PLAIN_PATHS if path not in ("..", "/", "//")]
        chain(change(path=path) for path in [*inside, *POINTERS, *own, Here("link")])
        chain(change(path=name, mode=mode) for name in WITH_NODES for mode in modes)
        if "dirfd" in row.arguments:
            kinds = [name for name in fds if name not in ("pipe", "socket")]
            chain(
                change(path=path, dirfd=fds[kind])
                for path in ("inside", "", "../file", Here("file"))
                for kind in kinds
            )
        if "flags" in row.arguments:
            chain(
                change(path=path, flags=flags, dirfd=fds[kind])
                for path in ("file", "link", "dangling", "inside", "", NULL)
                for flags in AT_FLAGS
                for kind in ("AT_FDCWD", "dir", "path to file", "path to link", "closed", "fifo")
            )


TYPES = {
    "none": 0, "regular": stat.S_IFREG, "character": stat.S_IFCHR, "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK, "directory": stat.S_IFDIR,
    "link": stat.S_IFLNK, "invalid": 0o170000, "whiteout": 0o160000,
}  # fmt: skip
DEVICES = (0, encode_device(1, 3), encode_device(8, 300), 0xFFFF_FFFF, encode_device(4095, 255))


@pytest.mark.parametrize(("build", "row"), operation_rows("creations", "mknod"))
def test_mknod_makes_what_real_root_would(build: str, row: Syscall, pair_of: PairOf) -> None:
    number = itertools.count()
    usual: dict[str, Any] = {"dirfd": AT_FDCWD, "dev": encode_device(5, 1)}

    def make(path: Any, mode: int, **values: Any) -> list[tuple[Any, ...]]:
        short = isinstance(path, str) and 0 < len(path) < NAME_MAX and ":" not in path
        looked = pair.looks([path] if short else TREE)
        return [arguments(row, **{**usual, **values, "path": path, "mode": mode}), *looked]

    def chain(changes: Iterable[list[tuple[Any, ...]]]) -> None:
        pair.compare(itertools.chain.from_iterable(changes))

    with pair_of(build) as pair:
        adorn(pair)
        fds = descriptors(pair)
        for umask in (0o022, 0, 0o777, 0o027):
            pair.real.ok("umask", umask)
            pair.fake.ok("umask", umask)
            chain(
                make(f"n{next(number)}", kind | mode, dev=device)
                for kind in TYPES.values()
                for mode in (0, 0o644, 0o7777, 0o4711)
                for device in (DEVICES if kind in (stat.S_IFCHR, stat.S_IFBLK) else DEVICES[1:2])
            )
        pair.real.ok("umask", 0o022)
        pair.fake.ok("umask", 0o022)
        bits = (0o666, stat.S_IFCHR | 0o666, stat.S_IFIFO | 0o600, stat.S_IFDIR | 0o700, 0o150000)
        own = [f"{path}{end}" for path in paths_of_own_process(fds["file"], fds["dir"])
               for end in ("", f"/m{next(number)}")]  # fmt: skip
        new = ["new/", "dir/new", "dirlink/newer", "dangling/new", "dir/./x", "dir/../y", "z/."]
        chain(
            make(path, mode, dev=garbled(encode_device(7, 8)))
            for path in [*PLAIN_PATHS, *POINTERS, *new, *own, Here("absolute")]
            for mode in bits
        )
        chain([make("garbled", garbled(stat.S_IFCHR | 0o640), dev=garbled(5))])
        chain([make("high", 0xFFFF_0000 | stat.S_IFIFO | 0o640)])
        if "dirfd" in row.arguments:
            chain(
                make(path, mode, dirfd=fd)
                for path in ("inside", "", Here("file"), "k", "../j", NULL)
                for mode in bits
                for fd in fds.values()
            )
        pair.compare(pair.looks([f"n{index}" for index in range(next(number))]))
        pair.compare(pair.looks(["dir/new", "dirlink/newer", "dir/x", "y", "dir/k", "j"]))


@pytest.mark.parametrize("build", COMPARED)
def test_mknod_in_a_set_group_id_directory_takes_its_group(build: str, pair_of: PairOf) -> None:
    with pair_of(build) as pair:
        pair.prepare([("lchown", "dir", 3, 7), ("chmod", "dir", 0o2775)])
        made = ("dir/regular", "dir/device", "dir/fifo")
        kinds = (stat.S_IFREG, stat.S_IFCHR, stat.S_IFIFO)
        pair.compare(
            ("mknod", path, kind | 0o2755, 5) for path, kind in zip(made, kinds, strict=True)
        )
        pair.compare(pair.looks(made))


@pytest.mark.parametrize(("build", "row"), table_rows("ids"))
def test_ids_are_those_of_real_root(build: str, row: Syscall, pair_of: PairOf) -> None:
    width = 2 if row.variant == "ids16" else 4
    with pair_of(build) as pair:
        if row.operation == "getid":
            pair.compare([(row,), (row, garbled(5), -1, 77)])
        elif row.operation == "getresid":
            good = buffer_at_page_end(width)
            bad = (*BAD_POINTERS, buffer_cut(width, 1), buffer_read_only(width))
            pair.compare([(row, good, good, good)])
            for position, pointer in itertools.product(range(3), bad):
                call: list[Any] = [good, good, good]
                call[position] = pointer
                pair.compare([(row, *call)])
        else:
            sizes = (0, 1, 2, 64, 65536, 65537, 0x7FFF_FFFF, -1, -5, garbled(0), garbled(1))
            lists: tuple[harness.Argument, ...] = (
                *BAD_POINTERS, buffer(width), buffer_at_page_end(width), buffer_cut(width, 1),
                buffer_read_only(width),
            )  # fmt: skip
            pair.compare((row, size, target) for size in sizes for target in lists)


def thinned(build: str, row: Syscall, cases: Iterable[Any]) -> list[Any]:
    """All cases for a family's most general call, else a third, whose turn differs by call."""
    if build == "x86-64-static" and "flags" in row.arguments:
        return list(cases)
    return list(cases)[(row.number(BUILDS[build].abi) or 0) % 3 :: 3]


NEST = ("a", "b", "c", "d", "d/x", "e", "l", "ld", "dl", "p", "n", "new", "d/new", "e/new", ".")


def nest(name: str, with_records: bool) -> list[tuple[Any, ...]]:
    """Calls that make a small directory: files, a hard link, directories, links, nodes."""

    def at(entry: str) -> str:
        return f"{name}/{entry}"

    calls: list[tuple[Any, ...]] = [
        ("mkdirat", AT_FDCWD, name, 0o755),
        ("mknod", at("a"), 0o644, 0),
        ("linkat", AT_FDCWD, at("a"), AT_FDCWD, at("b"), 0),
        ("mknod", at("c"), 0o600, 0),
        ("mkdirat", AT_FDCWD, at("d"), 0o755),
        ("mknod", at("d/x"), 0o600, 0),
        ("mkdirat", AT_FDCWD, at("e"), 0o755),
        ("symlinkat", "a", AT_FDCWD, at("l")),
        ("symlinkat", "d", AT_FDCWD, at("ld")),
        ("symlinkat", "gone", AT_FDCWD, at("dl")),
        ("mknod", at("p"), stat.S_IFIFO | 0o644, 0),
        ("mknod", at("n"), stat.S_IFCHR | 0o644, 259),
    ]
    if with_records:
        owned = ("a", "c", "d", "d/x", "e", "l", "ld", "dl", "p", "n")
        calls += [
            ("fchownat", AT_FDCWD, at(entry), 10 + index, 30 + index, AT_SYMLINK_NOFOLLOW)
            for index, entry in enumerate(owned)
        ]
    return calls


REMOVED = (
    "a", "b", "c", "d", "d/x", "e", "l", "ld", "dl", "p", "n", "missing", "a/", "d/", "e/", "l/",
    "ld/", "dl/", "n/", "ld/x", "a/x", ".", "..", "d/.", "d/..", "e/.", "ld/../c", "d//x", "e//",
    "missing/", "missing/x", "p/", "./a", f"{LONG_NAME}", f"{LONG_NAME}/",
)  # fmt: skip


@pytest.mark.parametrize("with_records", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("build", "row"), [param for param in table_rows("entries") if "unlink" in param.id
                     or "rmdir" in param.id]
)  # fmt: skip
def test_removal_does_what_real_root_would(
    build: str, row: Syscall, with_records: bool, pair_of: PairOf
) -> None:
    all_flags = (0, AT_REMOVEDIR, 1, AT_SYMLINK_NOFOLLOW, garbled(0), garbled(AT_REMOVEDIR), -1)
    flags = all_flags if "flags" in row.arguments else (0,)
    with pair_of(build) as pair:
        calls: list[tuple[Any, ...]] = []
        for path, flag in thinned(build, row, itertools.product(REMOVED, flags)):
            name = f"{len(calls):05}"
            removal = arguments(row, dirfd=AT_FDCWD, path=f"{name}/{path}", flags=flag)
            calls += nest(name, with_records)
            calls += [removal, *pair.looks(f"{name}/{entry}" for entry in NEST), removal]
        pair.compare(calls)
        fds = descriptors(pair)
        strange = ["", "/", *POINTERS, "/proc/self/fd/777", f"/proc/self/fd/{fds['file']}",
                   "/proc/self/cwd/other", "/proc/self/cwd/dir", "x" * 5000, LONGEST_PATH,
                   f"/proc/self/fd/{fds['dir']}/inside", f"/dev/fd/{fds['dir']}"]  # fmt: skip
        pair.compare(
            arguments(row, dirfd=AT_FDCWD, path=path, flags=flag)
            for path in strange
            for flag in flags
        )
        pair.compare(pair.looks())
        if "dirfd" in row.arguments:
            pair.compare(
                arguments(row, dirfd=fd, path=path, flags=flag)
                for fd in fds.values()
                for path in ("inside", "", ".", "..", "../empty", "missing", Here("tool"), NULL)
                for flag in flags
            )
            pair.compare(pair.looks())


MOVED_FROM = ("a", "b", "c", "d", "e", "l", "ld", "n", "p", "d/x", "missing", "d/", "a/", ".")
MOVED_TO = (
    "a", "b", "c", "d", "e", "l", "ld", "dl", "n", "p", "new", "d/new", "e/new", "new/", "d/x",
    "e/", "l/", "a/x", "missing/x", "..", "d/..",
)  # fmt: skip


@pytest.mark.parametrize("with_records", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("build", "row"), [param for param in table_rows("entries") if "rename" in param.id]
)
def test_rename_does_what_real_root_would(
    build: str, row: Syscall, with_records: bool, pair_of: PairOf
) -> None:
    flags = (0, 1, 2, 3, 4, 5, 6, 8, garbled(0), garbled(1)) if "flags" in row.arguments else (0,)
    usual = {"dirfd": AT_FDCWD, "new_dirfd": AT_FDCWD}
    with pair_of(build) as pair:
        # With every flag each would take too long: each pair gets none, and one in turn.
        turns = itertools.cycle(flags)
        calls: list[tuple[Any, ...]] = []
        for source, target in thinned(build, row, itertools.product(MOVED_FROM, MOVED_TO)):
            for flag in {flags[0], next(turns)}:
                name = f"{len(calls):05}"
                paths = {"path": f"{name}/{source}", "new_path": f"{name}/{target}"}
                calls += nest(name, with_records)
                calls.append(arguments(row, **usual, **paths, flags=flag))
                calls += pair.looks(f"{name}/{entry}" for entry in NEST)
        pair.compare(calls)
        fds = descriptors(pair)
        strange = ["", "/", ".", "..", "file/", *POINTERS, LONG_NAME, "x" * 5000]
        pair.compare(
            arguments(row, **usual, path=one, new_path=other, flags=0)
            for one, other in [
                *((path, "file") for path in strange),
                *(("file", path) for path in strange),
                *((path, "missing/x") for path in strange),
                *itertools.product(("", 1, LONG_NAME, "missing"), repeat=2),
            ]
        )
        pair.compare(pair.looks())
        if "dirfd" in row.arguments:
            pair.compare(
                arguments(row, dirfd=one, path=path, new_dirfd=other, new_path=new_path, flags=0)
                for one, other in itertools.product(fds.values(), repeat=2)
                for path, new_path in (("inside", "inside"), ("", "x"), ("missing", "inside"))
            )
            pair.compare(
                arguments(row, dirfd=one, path="inside", new_dirfd=other, new_path="file", flags=0)
                for one, other in ((fds["dir"], AT_FDCWD), (-1, fds["closed"]), (777, AT_FDCWD))
            )
            pair.compare(pair.looks())


@pytest.mark.parametrize("build", COMPARED)
def test_a_removed_file_is_still_root_s_to_change(build: str, pair_of: PairOf) -> None:
    with pair_of(build) as pair:
        fstat = ("fstat", 144) if pair.abi is Abi.X86_64 else ("fstat64", 96)
        pair.prepare([("lchown", "hard", 5, 6), ("chmod", "tool", 0o4755)])
        for name in ("file", "tool", "dir", "other"):
            fd, path_fd = pair.open(name), pair.open(name, O_PATH)
            look = [(fstat[0], number, buffer(fstat[1])) for number in (fd, path_fd)]
            if name == "dir":
                pair.prepare([("unlink", "dir/inside"), ("rmdir", "dir")])
            else:
                pair.prepare([("rename", "empty", "empty"), ("unlink", name)])
            pair.compare(look)
            pair.compare([("fchown", fd, 11, 12), ("fchmod", fd, 0o6711), *look])
            pair.compare([("fchownat", path_fd, "", 13, -1, AT_EMPTY_PATH), *look])
            pair.compare([("chown", f"/proc/self/fd/{path_fd}", 14, 15), *look])
        pair.compare(pair.looks())


def test_x32_calls_fail_alike(probe64: Probe) -> None:
    with sides(probe64) as pair:
        numbers = {row.number(Abi.X32) for row in harness.rows_of(Abi.X32, "stat")}
        for family in ("access", "chown", "chmod", "creations", "ids", "entries"):
            numbers |= {row.number(Abi.X32) for row in harness.rows_of(Abi.X32, family)}
        real, fake = (
            [
                _raw(session, number, "file", buffer(144), 0)
                for number in sorted(filter(None, numbers))
            ]
            for session in (pair.real, pair.fake)
        )
        assert [result.outcome for result in real] == [result.outcome for result in fake]
        pair.compare(pair.looks())


def _raw(session: Session, number: int, *arguments_: Any) -> Result:
    row = Syscall(
        name=f"x32 {number:#x}",
        family="x32",
        operation="",
        arguments=(),
        reason="",
        x86_64=number,
    )
    return session.call(row, *arguments_)


names = st.sampled_from(FEW)
small_ids = st.sampled_from([-1, 0, 5, 65534, 65536, 2**31])
# Without set-group-ID: files made below such a directory take its group (a later issue).
small_modes = st.integers(0, 0o7777).map(lambda mode: mode & ~0o2000)
no_follow = st.sampled_from([0, AT_SYMLINK_NOFOLLOW])
node_types = st.sampled_from([stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])

operations = st.one_of(
    st.tuples(st.just("fchownat"), st.just(AT_FDCWD), names, small_ids, small_ids, no_follow),
    st.tuples(st.just("fchownat"), st.just(-1), st.just(""), small_ids, small_ids, no_follow),
    st.tuples(st.just("chmod"), names, small_modes),
    st.builds(
        lambda name, kind, mode: ("mknod", name, kind | mode, 0x105), names, node_types, small_modes
    ),
    st.tuples(st.just("faccessat2"), st.just(AT_FDCWD), names, st.integers(0, 7), no_follow),
    st.tuples(st.just("unlink"), names),
    st.tuples(st.just("rmdir"), names),
    st.tuples(st.just("rename"), names, names),
    st.tuples(
        st.just("renameat2"),
        st.just(AT_FDCWD),
        names,
        st.just(AT_FDCWD),
        names,
        st.sampled_from([0, 1, 2]),
    ),
    st.tuples(st.just("linkat"), st.just(AT_FDCWD), names, st.just(AT_FDCWD), names, st.just(0)),
    st.tuples(st.just("symlinkat"), names, st.just(AT_FDCWD), names),
    st.tuples(st.just("mkdirat"), st.just(AT_FDCWD), names, st.just(0o755)),
    # A descriptor that later operations reach as "the held file".
    st.tuples(st.just("hold"), names),
)
HELD = 60


@pytest.mark.parametrize("build", COMPARED)
@settings(
    max_examples=harness.examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(operations, min_size=3, max_size=25))
@example(
    steps=[
        ("hold", "a"),
        ("fchownat", AT_FDCWD, "b", 5, 5, 0),
        ("unlink", "a"),
        ("rename", "d/x", "b"),
        ("fchownat", -1, "", 0, -1, 0),
    ]
)
def test_any_sequence_of_calls_agrees(
    build: str, probes: Probes, steps: list[tuple[Any, ...]]
) -> None:
    with sides(probes(build), harness.populate_few) as pair:
        name, size = ("fstat", 144) if pair.abi is Abi.X86_64 else ("fstat64", 96)
        fstat = (name, HELD, buffer(size))
        pair.prepare([("dup3", pair.open("."), HELD, 0)])
        for step in steps:
            if step[0] == "hold":
                pair.hold(step[1], HELD)
                continue
            if step[1] == -1:
                step = (step[0], HELD, "", *step[3:5], step[5] | AT_EMPTY_PATH)
            pair.compare([step, *pair.looks(FEW), fstat])
