# SPDX-License-Identifier: Apache-2.0
"""ACLs that the file system, or the user namespace, cannot hold are remembered."""

from __future__ import annotations

import shutil
import subprocess

import installed
import pytest
from differential import unprivileged
from harness import PATIENCE
from mounted import MOUNT, run_on

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("setfacl"), reason="setfacl (Debian package acl)"),
]


@pytest.fixture(params=list(MOUNT))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_tree_is_copied_with_its_modes(kind: str) -> None:
    lines = run_on(
        kind,
        "mkdir d d/e; touch d/f; ln -s f d/l; chmod 751 d; chmod 1777 d/e; chown 5:6 d/f;"
        " chmod 4640 d/f; cp -a d copy; cd copy; stat -c '%n %a %u:%g' . e f l",
    )
    assert lines == [". 751 0:0", "e 1777 0:0", "f 4640 5:6", "l 777 0:0"]


def test_acls_are_kept_and_copied(kind: str) -> None:
    lines = run_on(
        kind,
        "mkdir d; touch d/f; chmod 640 d/f; setfacl -m u:3:rw d/f; setfacl -dm g:4:rx d;"
        " cp -a d copy; cd copy; stat -c %a f; getfacl -cn f | grep -E 'user:3|mask';"
        " getfacl -cn . | grep group:4; chmod 600 f; getfacl -cn f | grep mask;"
        " setfacl -b f; setfacl -k .; getfacl -cn f . | grep -E ':[34]:' || echo none",
    )
    assert [line.split()[0] for line in lines] == [
        "660", "user:3:rw-", "mask::rw-", "default:group:4:r-x", "mask::---", "none",
    ]  # fmt: skip


@pytest.mark.parametrize("users", ["--map-root-user", "--map-current-user"])
def test_ids_that_a_user_namespace_does_not_map_are_kept_in_acls(users: str) -> None:
    user = str(unprivileged())
    drop = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
    script = (
        'd=$(mktemp -d); cd "$d"; : >f; mkdir e; setfacl -m u:3:r,g:70000:rw f;'
        " setfacl -dm u:3:rx e; getfacl -cn f e | grep -E '3|70000'; stat -c %a f;"
        ' setfacl -b f; getfacl -cn f | grep -c 3; rm -r "$d"'
    )
    command = ("unshare", "--user", users, installed.FAKEROOT_SC, "--", "sh", "-c", script)
    done = subprocess.run(
        [*drop, *command],
        cwd="/var/tmp",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "TMPDIR": "/var/tmp"},
    )
    if "unshare" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    assert done.stdout.split() == [
        "user:3:r--", "group:70000:rw-", "default:user:3:r-x", "664", "0",
    ], done.stderr  # fmt: skip
