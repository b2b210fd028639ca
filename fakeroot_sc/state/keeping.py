"""A run that keeps what it remembers in a state file.

Imported only for ``--state``.
"""

import os
from collections.abc import Callable

from fakeroot_sc import _core
from fakeroot_sc.plan import TROUBLE, Plan
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.kept import Kept

_Run = Callable[["_core.Ended", "_core.Live"], tuple[str, int]]


def run_with_state(plan: Plan, session_pass: int, run: _Run) -> tuple[str, int]:
    """Runs in the memory of the plan's state.  Returns what ``run`` returns.  Raises
    StateError, with nothing run."""
    assert plan.state is not None
    kept = Kept(plan.state, session_pass)
    differs = kept.live.differs(plan.unknown_is_real)
    if differs:
        kept.close()
        raise StateError(f"{plan.state}: the runs that use it differ from this one in {differs}")
    kept.live.watch(os.fsencode(plan.command[0]))

    def ended() -> tuple[int, str] | None:
        try:
            kept.commit()
        except StateError as error:
            return TROUBLE, f"{error} (kept until then: {kept.path}-live)"
        except MemoryError:
            return TROUBLE, f"{plan.state}: no memory to save it: {kept.path}-live keeps it"
        return None

    return run(ended, kept.live)
