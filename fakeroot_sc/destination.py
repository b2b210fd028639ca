"""A file that is to be written whole or not at all.

Imported only where one is asked for.
"""

import errno
import os
import stat
from types import TracebackType


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _resolved(path: str) -> tuple[str, bool]:
    """Where a path leads, and whether a link of /proc (/dev/stdout) is on the way: that means
    an open file, which has to be written to itself, whatever its name."""
    at = os.path.abspath(path)
    for _ in range(40):  # as many as the kernel follows (path_resolution(7))
        directory, name = os.path.split(at)
        at = os.path.join(os.path.realpath(directory), name)
        if not os.path.islink(at):
            return at, False
        if at.startswith("/proc/"):
            return at, True
        at = os.path.normpath(os.path.join(os.path.dirname(at), os.readlink(at)))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _open(path: str) -> int:
    """What is no regular file, to be written to."""
    # A FIFO that nobody reads must not keep a run from ending; one that is read slowly may.
    flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(path, flags)
    os.set_blocking(fd, True)
    return fd


class Destination:
    """The file that a path leads to, through symbolic links.

    A regular one is replaced, with its mode, when the new one is complete.  What is none (a
    FIFO, ``/dev/null``, ``/dev/stdout``) is written to.
    """

    def __init__(self, path: str, mode: int | None = None) -> None:
        """``mode``: of a new file, in place of the usual one.  Raises OSError for a place where
        nothing can be written now: a directory that is missing, closed or full, say."""
        self._path, self._is_open = _resolved(path)
        self._mode = 0o666 & ~_umask() if mode is None else mode
        self._held: int | None = None
        own = f"/proc/{os.getpid()}/fd/"
        if self._is_open and self._path.startswith(own):
            # Opened anew, a file would be written from its start, and a socket not at all.
            self._held = os.dup(int(self._path.removeprefix(own)))
        elif self._found() is None:
            self._try()
        elif not os.access(self._path, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    @property
    def is_descriptor(self) -> bool:
        """Whether it is a file that this process has open: /dev/stdout, /dev/fd/5."""
        return self._held is not None

    def _found(self) -> os.stat_result | None:
        """What is there to be written to itself; None where a file is to be made or replaced."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(there.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if stat.S_ISREG(there.st_mode) and not self._is_open:
            self._mode = stat.S_IMODE(there.st_mode)
            return None
        return there

    def _try(self) -> None:
        """By a file with content: a full disk may still have room for names."""
        writing = Writing(self._path, self._mode)
        try:
            writing.write(bytes(4096))
        finally:
            writing.abandon()

    def begin(self) -> "Writing":
        """Raises OSError."""
        if self._held is not None:
            return Writing(self._path, self._mode, os.dup(self._held))
        fd = None if self._found() is None else _open(self._path)
        return Writing(self._path, self._mode, fd)


class Writing:
    """A file on its way; in a ``with`` block, of which an exception leaves nothing behind."""

    def __init__(self, path: str, mode: int, fd: int | None = None) -> None:
        """To a descriptor, which is closed in the end, or in place of the path's file."""
        self._path, self._mode = path, mode
        self._beside: str | None = None
        if fd is not None:
            self.fd = fd
            return
        directory, name = os.path.split(path)
        # As long a name as the file's own is sure to be allowed.
        name = f".fsc-{os.urandom(6).hex()}"[: max(len(os.fsencode(name)), 10)]
        self._beside = os.path.join(directory, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self.fd = os.open(self._beside, flags, 0o600)

    def write(self, data: bytes) -> None:
        """Writes all of it.  Raises OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.fd, rest) :]

    def finish(self) -> None:
        """Makes it the file of that name.  Raises OSError, with nothing left behind."""
        try:
            if self._beside is not None:
                os.fchmod(self.fd, self._mode)
                os.fsync(self.fd)
                os.rename(self._beside, self._path)
                self._beside = None
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leaves nothing behind.  Does nothing once that, or finish(), is done."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self._beside is not None:
            beside, self._beside = self._beside, None
            try:
                os.unlink(beside)
            except OSError:
                return

    def __enter__(self) -> "Writing":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.abandon()
