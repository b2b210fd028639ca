"""A state file and the memory beside it, which all that use the file at once share.

Every run with ``--state`` imports this: it must import nothing that takes time.
"""

import errno
import os
import stat
import sys
import time

from fakeroot_sc import _core
from fakeroot_sc.state.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fakeroot_sc.state.database import Database
    from fakeroot_sc.state.edits import Edit, Note
    from fakeroot_sc.state.paths import Key

LIVE_SUFFIX = "-live"
PENDING_SUFFIX = "-live-pending"
BESIDE = (LIVE_SUFFIX, PENDING_SUFFIX, "-wal", "-shm")
"""What names of files beside a state, which belong to it, end in."""

LOCK_SECONDS = 30.0

_NOWHERE = (0, 0, 0, 0, 0)

_STAGES = {
    "OPEN": "cannot be opened: {}",
    "LOCK": "cannot be locked: {}: the file system must know flock(2)",
    "WAIT": "another fakeroot-sc has been alone with it for 30 seconds: let it end",
    "SPACE": "no room for it: {}",
    "MAP": "cannot be mapped: {}: the file system must share mapped memory, and ulimit -v allow it",
    "VERSION": "another version of fakeroot-sc uses it, or was killed while it did: end its runs, "
    "or open the state once with that version",
    "ELSEWHERE": "in use in another container or on another machine: only runs that see each "
    "other's processes can share a state",
    "DAMAGED": "not what a fakeroot-sc has left there: remove it, and what was not yet in the "
    "state itself is lost",
    "FOREIGN": "other users may write to it, and so break a run of root: run as the user whose it "
    "is, or make the state root's alone (chown root, chmod go-w)",
    "RECOVER": "what a killed run has left there does not fit: make room on the disk",
}


def _standing(real: os.stat_result | None) -> tuple[int, int, int, int, int]:
    if real is None:
        return _NOWHERE
    return real.st_dev, real.st_ino, real.st_size, real.st_mtime_ns, real.st_ctime_ns


def _has_wal(path: str) -> bool:
    try:
        return os.stat(path + "-wal").st_size > 0
    except OSError:
        return False


def _devices_text(devices: dict[int, bytes]) -> bytes:
    return b"".join(b"%d %s\0" % device for device in devices.items())


def _devices_of(text: bytes) -> dict[int, bytes]:
    devices = {}
    for line in text.split(b"\0")[:-1]:
        dev, _, path = line.partition(b" ")
        if dev.lstrip(b"-").isdigit():
            devices[int(dev)] = path
    return devices


def resolved(path: str) -> str:
    """The path without links on the way.  Raises StateError."""
    try:
        return os.path.realpath(path)
    except FileNotFoundError:
        raise StateError(f"{path}: the current directory does not exist any more") from None


class Sync:
    """A state file and the memory beside it, in step.

    What runs, and others, change goes into the memory first, and from there into the file;
    only a memory that nobody else uses is ever loaded from a file.  ``live`` is the memory.
    Raises StateError for whatever cannot be opened, read or understood; then nothing has
    changed but for a file that was not there.
    """

    def __init__(self, path: str, session_pass: int, *, create: bool = True) -> None:
        self.given = path
        self.path = resolved(path)
        self._notices: list[str] = []
        self.keeps_open = False
        """Whether the file stays open between commits."""
        self._devices: dict[int, bytes] | None = None
        self._began = time.time_ns()
        self._own_stamp = 0
        self._database: Database | None = None
        real = self._look()
        if real is None and not create:
            raise StateError(f"{path}: no such file")
        self._check_place(real)
        self.live = self._open_live(session_pass, real)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def tell(self) -> None:
        """Says what the user is to know of the state, though it can be used."""
        for notice in self._notices:
            print(f"fakeroot-sc: {self.given}: {notice}", file=sys.stderr)
        self._notices = []

    def _look(self) -> os.stat_result | None:
        try:
            return os.stat(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"{self.given}: {error.strerror}") from error

    def _check_place(self, real: os.stat_result | None) -> None:
        if real is None:
            directory = os.path.dirname(self.path)
            if not os.path.isdir(directory):
                raise StateError(f"{self.given}: cannot be opened: {directory}: no such directory")
            return
        if stat.S_ISDIR(real.st_mode):
            raise StateError(f"{self.given}: is a directory")
        if not os.access(self.path, os.R_OK | os.W_OK):
            raise StateError(
                f"{self.given}: {os.strerror(errno.EACCES)}: it must be yours to write to"
            )
        if os.geteuid() == 0 and (real.st_uid != 0 or real.st_mode & 0o022):
            raise StateError(f"{self.given}: {_STAGES['FOREIGN']}")

    def _open_live(self, session_pass: int, real: os.stat_result | None) -> _core.Live:
        mode = 0o666 if real is None else real.st_mode & 0o666
        try:
            return _core.Live(os.fsencode(self.path + LIVE_SUFFIX), mode, session_pass)
        except RuntimeError as error:
            stage, number, suffix = error.args
            why = _STAGES[stage].format(os.strerror(number))
            raise StateError(f"{self.given}{suffix}: {why}") from None

    def _share_mode(self, real: os.stat_result) -> None:
        """Who may write to one file must be let write to all."""
        for name in (self.path + LIVE_SUFFIX, self.path + PENDING_SUFFIX):
            beside = os.stat(name)
            if (beside.st_mode ^ real.st_mode) & 0o666 and beside.st_uid == os.geteuid():
                os.chmod(name, real.st_mode & 0o666)

    @property
    def database(self) -> "Database":
        """The state file, opened when it is first needed."""
        if self._database is None:
            from fakeroot_sc.state.database import Database

            # Who is alone may find what was killed while it made the file.
            self._database = Database(self.path, create=self.live.alone)
        return self._database

    def _begin(self) -> None:
        real = self._look()
        if not self.live.alone:
            if real is None:
                raise StateError(f"{self.given}: was removed while runs use it: let them end")
            self._share_mode(real)
            self._own_stamp = self.live.standing()[0]
            return
        if real is None or real.st_size == 0:
            real = self._create(real)
        self._share_mode(real)
        stamp, next_stamp, seen = self.live.standing()
        if _standing(real) != seen or _has_wal(self.path):
            now = self.database.stamp
            if stamp == 0 or now not in (stamp, next_stamp):
                self._refuse_changes("was replaced", "or put the earlier file back")
                self._load()
            self.live.stand(now, 0, _standing(real))
            self._close_database()
        if self.live.crash_lost:
            count = self.live.crash_lost
            changes = "a change" if count == 1 else f"{count} changes"
            self._notices.append(
                f"{changes} that no run had saved, or more, were lost in a crash of the machine"
            )
        self.commit()
        self._look_at_devices()
        self._own_stamp = self.live.standing()[0]
        try:
            self.live.share()
        except OSError as error:
            raise StateError(f"{self.given}{LIVE_SUFFIX}: {error.strerror}") from error

    def _look_at_devices(self) -> None:
        """Where alone: whether the files of records are on devices of other numbers now."""
        moved = {}
        for dev, path in _devices_of(self.live.devices()).items():
            try:
                if os.lstat(path).st_dev != dev % (1 << 64):
                    moved[dev] = path
            except OSError:
                continue
        if moved:
            self._rebind(moved)

    def _rebind(self, moved: dict[int, bytes]) -> None:
        from fakeroot_sc.state.devices import Rebinding

        self.lock()
        try:
            found = Rebinding(self.database, moved)
            if found.edits:
                self._devices = found.devices
                self.edit(found.edits)
        finally:
            self._close_database()
            self.live.end()
        if found.edits:
            places = ", ".join(os.fsdecode(path) for path in moved.values())
            notice = (
                f"{places}: mounted anew, with another device number: "
                f"{found.bound} records are bound again"
            )
            if found.unbound:
                notice += f", {found.unbound} are not: fakeroot-sc-state repair or prune"
            self._notices.append(notice)

    def _create(self, real: os.stat_result | None) -> os.stat_result:
        """Where alone, makes the file, or a state of an empty one.  A kill leaves it empty, or
        whole."""
        what = "was removed" if real is None else "was emptied"
        self._refuse_changes(what, "or put the file back")
        from fakeroot_sc.state.database import Database

        Database(self.path).close()
        made = self._look()
        if made is None:
            raise StateError(f"{self.given}: was removed while it was made")
        return made

    def _refuse_changes(self, what: str, way_out: str) -> None:
        """Changes to another file than the one that is there are of a killed run.  A memory
        that has never been of any file has none."""
        if self.live.changed and self.live.standing()[0] != 0:
            raise StateError(
                f"{self.given}: {what}, but {self.path}{LIVE_SUFFIX} holds changes to what was "
                f"there before, of a run that was killed: remove that too, {way_out}"
            )

    def _load(self) -> None:
        try:
            self.live.clear()
            for rows in self.database.load():
                self.live.load(rows)
            self.live.set_devices(_devices_text(self.database.devices()))
        except OSError as error:
            raise self._no_room(error) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise StateError(f"{self.given}: damaged: a row has {error}: restore a copy") from error

    def _no_room(self, error: OSError) -> StateError:
        return StateError(f"{self.given}{LIVE_SUFFIX}: no room for it: {error.strerror}")

    def commit(self) -> None:
        """Brings the state file up with the memory.  Raises StateError: then the memory keeps
        what the file lacks, for the next time."""
        if self.live.lost:
            raise StateError(
                f"{self.given}{LIVE_SUFFIX}: was cut off or could not be read while it was used: "
                f"what {self.given} did not have yet is lost"
            )
        if not self.live.changed:
            return
        self.lock()
        try:
            self.commit_locked()
        finally:
            self.live.end()

    def commit_at_end(self) -> None:
        """The same for a run that ends.  Others may have written its records meanwhile, by
        names that its files had then."""
        self.commit()
        if self.live.standing()[0] == self._own_stamp or not self.live.places():
            return
        self.lock()
        try:
            self._commit_paths()
        finally:
            self._close_database()
            self.live.end()

    def _commit_paths(self) -> None:
        rows = {
            (row[0], row[1]): row
            for row in self.database.rows("WHERE changed >= ?", (self._began,))
        }
        found = self._find_paths([row[:9] for row in rows.values()], {})
        if found:
            self._commit({key: (paths, *rows[key][10:12]) for key, paths in found.items()})

    def lock(self) -> None:
        """Keeps others from writing the state file until live.end()."""
        if not self.live.begin(LOCK_SECONDS):
            raise StateError(
                f"{self.given}: another program has been changing it for {LOCK_SECONDS:.0f} "
                "seconds: let it end"
            )
        try:
            self._finish_edits()
        except BaseException:
            self.live.end()
            raise

    def commit_locked(self) -> None:
        """The same for who has the lock already.  Who had it before may have written all."""
        if self.live.changed:
            self._commit({})

    def edit(self, edits: "list[Edit]") -> None:
        """Makes edits of a transaction in the memory and commits them, with the lock held.  A
        kill, or a disk that is full, leaves all to whoever gets the lock next, or none."""
        from fakeroot_sc.state.edits import encode

        try:
            self.live.note(encode(edits))
        except OSError as error:
            raise self._no_room(error) from error
        self._make(edits)

    def _finish_edits(self) -> None:
        """What has been killed while it edited."""
        noted = self.live.noted()
        if not noted:
            return
        from fakeroot_sc.state.edits import decode

        try:
            edits = decode(noted)
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise self._damaged_live() from error
        self._make(edits)

    def _make(self, edits: "list[Edit]") -> None:
        from fakeroot_sc.state.edits import for_memory, notes

        try:
            self.live.edit(for_memory(edits))
            self._commit(notes(edits))
            self.live.note(b"")
        except OSError as error:
            raise self._no_room(error) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise self._damaged_live() from error

    def _damaged_live(self) -> StateError:
        return StateError(f"{self.given}{LIVE_SUFFIX}: {_STAGES['DAMAGED']}")

    def _commit(self, notes: "dict[Key, Note]") -> None:
        written = False
        try:
            database = self.database
            stamp, now = database.new_stamp(), time.time_ns()
            before, next_stamp, seen = self.live.standing()
            there = database.stamp
            if there not in (before, next_stamp):
                raise StateError(
                    f"{self.given}: was replaced while it was used: what has changed stays in "
                    f"{self.path}{LIVE_SUFFIX}; put the earlier file back"
                )
            rows, removed, whole = self.live.collect(False)
            paths = self._find_paths(rows, notes)
            self.live.stand(there, stamp, seen)
            database.execute("BEGIN IMMEDIATE")
            if whole:
                database.remove_others(rows)
            database.remove(removed)
            changes = {key: note[1:] for key, note in notes.items()}
            database.put(rows, paths, changes, (now, self.live.program))
            devices = self._find_devices(paths)
            if devices is not None:
                database.put_devices(devices)
            database.set_stamp(stamp)
            database.execute("COMMIT")
            written = True
            if devices is not None:
                self.live.set_devices(_devices_text(devices))
            if not self.keeps_open:
                self._close_database()
            self.live.stand(stamp, 0, _standing(self._look()))
            self._own_stamp = stamp
        except OSError as error:
            raise StateError(f"{self.given}: {error.strerror}") from error
        finally:
            try:
                if not self.keeps_open:
                    self._close_database()
                elif self._database is not None:
                    self._database.rollback()
            finally:
                self.live.finish(written)

    def _find_paths(
        self, rows: "list[_core._Row]", notes: "dict[Key, Note]"
    ) -> "dict[Key, list[bytes]]":
        """Where files are: as noted, or as found where runs have changed any."""
        noted = {key: note[0] for key, note in notes.items() if note[0] is not None}
        places = set(self.live.places())
        files = [row[:3] for row in rows if row[:2] not in notes] if places else []
        if not files:
            return noted
        from fakeroot_sc.state.paths import all_names, find_paths

        found: dict[Key, list[bytes]] = {}
        wanted = {(dev, ino) for dev, ino, _ in files}
        for key, known in self.database.paths(files).items():
            still = all_names(known, key)
            if still is None:
                continue
            wanted.discard(key)
            if still != known:
                found[key] = still
        return {**noted, **found, **find_paths(places, wanted)}

    def _find_devices(self, paths: "dict[Key, list[bytes]]") -> dict[int, bytes] | None:
        """The devices where they have become others."""
        devices, self._devices = self._devices, None
        if devices is not None or not paths:
            return devices
        from fakeroot_sc.state.devices import find_devices

        return find_devices(_devices_of(self.live.devices()), paths)

    def _close_database(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.rollback()
            database.close()

    def close(self) -> None:
        """Lets go of file and memory."""
        self._close_database()
        self.live.leave()
