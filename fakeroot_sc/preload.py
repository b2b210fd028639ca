"""LD_PRELOAD: how dynamic programs come by the shim (ld.so(8)).

Every run imports this module: it must import nothing that takes time.
"""

import os

_VARIABLE = b"LD_PRELOAD="
SHIM = "shim64.so"
"""The object for x86-64; native/preload.c puts that for i386 in its place."""


def shim_path(package: bytes) -> bytes | None:
    """The shim in the package's directory.  None where it is missing, or where its
    path cannot be said to a loader: a colon or blank ends it, a dollar sign expands.
    """
    path = os.path.join(package, os.fsencode(SHIM))
    if any(character in path for character in b": \t\n$") or not os.path.exists(path):
        return None
    return path


def _elements(value: bytes) -> list[bytes]:
    return value.replace(b" ", b":").split(b":")


def add(environment: list[bytes], path: bytes) -> list[bytes]:
    """The environment with the path as the last object to preload, behind the user's."""
    found = [entry for entry in environment if entry.startswith(_VARIABLE)]
    others = [entry for entry in environment if not entry.startswith(_VARIABLE)]
    value = found[0].removeprefix(_VARIABLE) if found else b""
    if path in _elements(value):
        return environment
    return [*others, _VARIABLE + (value + b":" if value else b"") + path]


def remove(environment: list[bytes], path: bytes) -> list[bytes]:
    """The environment without the path, and without the variable if that is left empty."""
    kept = []
    for entry in environment:
        if entry.startswith(_VARIABLE):
            elements = _elements(entry.removeprefix(_VARIABLE))
            value = b":".join(one for one in elements if one and one != path)
            if not value:
                continue
            entry = _VARIABLE + value
        kept.append(entry)
    return kept
