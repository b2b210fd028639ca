"""A state file and the memory beside it, which all that use the file at once share.

Every run with ``--state`` imports this: it must import nothing that takes time.
"""

import errno
import os
import time

from fakeroot_sc import _core
from fakeroot_sc.state.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fakeroot_sc.state.database import Database

LIVE_SUFFIX = "-live"
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
    "RECOVER": "what a killed run has left there does not fit: make room on the disk",
}


def _file_standing(path: str) -> tuple[int, int, int, int, int] | None:
    try:
        real = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from error
    return real.st_dev, real.st_ino, real.st_size, real.st_mtime_ns, real.st_ctime_ns


def _has_wal(path: str) -> bool:
    try:
        return os.stat(path + "-wal").st_size > 0
    except OSError:
        return False


class Kept:
    """The state of a file, in step with the memory beside it.

    ``live`` is that memory.  Raises StateError for whatever cannot be opened, read or
    understood; then nothing has changed but for a file that was not there.
    """

    def __init__(self, path: str, session_pass: int, *, create: bool = True) -> None:
        self.given = path
        self.path = os.path.realpath(path)
        if not create and not os.path.exists(self.path):
            raise StateError(f"{path}: no such file")
        self._database: Database | None = None
        if os.path.exists(self.path) and not os.access(self.path, os.R_OK | os.W_OK):
            raise StateError(f"{path}: {os.strerror(errno.EACCES)}: it must be yours to write to")
        self.live = self._open_live(session_pass)
        try:
            self._settle_differences()
        except BaseException:
            self.close()
            raise

    def _open_live(self, session_pass: int) -> _core.Live:
        if _file_standing(self.path) is None:
            self._create()
        mode = os.stat(self.path).st_mode & 0o666
        name = self.path + LIVE_SUFFIX
        try:
            live = _core.Live(os.fsencode(name), mode, session_pass)
        except RuntimeError as error:
            stage, number = error.args
            why = _STAGES[stage].format(os.strerror(number))
            raise StateError(f"{self.given}{LIVE_SUFFIX}: {why}") from None
        # Who may write to one file must be let write to both.
        real = os.stat(name)
        if real.st_mode & 0o666 != mode and real.st_uid == os.geteuid():
            os.chmod(name, mode)
        return live

    def _create(self) -> None:
        left = self.path + LIVE_SUFFIX
        try:
            has_left = os.stat(left).st_size > 0
        except OSError:
            has_left = False
        if has_left:
            self._look_at_leftover(left)
        from fakeroot_sc.state.database import Database

        Database(self.path).close()

    def _look_at_leftover(self, left: str) -> None:
        """The state file was removed: whatever is beside it counts only if it holds what was
        never in the file."""
        try:
            live = _core.Live(os.fsencode(left), 0o600, 1)
        except RuntimeError as error:
            stage, number = error.args
            why = _STAGES[stage].format(os.strerror(number))
            raise StateError(f"{self.given}{LIVE_SUFFIX}: {why}") from None
        try:
            if not live.alone:
                raise StateError(f"{self.given}: was removed while runs use it: let them end")
            if live.changed:
                raise StateError(
                    f"{self.given}: was removed, but {left} holds changes that it never had, of a "
                    "run that was killed: remove that too to begin anew"
                )
            os.unlink(left)
        finally:
            live.leave()

    @property
    def database(self) -> "Database":
        """The state file, opened when it is first needed."""
        if self._database is None:
            from fakeroot_sc.state.database import Database

            self._database = Database(self.path, create=False)
        return self._database

    def _settle_differences(self) -> None:
        stamp, next_stamp, seen, behind = self.live.standing()
        if not self.live.alone:
            return
        standing = _file_standing(self.path)
        if standing != seen or behind or _has_wal(self.path):
            now = self.database.stamp
            if now not in (stamp, next_stamp) or stamp == 0:
                if self.live.changed and stamp != 0:
                    raise StateError(
                        f"{self.given}: was replaced, but {self.path}{LIVE_SUFFIX} holds changes "
                        "to what was there before, of a run that was killed: remove that, or put "
                        "the earlier file back"
                    )
                self._reload()
            elif behind:
                self._catch_up(now)
            self.live.stand(now, 0, standing or _NOWHERE, False)
            self._close_database()
        self.commit()
        try:
            self.live.share()
        except OSError as error:
            raise StateError(f"{self.given}{LIVE_SUFFIX}: {error.strerror}") from error

    def _catch_up(self, stamp: int) -> None:
        """Who was writing to the file and the memory has been killed between the two."""
        before = self.live.standing()[0]
        if stamp == before:
            return
        self._load(True)
        # Runs may go on meanwhile: nothing that holds may be gone for a moment.
        there = {(dev, ino) for dev, ino in self.database.execute("SELECT dev, ino FROM inodes")}
        rows = self.live.collect(True)[0]
        self.live.finish(False)
        self.live.forget([row[:2] for row in rows if row[:2] not in there])

    def _reload(self) -> None:
        try:
            self.live.clear()
        except OSError as error:
            raise self._no_room(error) from error
        self._load(False)

    def _load(self, keep_changed: bool) -> None:
        try:
            for rows in self.database.load():
                self.live.load(rows, keep_changed)
        except OSError as error:
            raise self._no_room(error) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise StateError(f"{self.given}: damaged: a row has {error}: restore a copy") from error

    def _no_room(self, error: OSError) -> StateError:
        return StateError(f"{self.given}{LIVE_SUFFIX}: no room for it: {error.strerror}")

    def commit(self) -> None:
        """Brings the state file up with the memory.  Raises StateError: then the memory keeps
        what the file lacks, for the next time."""
        if not self.live.changed:
            return
        self.lock()
        try:
            # Who was writing before may have written it all.
            if self.live.changed:
                self._commit()
        finally:
            self.live.end()

    def lock(self) -> None:
        """Keeps others from writing the state file until live.end()."""
        if not self.live.begin(LOCK_SECONDS):
            raise StateError(
                f"{self.given}: another program has been changing it for {LOCK_SECONDS:.0f} "
                "seconds: let it end"
            )

    def commit_locked(self) -> None:
        """The same for who has the lock already."""
        if self.live.changed:
            self._commit()

    def follow(
        self,
        database: "Database",
        updates: "list[_core._Update]",
        removed: list[tuple[int, int]],
        *,
        cleared: bool,
    ) -> None:
        """Commits the transaction of a database, and brings the memory up with it; what runs
        have changed since it began stays.  With the lock held; a kill in between is made good
        by who opens the state next."""
        stamp = database.new_stamp()
        before, _, seen, _ = self.live.standing()
        self.live.stand(before, stamp, seen, True)
        database.set_stamp(stamp)
        database.execute("COMMIT")
        try:
            if cleared:
                before_rows = self.live.collect(True)[0]
                self.live.finish(True)
                self.live.forget([(row[0], row[1]) for row in before_rows])
                # A clear() inside of a transaction that was undone has cleared nothing.
                for all_rows in database.load():
                    self.live.load(all_rows, False)
            self.live.forget(removed)
            self.live.update(updates)
        except OSError as error:
            raise self._no_room(error) from error
        self.live.stand(stamp, 0, _file_standing(self.path) or _NOWHERE, False)

    def _commit(self) -> None:
        written = False
        try:
            database = self.database
            stamp, now = database.new_stamp(), time.time_ns()
            before, next_stamp, seen, behind = self.live.standing()
            there = database.stamp
            if behind and there == next_stamp:
                self._catch_up(there)
            rows, removed, whole = self.live.collect(False)
            paths = self._find_paths(rows)
            if there not in (before, next_stamp):
                raise StateError(
                    f"{self.given}: was replaced while it was used: what has changed stays in "
                    f"{self.path}{LIVE_SUFFIX}; put the earlier file back"
                )
            self.live.stand(there, stamp, seen, False)
            database.execute("BEGIN IMMEDIATE")
            if whole:
                database.clear()
            database.remove(removed)
            database.put(rows, now, paths, self.live.program)
            database.set_stamp(stamp)
            database.execute("COMMIT")
            written = True
            self._close_database()
            self.live.stand(stamp, 0, _file_standing(self.path) or _NOWHERE, False)
        except OSError as error:
            raise StateError(f"{self.given}: {error.strerror}") from error
        finally:
            try:
                self._close_database()
            finally:
                self.live.finish(written)

    def _find_paths(self, rows: "list[_core._Row]") -> dict[tuple[int, int], bytes]:
        places = self.live.places()
        if not places or not rows:
            return {}
        from fakeroot_sc.state.hints import find_paths

        known = self.database.with_path([row[:3] for row in rows])
        return find_paths(places, {row[:2] for row in rows if row[:2] not in known})

    def _close_database(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.rollback()
            database.close()

    def close(self) -> None:
        """Lets go of file and memory."""
        self._close_database()
        self.live.leave()
