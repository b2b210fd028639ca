"""A run that keeps what it remembers in a state file.

Imported only for ``--state``.
"""

import os
import sys
from collections.abc import Callable

from fakeroot_sc import _core
from fakeroot_sc.plan import TROUBLE, Plan
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.sync import LIVE_SUFFIX, Sync

_Run = Callable[["_core.Ended | None", "_core.Live"], "_core.Launched"]


def run_with_state(plan: Plan, session_pass: int, run: _Run) -> "_core.Launched":
    """Runs in the memory of the plan's state.  Returns what ``run`` returns.  Raises
    StateError, with nothing run."""
    assert plan.state is not None
    if _is_on_read_only_file_system(plan.state):
        return _run_with_copy(plan.state, run)
    sync = Sync(plan.state, session_pass)
    differs = sync.live.differs(plan.unknown_is_real)
    if differs:
        sync.close()
        raise StateError(f"{plan.state}: the runs that use it differ from this one in {differs}")
    sync.tell()
    sync.live.watch(os.fsencode(plan.command[0]))

    def ended() -> tuple[int, str] | None:
        try:
            sync.commit_at_end()
        except StateError as error:
            left = "" if sync.live.lost else f" ({_where_left(sync)})"
            return TROUBLE, f"{error}{left}"
        except MemoryError:
            return TROUBLE, f"{plan.state}: no memory to save it ({_where_left(sync)})"
        return None

    return run(ended, sync.live)


def _where_left(sync: Sync) -> str:
    live = sync.path + LIVE_SUFFIX
    if os.path.exists(live):
        return f"kept until then: {live}"
    return f"{live} is gone, and with it what has changed"


def _is_on_read_only_file_system(path: str) -> bool:
    if os.access(path, os.W_OK):
        return False
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _run_with_copy(path: str, run: _Run) -> "_core.Launched":
    from fakeroot_sc.state.database import Database
    from fakeroot_sc.state.memory import loaded

    database = Database(path, create=False, read_only=True)
    try:
        with loaded(database) as live:
            print(
                f"fakeroot-sc: {path}: on a read-only file system: what changes is forgotten "
                "when the run has ended",
                file=sys.stderr,
            )
            return run(None, live)
    finally:
        database.close()
