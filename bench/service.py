"""A program that goes on running under a tool, for what takes long to set up."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
from typing import IO

import attrs

from bench.scratch import Done, Scratch, end_group

END_MOST = 20.0  # seconds


@attrs.define
class Service:
    """A program that answers each line on its standard input with a line.  It is started
    when it is first asked, and ends with its input: also when we end, in whatever way.
    ``command`` contains the tool."""

    scratch: Scratch
    command: list[str]
    environment: dict[str, str]
    _process: subprocess.Popen[bytes] | None = None
    _errors: IO[bytes] = attrs.field(factory=tempfile.TemporaryFile)

    def ask(self, line: str, timeout: float) -> Done:
        """The answer; from a program that ends instead, its status."""
        try:
            if self._process is None:
                self._process = self.scratch.start(
                    self.command, self.environment, subprocess.PIPE, subprocess.PIPE, self._errors
                )
            answer = self._exchange(self._process, line, timeout)
        except OSError as error:
            return Done(127, "", str(error))
        if answer:
            return Done(0, answer, "")
        status = self.close(0 if answer is None else END_MOST)
        self._errors.seek(0)
        return Done(status, "", self._errors.read().decode(errors="replace"))

    @staticmethod
    def _exchange(process: subprocess.Popen[bytes], line: str, timeout: float) -> str | None:
        """None: it took too long; empty: there will be no answer."""
        assert process.stdin and process.stdout
        try:
            os.write(process.stdin.fileno(), f"{line}\n".encode())
        except BrokenPipeError:
            return ""
        # Programs write a line at once: with its first byte there is the rest.
        ready, _, _ = select.select([process.stdout], [], [], timeout)
        return process.stdout.readline().decode(errors="replace") if ready else None

    def close(self, patience: float = END_MOST) -> int | None:
        """Lets the program end, if it runs, and returns its status; None: it did not."""
        process, self._process = self._process, None
        if process is None:
            return None
        with process:
            try:
                process.communicate(timeout=patience)
            except subprocess.TimeoutExpired:
                end_group(process)
                return None
        return process.returncode
