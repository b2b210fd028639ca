"""fakeroot-sc: makes a command believe it is root over the files it touches.

The Python interface: :func:`fakeroot_sc.run`, and :class:`fakeroot_sc.State` with its
records.
"""

# As typing has it, which alone takes as long as the interpreter's own start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from fakeroot_sc.runner import run
    from fakeroot_sc.state.errors import StateError
    from fakeroot_sc.state.record import FileIdentity, InodeRecord
    from fakeroot_sc.state.store import State

__version__ = "0.1.0"

__all__ = ["FileIdentity", "InodeRecord", "State", "StateError", "__version__", "run"]

_HOMES = {
    "FileIdentity": "state.record",
    "InodeRecord": "state.record",
    "State": "state.store",
    "StateError": "state.errors",
    "run": "runner",
}


def __getattr__(name: str) -> object:
    # PEP 562: a plain run of the command must not pay for what it does not use.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"fakeroot_sc.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
