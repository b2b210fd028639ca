"""A whole ``dpkg-buildpackage`` of a small C package: that of our own programs.

The package asks for a fake root (``Rules-Requires-Root: binary-targets``), which dpkg then
puts before the part of the build that packs.  The build to compare with needs none: dpkg-deb
writes root's name by itself (``no``).
"""

import glob
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable

from bench.question import Case, Effort, Place, Question, Row
from bench.scratch import PROGRAMS, Scratch
from bench.tools import Tool

NAME = "fakeroot-sc-bench"
NEEDED = {"dpkg-buildpackage": "dpkg-dev", "dh": "debhelper", "make": "make", "gcc": "gcc"}
ROOM = 10_000_000  # bytes, for a build
ESSENTIAL = "/usr/share/build-essential/essential-packages-list"

CONTROL = """\
Source: {name}
Section: misc
Priority: optional
Maintainer: A Person <person@example.org>
Build-Depends: debhelper-compat (= 13)
Standards-Version: 4.6.2
Rules-Requires-Root: {root}

Package: {name}
Architecture: any
Depends: ${{misc:Depends}}, ${{shlibs:Depends}}
Description: small programs
 Each repeats one call.
"""
CHANGELOG = """\
{name} (1) unstable; urgency=low

  * First.

 -- A Person <person@example.org>  Sat, 01 Jan 2022 00:00:00 +0000
"""
RULES = """\
#!/usr/bin/make -f
%:
\tdh $@
"""
MAKEFILE = """\
programs := $(basename $(wildcard *.c))
all: $(programs)
install: all
\tinstall -d $(DESTDIR)/usr/libexec/{name}
\tinstall $(programs) $(DESTDIR)/usr/libexec/{name}
clean:
\trm -f $(programs)
"""


def _missing() -> str:
    needed = {package for program, package in NEEDED.items() if not shutil.which(program)}
    if not os.path.exists(ESSENTIAL):
        needed.add("build-essential")
    return f"apt install {' '.join(sorted(needed))}" if needed else ""


def _write_source(scratch: Scratch, place: str, root: str) -> str:
    """The source of a package that says ``root`` of the root it requires."""
    source = scratch.directory(f"{place}/source")
    scratch.directory(f"{source}/debian")
    for name in os.listdir(PROGRAMS):
        with open(os.path.join(PROGRAMS, name), encoding="utf-8") as file:
            scratch.text(os.path.join(source, name), file.read())
    scratch.text(f"{source}/Makefile", MAKEFILE.format(name=NAME))
    scratch.text(f"{source}/debian/control", CONTROL.format(name=NAME, root=root))
    scratch.text(f"{source}/debian/changelog", CHANGELOG.format(name=NAME))
    scratch.text(f"{source}/debian/rules", RULES, 0o755)
    return source


def _contents(package: str) -> list[tarfile.TarInfo]:
    done = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", package], capture_output=True, timeout=60, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as opened:
        return opened.getmembers()


def _built(place: str) -> Callable[[], str | None]:
    programs = {os.path.splitext(name)[0] for name in os.listdir(PROGRAMS) if name.endswith(".c")}

    def after() -> str | None:
        packages = glob.glob(os.path.join(place, f"{NAME}_1_*.deb"))
        if len(packages) != 1:
            return f"{len(packages)} packages built, not 1"
        members = _contents(packages[0])
        lacking = programs - {os.path.basename(member.name) for member in members}
        if lacking:
            return f"not in the package: {' '.join(sorted(lacking))}"
        for member in members:
            owner = (member.uid, member.gid, member.uname, member.gname)
            if owner != (0, 0, "root", "root"):
                return f"{member.name} is not of root:root, but of {owner}"
        return None

    return after


def _forget(place: str) -> None:
    for package in glob.glob(os.path.join(place, f"{NAME}_1_*.deb")):
        os.unlink(package)


def cases(scratch: Scratch, tool: Tool, _effort: Effort) -> list[Case]:
    missing = _missing()
    if missing:
        return [Case(command=[], cannot=missing)]
    place = scratch.memory_directory(f"package-{tool.name}", ROOM)
    source = _write_source(scratch, place, "binary-targets" if tool.front else "no")
    build = ["dpkg-buildpackage", "-b", "-us", "-uc"]
    if tool.front:
        build.append(f"-r{' '.join(tool.wrap([]))}")
    inside = ["env", "-C", source, f"TMPDIR={place}"]
    return [
        Case(
            command=[*inside, scratch.program("clock"), "1", *build],
            outside=True,
            before=lambda: _forget(place),
            after=_built(place),
        )
    ]


QUESTION = Question(
    title="dpkg-buildpackage of a small C package",
    unit="ns",
    order=120,
    cases=cases,
    weight=4,
    rows=(
        Row(
            "a whole dpkg-buildpackage, against one without any fake root",
            Place("fakeroot-sc"),
            Place("native"),
            at_most=1.05,
            issue=3,
        ),
        Row(
            "a whole dpkg-buildpackage, against fakeroot's", Place("fakeroot-sc"), Place("fakeroot")
        ),
    ),
)
