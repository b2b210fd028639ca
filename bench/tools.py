"""The tools: how each is found, asked for its version, and put before a command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable

import attrs

from bench.scratch import Scratch

ANY_OWNER = -1


def _no_environment(_scratch: Scratch) -> dict[str, str]:
    return {}


@attrs.frozen
class Tool:
    """Something that a command can be run under.

    ``front``: what stands before the command, the program first; empty for native.
    ``reaches_static``: whether programs that load no library are served.
    ``unknown_is_root``: whether files that were never changed look like root's.
    ``environment``: variables the tool needs; ``close``: a command that ends what
    the tool leaves running.
    """

    name: str
    front: tuple[str, ...] = ()
    install: str = ""
    ask_version: tuple[str, ...] = ("-v",)
    reaches_static: bool = True
    unknown_is_root: bool = True
    environment: Callable[[Scratch], dict[str, str]] = _no_environment
    close: tuple[str, ...] = ()
    remark: str = ""

    @property
    def path(self) -> str | None:
        """The tool's program; None if it is not there, "" for native."""
        return shutil.which(self.front[0]) if self.front else ""

    @property
    def present(self) -> bool:
        return self.path is not None

    def wrap(self, command: list[str]) -> list[str]:
        if not self.front:
            return command
        return [self.path or self.front[0], *self.front[1:], *command]

    def owner_seen(self, scratch: Scratch) -> int:
        """The owner that an unchanged file in the scratch directory must show."""
        if not self.front:
            return scratch.uid
        return 0 if self.unknown_is_root else ANY_OWNER

    def version(self) -> str:
        if not self.path:
            return ""
        try:
            done = subprocess.run(
                [self.path, *self.ask_version],
                capture_output=True, text=True, timeout=20, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return "?"
        found = re.search(r"\d+(\.\d+)+\S*", done.stdout + done.stderr)
        return found.group() if found else "?"


def _pseudo_environment(scratch: Scratch) -> dict[str, str]:
    state = scratch.directory("pseudo")
    return {"PSEUDO_PREFIX": "/usr", "PSEUDO_LOCALSTATEDIR": state}


def _own(name: str = "fakeroot-sc", *options: str) -> Tool:
    """fakeroot-sc of this interpreter's environment, with options."""
    return Tool(
        name=name,
        front=(os.path.join(sysconfig.get_path("scripts"), "fakeroot-sc"), *options, "--"),
        install=f"{sys.executable} -m pip install .",
    )


def _fakeroot(name: str, program: str) -> Tool:
    return Tool(
        name=name, front=(program, "--"), install="apt install fakeroot", reaches_static=False
    )


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(name="native"),
        _own(),
        _own("fakeroot-sc-no-shim", "--no-shim"),
        _fakeroot("fakeroot", "fakeroot-sysv"),
        _fakeroot("fakeroot-tcp", "fakeroot-tcp"),
        Tool(
            name="pseudo",
            front=("pseudo",),
            install="apt install pseudo",
            ask_version=("-V",),
            reaches_static=False,
            unknown_is_root=False,
            environment=_pseudo_environment,
            close=("-S",),
            remark="its server outlives a run, so that later runs start faster",
        ),
        Tool(
            name="proot",
            front=("proot", "-0"),
            install="apt install proot",
            ask_version=("-V",),
            remark="5.1 (Debian 12) does not know statx(2): programs that use it are not served",
        ),
    )
}


def installation_remarks() -> list[str]:
    """What about the installation of fakeroot-sc would falsify its numbers."""
    probe = (
        "import importlib.metadata as m, os, fakeroot_sc;"
        "d = m.distribution('fakeroot-sc').read_text('direct_url.json') or '';"
        "print('\"editable\": true' in d,"
        " os.path.isdir(os.path.join(os.path.dirname(fakeroot_sc.__file__), '__pycache__')))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", probe],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        return [f"fakeroot-sc is not installed for {sys.executable}"]
    editable, compiled = (word == "True" for word in done.stdout.split())
    remarks = []
    if editable:
        remarks.append("fakeroot-sc is an editable install: its start-up is slower than the real")
    if not compiled:
        remarks.append("fakeroot-sc is installed without .pyc files: its start-up is slower")
    return remarks
