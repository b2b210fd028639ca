"""What a transaction changes of a state: laid over the rows of its file while it goes on,
then made in the memory as a run would make it.

An edit is (row, fields, attributes, note).  ``row`` is one of ``_core.Live``, of which those
fields are meant that ``fields`` names (bits of ``enum inode_field``, native/inode_table.h);
``attributes`` are (name, value, whether to forget it), or None for a record to be removed.
The note is what only the file has: paths, the first as that of the record (None: as they are),
when the record was changed, and by which program.
"""

import json
from collections.abc import Iterable
from typing import Any

from fakeroot_sc.state.database import Row
from fakeroot_sc.state.look import same_birth
from fakeroot_sc.state.paths import Key

UID, GID, MODE, KIND, BIRTH = 1, 2, 4, 8, 32

Note = tuple[list[bytes] | None, int | None, bytes | None]
CoreRow = tuple[int, int, int | None, int, int | None, int | None, int | None, int | None, None]
Edit = tuple[CoreRow, int, list[tuple[bytes, bytes | None, bool]] | None, Note | None]


class Layer:
    """The changes of one transaction, or of one inside of another."""

    def __init__(self) -> None:
        self.rows: dict[Key, Row | None] = {}
        """As they have become; None: removed."""
        self.cleared = False
        """Whether everything below is gone."""

    def take_over(self, inner: "Layer") -> None:
        """What a transaction inside of this one has changed."""
        if inner.cleared:
            self.rows, self.cleared = inner.rows, True
        else:
            self.rows.update(inner.rows)

    def clear(self) -> None:
        self.rows, self.cleared = {}, True


def is_same_file(known: Row, birth: int | None) -> bool:
    """Whether a row may be of the file of that birth."""
    return same_birth(known[2], birth)


def edit_of(before: Row | None, after: Row | None) -> Edit | None:
    """What makes one row of the file the other; None if nothing does."""
    if after is None:
        return None if before is None else ((*before[:8], None), 0, None, None)
    if before == after:
        return None
    known = before if before is not None and is_same_file(before, after[2]) else None
    old: dict[bytes, bytes | None] = dict((known and known[8]) or ())
    new: dict[bytes, bytes | None] = dict(after[8] or ())
    attributes = [
        (name, new.get(name), name not in new)
        for name in {**old, **new}
        if name not in old or name not in new or old[name] != new[name]
    ]
    paths = None if after[9] is None else [after[9], *after[12]]
    note = (paths, after[10], after[11])
    return (*after[:8], None), _fields(known, after), attributes, note


def _fields(known: Row | None, after: Row) -> int:
    if known is None:
        fields = BIRTH | KIND
        for bit, place in ((UID, 4), (GID, 5), (MODE, 6)):
            fields |= bit if after[place] is not None else 0
        return fields
    fields = BIRTH if known[2] != after[2] else 0
    for bit, place in ((UID, 4), (GID, 5), (MODE, 6)):
        fields |= bit if known[place] != after[place] else 0
    return fields | (KIND if (known[3], known[7]) != (after[3], after[7]) else 0)


def for_memory(edits: Iterable[Edit]) -> list[Any]:
    """The edits as Live.edit() takes them: those that change something there."""
    return [edit[:3] for edit in edits if edit[1] or edit[2] or edit[2] is None]


def notes(edits: Iterable[Edit]) -> dict[Key, Note]:
    """What the file is to have beside the records."""
    return {edit[0][:2]: edit[3] for edit in edits if edit[3] is not None}


def encode(edits: list[Edit]) -> bytes:
    """A text that decode() reads."""
    return json.dumps(edits, default=_text).encode()


def _text(raw: bytes) -> dict[str, str]:
    return {"": raw.decode("latin-1")}


def decode(text: bytes) -> list[Edit]:
    """The edits of a text.  ValueError, or an error like it, for what encode() has not made."""
    edits: list[Edit] = []
    for row, fields, attributes, note in json.loads(text, object_hook=_bytes):
        made = (
            None
            if attributes is None
            else [(name, value, gone) for name, value, gone in attributes]
        )
        edits.append((tuple(row), fields, made, None if note is None else tuple(note)))
    return edits


def _bytes(found: dict[str, str]) -> bytes:
    return found[""].encode("latin-1")
