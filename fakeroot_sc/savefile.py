"""The files of ``-i`` and ``-s``: fakeroot's, a line for each file that is remembered.

Imported only where one is asked for.
"""

import errno
import os
from collections.abc import Callable

from fakeroot_sc import _core
from fakeroot_sc.destination import Destination
from fakeroot_sc.plan import TROUBLE

_Run = Callable[[bytes | None, "_core.Ended | None"], "_core.Launched"]


class SaveFileError(Exception):
    """A file that cannot be loaded or saved; the text says which and why."""


def run_with_files(load: str | None, save: str | None, run: _Run) -> "_core.Launched":
    """Runs with what one file holds, and what saves to another; both may be the same.
    Returns what ``run`` returns.  Raises SaveFileError, with nothing run."""
    loaded = _read(load) if load is not None else None
    saver = Saver(save) if save is not None else None
    try:
        return run(loaded, saver)
    except ValueError as error:
        line, why = error.args
        raise SaveFileError(f"{load}: line {line}: {why}: not a file that -s has saved") from error


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise SaveFileError(f"{path}: cannot load: {error.strerror}") from error


def _error(path: str, why: str | None) -> SaveFileError:
    return SaveFileError(f"{path}: cannot save: {why}")


def _destination(path: str) -> Destination:
    try:
        found = Destination(path)
    except OSError as error:
        raise _error(path, error.strerror) from error
    if found.is_descriptor:
        # Who reads it would wait for all that COMMAND leaves behind (session_detach()).
        raise _error(path, "a run keeps no descriptors open: name a file or a FIFO")
    return found


class Saver:
    """Saves the records of this process's run to a file, when called.

    What cannot be written there by then is kept elsewhere: a build that took hours is not to
    be lost to a disk that it has filled.
    """

    def __init__(self, path: str) -> None:
        """Raises SaveFileError for a place that cannot be written to."""
        self._given = path
        self._to = _destination(path)
        self._instead: str | None = None
        self._warned = False

    def __call__(self) -> tuple[int, str] | None:
        """What run() of the core wants: an exit status in place of COMMAND's, or -1, and a
        text for the user."""
        status, text = self._save()
        # The core takes UTF-8; names may be anything.
        return (status, text.encode(errors="backslashreplace").decode()) if text else None

    def _save(self) -> tuple[int, str | None]:
        try:
            text, with_xattrs = _core.dump()
        except MemoryError:
            return TROUBLE, str(_error(self._given, os.strerror(errno.ENOMEM)))
        try:
            with self._to.begin() as writing:
                writing.write(text)
        except OSError as error:
            return TROUBLE, self._kept(text, f"cannot save: {error.strerror}")
        if not with_xattrs or self._warned:
            return -1, None
        self._warned = True
        return -1, (
            f"{self._given}: fakeroot's format has no extended attributes: those remembered of "
            f"{with_xattrs} files are not saved"
        )

    def _kept(self, text: bytes, why: str) -> str:
        """Saves to another place; returns what to say."""
        # A message has a bound (native/control.h), and its end is what counts.
        given = self._given if len(self._given) < 100 else f"...{self._given[-100:]}"
        places = [self._instead] if self._instead else _other_places()
        for place in places:
            try:
                with Destination(place, 0o600).begin() as writing:
                    writing.write(text)
            except OSError:
                continue
            self._instead = place
            return f"{given}: {why}: saved as {place}"
        tried = ", ".join(sorted({os.path.dirname(place) for place in places}))
        return f"{given}: {why}: nor in {tried}: what this run remembered is lost"


def _other_places() -> list[str]:
    name = f"fakeroot-sc-saved-{os.urandom(6).hex()}"
    directories = [os.environ.get("TMPDIR"), os.environ.get("HOME"), "/var/tmp", "/tmp"]
    return [os.path.join(each, name) for each in directories if each and each.startswith("/")]
