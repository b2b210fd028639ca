"""A run that keeps what it remembers in a state file.

Imported only for ``--state``.
"""

import os
from collections.abc import Callable

from fakeroot_sc import _core
from fakeroot_sc.plan import TROUBLE, Plan
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.sync import Sync

_Run = Callable[["_core.Ended", "_core.Live"], tuple[str, int]]


def run_with_state(plan: Plan, session_pass: int, run: _Run) -> tuple[str, int]:
    """Runs in the memory of the plan's state.  Returns what ``run`` returns.  Raises
    StateError, with nothing run."""
    assert plan.state is not None
    sync = Sync(plan.state, session_pass)
    differs = sync.live.differs(plan.unknown_is_real)
    if differs:
        sync.close()
        raise StateError(f"{plan.state}: the runs that use it differ from this one in {differs}")
    sync.live.watch(os.fsencode(plan.command[0]))

    def ended() -> tuple[int, str] | None:
        try:
            sync.commit_at_end()
        except StateError as error:
            return TROUBLE, f"{error} (kept until then: {sync.path}-live)"
        except MemoryError:
            return TROUBLE, f"{plan.state}: no memory to save it: {sync.path}-live keeps it"
        return None

    return run(ended, sync.live)
