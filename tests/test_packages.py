# SPDX-License-Identifier: Apache-2.0
"""Real Debian source packages: what they pack under fakeroot-sc is what fakeroot packs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import installed
import pytest

PATIENCE = 200.0
SOURCES = Path("/etc/apt/sources.list.d"), Path("/etc/apt/sources.list")
# What they set: modes and groups of programs that run as others.
PACKAGES = {
    "procmail": [
        "-rwsr-sr-x root/mail ./usr/bin/procmail",
        "-rwxr-sr-x root/mail ./usr/bin/lockfile",
    ],
    "cron": ["./usr/bin/crontab", "./etc/crontab"],
    "anacron": ["./usr/sbin/anacron", "./var/spool/anacron/"],
}


def need(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (dpkg-dev, debhelper, fakeroot)")


def source_lists(directory: Path) -> None:
    """The machine's own package sources, asked for source packages."""
    parts = directory / "parts"
    parts.mkdir()
    found = [*SOURCES[0].glob("*.sources"), *SOURCES[0].glob("*.list"), SOURCES[1]]
    for path in found:
        if path.exists():
            text = re.sub(r"(?m)^deb ", "deb-src ", path.read_text())
            text = re.sub(r"(?m)^Types: deb\b.*$", "Types: deb-src", text)
            (parts / path.name).write_text(text)


@pytest.fixture(scope="session")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where source packages lie; skips where none are to be had."""
    need("apt-get", "dpkg-source", "dh", "fakeroot", "gcc")
    directory = tmp_path_factory.mktemp("sources")
    source_lists(directory)
    for name in ("lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True)
    (directory / "apt.conf").write_text(
        'Dir::Etc::sourcelist "/dev/null";\n'
        f'Dir::Etc::sourceparts "{directory}/parts";\n'
        f'Dir::State::lists "{directory}/lists";\n'
        f'Dir::Cache "{directory}/cache";\n'
        'Acquire::Retries "1";\n'
    )
    if apt(directory, "update").returncode:
        pytest.skip("no source packages are to be had: apt-get update failed")
    return directory


def apt(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(["apt-get", "-qq", *arguments], directory, APT_CONFIG=f"{directory}/apt.conf")


def run(
    command: list[str], directory: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "LC_ALL": "C", "DEB_BUILD_OPTIONS": "nocheck noopt", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def contents(directory: Path) -> list[str]:
    """Mode, owner, name and size of every file in every package."""
    found = []
    for package in sorted(directory.glob("*.deb")):
        listing = run(["dpkg-deb", "-c", str(package)], directory).stdout
        for line in listing.splitlines():
            mode, owner, size, _date, _time, *name = line.split()
            found.append(" ".join([mode, owner, "" if mode[0] == "d" else size, *name]))
    return found


@pytest.mark.timeout(600)
@pytest.mark.skipif(bool(installed.OPTIONS), reason="packages of real sources are built once")
@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_is_packed_as_by_fakeroot(fetched: Path, tmp_path: Path, name: str) -> None:
    if apt(fetched, "source", "--download-only", name).returncode:
        pytest.skip(f"the source of {name} is not to be had")
    (description,) = fetched.glob(f"{name}_*.dsc")
    unpacked = run(["dpkg-source", "-x", str(description), "source"], tmp_path)
    assert unpacked.returncode == 0, unpacked.stderr
    source = tmp_path / "source"
    lacking = run(["dpkg-checkbuilddeps"], source)
    if lacking.returncode:
        pytest.skip(f"{name} cannot be built here: {lacking.stderr.strip()}")
    built = run(["debian/rules", "build"], source)
    assert built.returncode == 0, built.stderr[-2000:]
    shown = []
    for tool in (installed.FAKEROOT_SC, shutil.which("fakeroot") or ""):
        place = tmp_path / Path(tool).name
        shutil.copytree(source, place / "source", symlinks=True)
        made = run([tool, "--", "debian/rules", "binary"], place / "source")
        assert made.returncode == 0, made.stderr[-2000:]
        shown.append(contents(place))
    assert shown[0] == shown[1]
    said = [" ".join(line.split()) for line in shown[0]]
    for wanted in PACKAGES[name]:
        parts = wanted.split()
        assert any(all(part in line for part in parts) for line in said), wanted
