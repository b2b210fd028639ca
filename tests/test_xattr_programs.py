# SPDX-License-Identifier: Apache-2.0
"""Programs that carry capabilities, ACLs and attributes from file to file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import Run

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
SET = (
    "cp /bin/true tool && setcap cap_net_raw+ep tool && echo text >file &&"
    " setfattr -n trusted.one -v two file && setfattr -n user.three -v four file &&"
    " setfacl -m u:1000:rw,g:5:r file"
)


def need(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program, path=PATH):
            pytest.skip(f"{program} is not installed")


def shell(run: Run, directory: Path, script: str) -> list[str]:
    need("setcap", "setfattr", "setfacl")
    done = run("sh", "-c", f"PATH={PATH}; {script}", cwd=directory)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


LOOK = "getcap {0}/tool; getfattr -dm 'trusted|user' {0}/file; getfacl -cn {0}/file"
TOLD = ["cap_net_raw=ep", 'trusted.one="two"', 'user.three="four"', "user:1000:rw-", "group:5:r--"]

COPIES = {
    "cp": "mkdir out && cp -a tool file out/",
    "mv": "mkdir out && mv tool file out/",
    "rsync": "mkdir out && rsync -aAX tool file out/",
    "tar": "tar --xattrs --xattrs-include='*' --acls -cf t.tar tool file && mkdir out &&"
    " tar --xattrs --xattrs-include='*' --acls -xf t.tar -C out",
}


@pytest.mark.parametrize("program", COPIES)
def test_copies_have_what_the_original_had(run: Run, tmp_path: Path, program: str) -> None:
    need(program)
    told = "\n".join(shell(run, tmp_path, f"{SET} && {COPIES[program]} && {LOOK.format('out')}"))
    assert [part for part in TOLD if part not in told] == [], told


def test_a_squashfs_has_them(run: Run, tmp_path: Path) -> None:
    need("mksquashfs", "unsquashfs")
    script = (
        f"{SET} && chown 7:8 tool && setcap cap_net_raw+ep tool &&"
        " mksquashfs tool file s -quiet >/dev/null 2>&1 && unsquashfs -q -d out s >/dev/null &&"
        " getcap out/tool && getfattr -n trusted.one out/file && stat -c %u:%g out/tool"
    )
    told = "\n".join(shell(run, tmp_path, script))
    assert "cap_net_raw=ep" in told and 'trusted.one="two"' in told and "7:8" in told


def test_bsdtar_carries_a_capability(run: Run, tmp_path: Path) -> None:
    need("bsdtar")
    script = f"{SET} && bsdtar -cf t tool && mkdir out && bsdtar -xpf t -C out && getcap out/tool"
    assert "cap_net_raw=ep" in shell(run, tmp_path, script)[0]


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ("touch tool", True),
        ("touch -d @1 tool", True),
        ("mv tool other && mv other tool", True),
        ("ln tool other", True),
        ("chmod 700 tool", True),
        ("echo >>tool", False),
        ("truncate -s 5 tool", False),
        ("chown 5 tool", False),
        ("chown :5 tool", False),
        ("setcap -r tool", False),
        ("cp /bin/false other && mv other tool", False),
    ],
)
def test_a_capability_is_kept_as_the_kernel_keeps_it(
    run: Run, tmp_path: Path, change: str, kept: bool
) -> None:
    told = shell(run, tmp_path, f"{SET} && {change} && getcap tool && stat -c %u:%g file")
    assert told == (["tool cap_net_raw=ep"] if kept else []) + ["0:0"]


def test_a_program_gets_its_capability(run: Run, tmp_path: Path) -> None:
    need("capsh", "setpriv")
    script = (
        "cp $(command -v capsh) . && setcap cap_net_raw+ep capsh && chmod 755 . capsh &&"
        " setpriv --reuid 1000 --regid 1000 --clear-groups ./capsh --print"
    )
    assert "Current: cap_net_raw=ep" in shell(run, tmp_path, script)


def test_default_acls_reach_what_is_made_below(run: Run, tmp_path: Path) -> None:
    script = (
        "mkdir d && setfacl -dm u:7:rwx d && touch d/f && mkdir d/e && getfacl -cn d/f d/e &&"
        " chown -R 5:6 d && stat -c %u:%g:%a d/f d/e"
    )
    told = shell(run, tmp_path, script)
    assert "default:user:7:rwx" in told and any(line.startswith("user:7:rwx") for line in told)
    assert told[-2].startswith("5:6:") and told[-1].startswith("5:6:")


def test_an_acl_and_the_mode_keep_each_other_in_step(run: Run, tmp_path: Path) -> None:
    script = (
        ": >f && setfacl -m u:7:rwx f && stat -c %a f && chmod 4510 f && getfacl -cn f &&"
        " setfacl -b f && stat -c %a f"
    )
    told = shell(run, tmp_path, script)
    assert told[0] == "674" and told[-1] == "4500"
    assert "user::r-x" in told and "mask::--x" in told
