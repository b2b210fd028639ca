"""What a state remembers as the core has it, for who only hands it to the core.

Exports as tar import this: it must import nothing that takes time, attrs least of all.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from fakeroot_sc import _core
from fakeroot_sc.passes import draw_pass
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.state.sync import Sync

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fakeroot_sc.state.database import Database


def only_readable(path: str) -> bool:
    """Whether a state can be read where it lies, and no more than that."""
    directory = os.path.dirname(os.path.abspath(path))
    return os.access(path, os.R_OK) and not (
        os.access(path, os.W_OK) and os.access(directory, os.W_OK)
    )


@contextmanager
def loaded(database: "Database") -> Iterator[_core.Live]:
    """What is in the file itself.  Raises StateError."""
    live = _core.Live(b"", 0, 1)
    try:
        for rows in database.load():
            live.load(rows)
        yield live
    except (TypeError, ValueError, OverflowError) as error:
        raise StateError(f"{database.path}: damaged: a row has {error}") from error
    finally:
        live.leave()


@contextmanager
def opened(path: str) -> Iterator[_core.Live]:
    """With what runs that use the state have added; as it is, where it is not ours to write.
    Raises StateError."""
    if only_readable(path):
        from fakeroot_sc.state.database import Database

        database = Database(path, create=False, read_only=True)
        try:
            with loaded(database) as live:
                yield live
        finally:
            database.close()
        return
    sync = Sync(path, draw_pass(), create=False)
    try:
        yield sync.live
    finally:
        sync.live.end()
        sync.close()
