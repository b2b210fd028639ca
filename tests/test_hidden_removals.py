# SPDX-License-Identifier: Apache-2.0
"""File systems that keep removed files under hidden names: the next file is nobody's heir."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mounted import FUSE, run_on

pytestmark = pytest.mark.root

OnFuse = Callable[[str], list[str]]


@pytest.fixture(params=FUSE)
def on_fuse(request: pytest.FixtureRequest) -> OnFuse:
    """Runs a script there under fakeroot-sc; returns the lines that it says."""
    return lambda script: run_on(request.param, script)


REMOVALS = {
    "unlink": "rm victim",
    "rename over": "touch other; mv -f other victim; rm victim",
    "moved and removed": "mv victim other; rm other",
    "last of two links": "ln victim other; rm other; rm victim",
    "all links at once": "ln victim other; ln victim third; rm victim other third",
}


@pytest.mark.parametrize("removal", list(REMOVALS))
def test_what_a_removed_device_was_no_later_file_is(removal: str, on_fuse: OnFuse) -> None:
    lines = on_fuse(
        f"mknod victim c 1 3; chown 5:6 victim; {REMOVALS[removal]};"
        " for i in {1..30}; do echo $i >n$i; done; mkdir d; echo kept >d/inside;"
        " stat -c '%A %u:%g' n* d | sort -u; tar cf - d | tar xOf -"
    )
    assert lines == ["-rw-r--r-- 0:0", "drwxr-xr-x 0:0", "kept"]


def test_what_a_removed_directory_was_no_later_file_is(on_fuse: OnFuse) -> None:
    lines = on_fuse(
        "for i in {1..20}; do mkdir d$i; chmod 1770 d$i; chown $i:7 d$i; done; rmdir d*;"
        " for i in {1..30}; do echo $i >n$i; mkdir d$i; done;"
        " stat -c '%A %u:%g' n* d* | sort -u"
    )
    assert lines == ["-rw-r--r-- 0:0", "drwxr-xr-x 0:0"]


def test_a_file_keeps_its_record_until_its_last_link_is_removed(on_fuse: OnFuse) -> None:
    lines = on_fuse(
        "touch one; chown 5:6 one; chmod 4711 one; ln one two; rm one; mv two three;"
        " stat -c '%A %u:%g' three; mv three three || true; stat -c '%A %u:%g' three"
    )
    assert lines == ["-rws--x--x 5:6"] * 2


def test_a_removal_that_fails_forgets_nothing(on_fuse: OnFuse) -> None:
    lines = on_fuse(
        "mkdir d; touch d/f; chown 5:6 d d/f; ! rmdir d; ! rm d; ! rmdir d/f; ! rm d/f/;"
        " stat -c %u:%g d d/f"
    )
    assert lines == ["5:6", "5:6"]


def test_a_record_is_of_no_file_of_another_type(on_fuse: OnFuse) -> None:
    """Removed behind the mount's back: there is no birth time, but the type tells."""
    lines = on_fuse(
        "[ -d ../up ] && [ ! -d ../work ] || { echo elsewhere; exit; };"
        " for i in {1..20}; do mknod v$i c 1 3; chown 5:6 v$i; done; rm ../up/v*;"
        " for i in {1..40}; do ln -s x l$i; done; stat -c '%F %u:%g' l* | sort -u;"
        " chown -h 7:8 l*; stat -c '%F %u:%g' l* | sort -u; ls -ln l* | cut -c1 | sort -u"
    )
    assert lines in (["elsewhere"], ["symbolic link 0:0", "symbolic link 7:8", "l"])
