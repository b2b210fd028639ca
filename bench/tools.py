"""The tools: how each is found, asked for its version, and put before a command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence

import attrs

from bench.scratch import MAPPED, Scratch

ANY_OWNER = -1
TRIAL_MOST = 20.0  # seconds


def _no_environment(_scratch: Scratch) -> dict[str, str]:
    return {}


@attrs.frozen
class Tool:
    """Something that a command can be run under.

    ``front``: what stands before the command, the program first; empty for native.
    ``reaches_static``: whether programs that load no library are served.
    ``unknown_is_root``: whether files that were never changed look like root's.
    ``no_owners``, ``no_devices``: why files cannot be given away, devices not be made.
    ``really``: whether files change on disk, for whoever looks.
    ``environment``: variables the tool needs; ``close``: a command that ends what
    the tool leaves running.  ``trial``: whether it works here is found out by running
    ``true`` under it; ``install`` says what is to be done else.
    """

    name: str
    front: tuple[str, ...] = ()
    install: str = ""
    ask_version: tuple[str, ...] = ("-v",)
    reaches_static: bool = True
    unknown_is_root: bool = True
    no_owners: str = ""
    no_devices: str = ""
    really: bool = False
    trial: bool = False
    environment: Callable[[Scratch], dict[str, str]] = _no_environment
    close: tuple[str, ...] = ()
    remark: str = ""

    @property
    def path(self) -> str | None:
        """The tool's program; None if it is not there, "" for native."""
        return shutil.which(self.front[0]) if self.front else ""

    @property
    def own(self) -> bool:
        """Whether it is fakeroot-sc, in whatever mode."""
        return self.name.startswith("fakeroot-sc")

    def missing(self, scratch: Scratch) -> str:
        """Why the tool cannot be measured, and what to do; empty if it can."""
        if self.path is None:
            return f"missing: {self.install}"
        if self.trial:
            done = scratch.run(self.wrap(["true"]), self.environment(scratch), TRIAL_MOST)
            return f"does not work here ({done.trouble}): {self.install}" if done.trouble else ""
        return ""

    def wrap(self, command: list[str]) -> list[str]:
        if not self.front:
            return command
        return [self.path or self.front[0], *self.front[1:], *command]

    def owner_seen(self, scratch: Scratch) -> int:
        """The owner that an unchanged file in the scratch directory must show."""
        if not self.front:
            return scratch.uid
        return 0 if self.unknown_is_root else ANY_OWNER

    def ids_seen(self, scratch: Scratch) -> tuple[int, int]:
        """The same with the group."""
        owner = self.owner_seen(scratch)
        return owner, owner if self.front else scratch.gid

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
        trial="--mode" in options,
    )


def _fakeroot(name: str, program: str) -> Tool:
    return Tool(
        name=name, front=(program, "--"), install="apt install fakeroot", reaches_static=False
    )


def _namespaces(name: str, options: tuple[str, ...], install: str, no_owners: str = "") -> Tool:
    """Root of a user namespace, by unshare(1)."""
    return Tool(
        name=name,
        front=("unshare", *options, "--"),
        install=install,
        ask_version=("-V",),
        no_owners=no_owners,
        no_devices="no user namespace makes devices",
        really=True,
        trial=True,
    )


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            name="native",
            no_owners="an ordinary user must not",
            no_devices="an ordinary user must not",
        ),
        _own(),
        _own("fakeroot-sc-no-shim", "--no-shim"),
        _own("fakeroot-sc-ptrace", "--mode", "ptrace"),
        _own("fakeroot-sc-ptrace-no-shim", "--mode", "ptrace", "--no-shim"),
        _own("fakeroot-sc-ptrace-all", "--mode", "ptrace-all", "--no-shim"),
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
            remark="5.1 (Debian 12) does not know statx(2): relative looks of newer coreutils fail"
            " under it, which is marked (wrong), not counted as speed",
        ),
        _namespaces(
            "userns",
            ("--map-root-user",),
            "apt install util-linux, and user namespaces must be allowed"
            " (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)",
            no_owners="the namespace has a single id",
        ),
        _namespaces(
            "userns-mapped",
            MAPPED,
            "apt install uidmap util-linux, and a user whom /etc/subuid and /etc/subgid give ids"
            " (started as root: name one by --user)",
        ),
    )
}


def find(asked: Sequence[Tool], scratch: Scratch) -> tuple[list[Tool], dict[str, str]]:
    """The tools that can be measured, and of the others why not, by name."""
    missing = {tool.name: tool.missing(scratch) for tool in asked}
    return [tool for tool in asked if not missing[tool.name]], {
        name: why for name, why in missing.items() if why
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
