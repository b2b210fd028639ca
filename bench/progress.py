"""How far a run is: a bar by rich on a terminal that has it, else a line that moves along,
and nothing where nobody looks."""

from __future__ import annotations

import shutil
import sys
from types import TracebackType
from typing import Any


class Progress:
    """``tell`` says what is being done; ``advance`` that a part of the whole is."""

    def __init__(self, whole: float) -> None:
        """``whole``: what all advances will add up to."""
        self._terminal = sys.stderr.isatty()
        self._bar: Any = _bar() if self._terminal else None
        self._task = self._bar.add_task("", total=whole) if self._bar else None

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pause()

    def pause(self) -> None:
        """Leaves the terminal to others, until it is told or advanced again."""
        if self._bar:
            self._bar.stop()
        else:
            self._line("")

    def tell(self, text: str) -> None:
        if self._bar:
            self._bar.start()
            self._bar.update(self._task, description=text)
        else:
            self._line(text)

    def advance(self, part: float) -> None:
        if self._bar:
            self._bar.update(self._task, advance=part)

    def _line(self, text: str) -> None:
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width].ljust(width)}\r", end="", file=sys.stderr, flush=True)


def _bar() -> Any:
    """None without rich."""
    try:
        from rich import progress
        from rich.console import Console
    except ImportError:
        return None
    return progress.Progress(
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
