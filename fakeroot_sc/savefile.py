"""The files of ``-i`` and ``-s``: fakeroot's, a line for each file that is remembered.

Imported only where one is asked for.
"""

import errno
import os
import stat
from collections.abc import Callable

from fakeroot_sc import _core
from fakeroot_sc.plan import TROUBLE

_Run = Callable[[bytes | None, "_core.Ended | None"], tuple[str, int]]


class SaveFileError(Exception):
    """A file that cannot be loaded or saved; the text says which and why."""


def run_with_files(load: str | None, save: str | None, run: _Run) -> tuple[str, int]:
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


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


class Saver:
    """Saves the records of this process's run to a file, when called.

    The file appears whole or not at all, in place of an older one and with its mode.
    What is no regular file (``/dev/null``, a FIFO) is written to.
    """

    def __init__(self, path: str) -> None:
        """Raises SaveFileError for a place that cannot be written to.  One that is not
        there yet COMMAND may make."""
        self._given = path
        self._path = os.path.realpath(path)
        self._mode = 0o666 & ~_umask()
        self._warned = False
        directory = os.path.dirname(self._path)
        try:
            real = os.stat(self._path)
        except OSError:
            if os.path.isdir(directory) and not os.access(directory, os.W_OK | os.X_OK):
                raise self._error(os.strerror(errno.EACCES)) from None
            return
        if stat.S_ISDIR(real.st_mode):
            raise self._error(os.strerror(errno.EISDIR))
        replaced = stat.S_ISREG(real.st_mode)
        if not os.access(directory if replaced else self._path, os.W_OK):
            raise self._error(os.strerror(errno.EACCES))

    def _error(self, why: str | None) -> SaveFileError:
        return SaveFileError(f"{self._given}: cannot save: {why}")

    def __call__(self) -> tuple[int, str] | None:
        """What run() of the core wants: an exit status in place of COMMAND's, or -1, and a
        text for the user."""
        try:
            text, with_xattrs = _core.dump()
            self._save(text)
        except OSError as error:
            return TROUBLE, str(self._error(error.strerror))
        except MemoryError:
            return TROUBLE, str(self._error(os.strerror(errno.ENOMEM)))
        if not with_xattrs or self._warned:
            return None
        self._warned = True
        return -1, (
            f"{self._given}: fakeroot's format has no extended attributes: those remembered of "
            f"{with_xattrs} files are not saved"
        )

    def _save(self, text: bytes) -> None:
        try:
            real = os.stat(self._path)
        except FileNotFoundError:
            self._replace(text, self._mode)
            return
        if stat.S_ISREG(real.st_mode):
            self._replace(text, stat.S_IMODE(real.st_mode))
        else:
            _write(os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC), text)

    def _replace(self, text: bytes, mode: int) -> None:
        directory, name = os.path.split(self._path)
        # As long a name as the file's own is sure to be allowed.
        beside = os.path.join(directory, f".fsc-{os.urandom(6).hex()}"[: max(len(name), 10)])
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write(fd, text, mode)
            os.rename(beside, self._path)
        except BaseException:
            os.unlink(beside)
            raise


def _write(fd: int, text: bytes, mode: int | None = None) -> None:
    """Writes all, and closes the descriptor.  With a mode the file is a regular one."""
    try:
        rest = memoryview(text)
        while rest:
            rest = rest[os.write(fd, rest) :]
        if mode is not None:
            os.fchmod(fd, mode)
            os.fsync(fd)
    finally:
        os.close(fd)
