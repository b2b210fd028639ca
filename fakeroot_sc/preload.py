"""COMMAND's environment, and LD_PRELOAD in it: how dynamic programs come by the shim (ld.so(8)).

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


def _unmark(entry: bytes) -> bytes:
    name = bytes([entry[0] & 0x7F]) + entry[1:] if entry else entry
    held = (b"LD_", b"MALLOC_", b"GLIBC_TUNABLES=", b"GCONV_PATH=", b"LOCPATH=")
    return name if name.startswith(held) else entry


def given() -> list[bytes]:
    """The environment that the user gave, to the byte.

    As this process was executed with: in a C locale the interpreter sets LC_CTYPE in its
    own (PEP 538).  The front process has marked what is COMMAND's alone (native/front.c).
    """
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = file.read().split(b"\0")[:-1]
    except OSError:
        entries = [name + b"=" + value for name, value in os.environb.items()]
    return [_unmark(entry) for entry in entries]


def add(environment: list[bytes], path: bytes) -> list[bytes]:
    """The environment with the path as the last object to preload, behind the user's."""
    changed = list(environment)
    # Of several variables of one name, loaders go by the last, others by the first.
    places = [i for i, entry in enumerate(changed) if entry.startswith(_VARIABLE)]
    if not places:
        changed.append(_VARIABLE + path)
    for i in places:
        value = changed[i].removeprefix(_VARIABLE)
        if path not in _elements(value):
            changed[i] = _VARIABLE + (value + b":" if value else b"") + path
    return changed


def remove(environment: list[bytes], path: bytes) -> list[bytes]:
    """The environment without the path, and without a variable that is left empty by that.

    A program that cannot take the shim has as many colons in its place (native/preload.h).
    """
    kept = []
    blank = b":" * len(path)
    for entry in environment:
        value = entry.removeprefix(_VARIABLE)
        if value != entry and (path in _elements(value) or blank in value):
            value = b":".join(one for one in _elements(value) if one and one != path)
            if not value:
                continue
            entry = _VARIABLE + value
        kept.append(entry)
    return kept
