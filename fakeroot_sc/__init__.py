"""fakeroot-sc: makes a command believe it is root over the files it touches.

The Python interface is :func:`fakeroot_sc.run`.
"""

__version__ = "0.1.0"

__all__ = ["__version__", "run"]


def __getattr__(name: str) -> object:
    # PEP 562: a plain run of the command must not pay for subprocess (15 ms).
    if name == "run":
        from fakeroot_sc.runner import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
