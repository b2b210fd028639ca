"""A target that serves files is answered, whoever waits for it and whatever is short."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import FAKEROOT_SC, PATIENCE, bare, compile_c, need
from installed import OPTIONS

SOURCE = Path(__file__).parent / "programs" / "file_server.c"
FEW = 40
"""Descriptors: for four threads of a supervisor."""


@pytest.mark.root
@pytest.mark.parametrize("descriptors", [FEW, 1024])
@pytest.mark.parametrize("mode", ["notify", "ptrace", "ptrace-all"])
def test_a_file_server_is_answered_when_every_thread_waits_for_it(
    tmp_path: Path, mode: str, descriptors: int
) -> None:
    """Twice as many clients as threads change files that only the server can tell of."""
    if OPTIONS and mode != "notify":
        pytest.skip("the way that calls come is given")
    server = compile_c(tmp_path, "file_server", SOURCE.read_text(), "-static")
    (tmp_path / "mounted").mkdir()
    flags = [] if OPTIONS else [f"--mode={mode}"]
    script = f'ulimit -n {descriptors}; exec timeout -s KILL {PATIENCE} "$@"'
    inside = [need("unshare", "util-linux"), "--mount", "sh", "-c", script, "sh"]
    command = [FAKEROOT_SC, *flags, "--", server, "mounted", "8", "3"]
    done = bare([*inside, *command], cwd=tmp_path, timeout=2 * PATIENCE)
    if done.returncode == 77:
        pytest.skip("file systems of one's own cannot be mounted here (/dev/fuse)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
