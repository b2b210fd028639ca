"""Running commands as fake root from Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def command(arguments: Sequence[str]) -> list[str]:
    """The command line of fakeroot-sc with these arguments, run by this interpreter."""
    front = os.path.join(_PACKAGE, "front")
    place = os.path.dirname(_PACKAGE)
    return [front, f"--supervisor-python={sys.executable}", place, *arguments]


def run(
    args: Sequence[str | os.PathLike[str]],
    *,
    unknown_is_real: bool = False,
    shim: bool = True,
    mode: str = "auto",
    load: str | os.PathLike[str] | None = None,
    save: str | os.PathLike[str] | None = None,
    state: str | os.PathLike[str] | None = None,
    **kwargs: Any,
) -> subprocess.CompletedProcess[Any]:
    """Runs a command as fake root and waits for it, as :func:`subprocess.run` would.

    ``args`` is the command and its arguments; a shell is ``["sh", "-c", script]``.
    With ``unknown_is_real`` files keep their real owners until they are changed,
    without ``shim`` all calls go to the supervisor, which ``mode`` tells how (``--mode``:
    "auto", "notify", "ptrace" or "ptrace-all").  ``load`` and ``save`` are the files
    of the options ``-i`` and ``-s``, of which one may be both, ``state`` is that of ``--state``.
    All other keyword arguments are those of :func:`subprocess.run`, and so are the
    result (its ``args`` are the ones given here) and the exceptions.  A command
    that a signal ended has ``returncode`` 128 + n; 125 says that fakeroot-sc
    itself failed, with the reason on standard error.
    """
    if isinstance(args, str | bytes):
        raise TypeError("args must be a list: for a shell command, ['sh', '-c', args]")
    if kwargs.get("shell") or kwargs.get("executable"):
        raise TypeError("shell and executable are not supported: put them into args")
    options = ["-u"] * unknown_is_real + ["--no-shim"] * (not shim) + ["--mode", mode]
    for option, path in (("-i", load), ("-s", save), ("-p", state)):
        if path is not None:
            options += [option, os.fspath(path)]
    try:
        done = subprocess.run(
            command([*options, "--", *[os.fspath(argument) for argument in args]]), **kwargs
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        error.cmd = list(args)
        raise
    done.args = list(args)
    return done
