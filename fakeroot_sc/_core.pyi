"""The native core: filter installation, the notification loop, the inode table."""

from collections.abc import Callable, Iterator

Handler = Callable[["Request"], int | None]
"""Returns the call's value, or None to let the kernel execute the call; raises
OSError for an errno."""

Ended = Callable[[], tuple[int, str] | None]
"""Returns an exit status (-1: the command's own) and a text for the user."""

FallBack = Callable[[int, str, int, str], None]
Launched = tuple[str, int, str]
"""The stage that failed, its errno and the call that was refused; or "NONE" and a status."""

_Origin = tuple[int, int, int]
_Record = tuple[int, int, int, int, int, int, int, int, int, int]
_Row = tuple[
    int,
    int,
    int | None,
    int,
    int | None,
    int | None,
    int | None,
    int | None,
    list[tuple[bytes, bytes | None]] | None,
]
_Edit = tuple[_Row, int, list[tuple[bytes, bytes | None, bool]] | None]
_Look = tuple[int, int, int | None, int, int, int, int, int, int, int]

class Request:
    """A trapped call, valid until its handler returns (ValueError afterwards)."""

    @property
    def name(self) -> str:
        """The call, as the table has it."""
    @property
    def handler(self) -> str:
        """The operation of the table's row."""
    @property
    def tid(self) -> int:
        """Thread id of the target, in the supervisor's pid namespace."""
    def argument(self, position: int, /) -> int:
        """A register, 0 to 5, as unsigned 64 bits."""
    def capable(self, capability: int, /) -> bool:
        """Whether the thread has the effective capability (capabilities(7), by number)."""

class InodeTable:
    """An inode table in the memory of this process, of ``size`` bytes.

    Records are (dev, ino, btime seconds, btime nanoseconds, fields, uid, gid, mode,
    rdev, xattrs); iteration gives all of them in no order.
    """

    def __init__(self, size: int) -> None:
        """Raises OSError(EINVAL) for a size too small."""
    def put(
        self,
        dev: int,
        ino: int,
        btime_sec: int,
        btime_nsec: int,
        fields: int,
        uid: int,
        gid: int,
        mode: int,
        rdev: int,
        xattrs: int,
        /,
    ) -> None:
        """Inserts or replaces the record of (dev, ino).  OSError(ENOSPC) when full."""
    def find(self, dev: int, ino: int, /) -> _Record | None:
        """The record of (dev, ino), if there is one."""
    def remove(self, dev: int, ino: int, /) -> bool:
        """Whether there was a record to remove."""
    @property
    def used(self) -> int:
        """Bytes of the region that are in use."""
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_Record]: ...

class Live:
    """The memory of all runs that use one state file: the file beside it (native/live.h).

    Rows are those of the state file's tables: (dev, ino, birth, type, uid, gid, mode, rdev,
    [(name, value)] or None), dev and ino as signed 64 bits.
    """

    def __init__(self, path: bytes, mode: int, session_pass: int) -> None:
        """Opens or creates the file; without a path the memory is private.
        RuntimeError(stage of native/live.h, errno, suffix of the file)."""
    @property
    def alone(self) -> bool:
        """Nobody else uses the file, and none can until share()."""
    @property
    def changed(self) -> bool:
        """Some record is not, or not yet, as in the state file."""
    @property
    def crash_lost(self) -> int:
        """How many changes a crash of the machine has cut off, which are not used."""
    @property
    def lost(self) -> bool:
        """The file was cut off, or cannot be read any more: nothing is known any more."""
    @property
    def session_pass(self) -> int:
        """That of all runs that use the file."""
    def differs(self, unknown_is_real: bool, /) -> str:
        """What keeps a run of this process from sharing the memory with those that use it:
        "-u", "ulimit -x" or nothing."""
    def share(self) -> None:
        """Lets others in.  Raises OSError."""
    def clear(self) -> None:
        """Forgets everything, where alone.  Raises OSError."""
    def leave(self) -> None:
        """Closes; where nobody else uses the file it is left whole."""
    def standing(self) -> tuple[int, int, tuple[int, int, int, int, int]]:
        """The state file that the memory belongs to: stamp, the next stamp while it is
        written, (dev, ino, size, mtime, ctime)."""
    def stand(self, stamp: int, next_stamp: int, file: tuple[int, int, int, int, int], /) -> None:
        """Sets what standing() gives."""
    def begin(self, seconds: float, /) -> bool:
        """Takes the lock of who writes the state file; False if that takes longer."""
    def end(self) -> None:
        """Gives that lock back, in the same thread."""
    def collect(self, whole: bool, /) -> tuple[list[_Row], list[tuple[int, int]], bool]:
        """Rows that have changed (or all), keys of those removed, and whether the rows are
        all.  To be ended by finish().  Raises OSError(ENOMEM)."""
    def finish(self, written: bool, /) -> None:
        """Whether what was collected is in the state file now."""
    def rows(self) -> list[_Row]:
        """All of them, for who only reads.  Raises OSError(ENOMEM)."""
    def load(self, rows: list[_Row], /) -> None:
        """Takes over rows of the state file, where alone.  Raises OSError(ENOSPC), ValueError."""
    def edit(self, edits: list[_Edit], /) -> None:
        """Changes records as a run would: of a row the fields that are named (bits of
        ``enum inode_field``), and attributes (name, value, whether to forget it); None: nothing
        is remembered any more.  Those that have been made since note() are left out.  Raises
        OSError(ENOSPC), ValueError."""
    def note(self, edits: bytes, /) -> None:
        """Keeps a text of edits that are to be made, so that a kill leaves all or none; b"":
        they have been.  Raises OSError(ENOSPC)."""
    def noted(self) -> bytes:
        """What note() keeps."""
    def set_devices(self, devices: bytes, /) -> None:
        """Keeps a text of the devices of which there are records.  Raises OSError(ENOSPC)."""
    def devices(self) -> bytes:
        """What set_devices() keeps."""
    @property
    def program(self) -> bytes | None:
        """Whose run has made the changes that the state file does not have, if it was one."""
    def watch(self, program: bytes, /) -> None:
        """Says that a run of a program begins, and notes where it changes files."""
    def places(self) -> list[bytes]:
        """Paths of directories and files noted, by this run and by others since somebody was
        alone; some of them twice."""
    def __len__(self) -> int: ...

def run(
    argv: list[bytes],
    env: list[bytes],
    filter: bytes,
    origin: _Origin,
    control: int,
    unknown_is_real: bool,
    session_pass: int,
    shim: bytes | None,
    handler: Handler,
    load: bytes | None,
    ended: Ended | None,
    live: Live | None,
    mode: int,
    fall_back: FallBack | None,
    /,
) -> Launched:
    """Starts a command under the filter and serves it until its last process ends.

    ``shim``: the path of the shim for x86-64, where ``env`` has it in LD_PRELOAD.
    ``load``: records in fakeroot's format; ValueError(line, why) where it is not that.
    ``ended``: called when the command has ended, and again when its last process has if
    more has changed.
    ``live``: the memory to run in, else a new one.
    ``mode``: where the calls come from, a position in ``plan.MODES``; ``fall_back``: told
    of another mode than the best one, once it works: the stage at which that failed, its
    errno, and the system call that was refused, or "".
    Returns the stage of native/launch.h that failed, its errno and such a call, or "NONE" and
    the exit status that stands for the command's end.
    Once in a process: worker threads go on until it ends.
    """

def execute(argv: list[bytes], env: list[bytes], origin: _Origin, control: int, /) -> int:
    """Replaces this process by a command; returns the errno if that fails."""

def in_session() -> bool:
    """Whether this process already runs under a supervisor."""

def dump() -> tuple[bytes, int]:
    """The run's records in fakeroot's format, and the number of those whose extended
    attributes that cannot hold."""

def look(dirfd: int, path: bytes, /) -> _Look:
    """statx(2) of the file itself: dev, ino, birth time in nanoseconds or None, mode, uid, gid,
    nlink, size, time of modification in nanoseconds, rdev.  Raises OSError."""

def contents(path: bytes, /) -> int | None:
    """A checksum of what is in a regular file (native/file_capability.h); None where that cannot
    be read."""
