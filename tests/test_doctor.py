# SPDX-License-Identifier: Apache-2.0
"""``fakeroot-sc doctor`` tells what is there, what is missing, and whether the main job works."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from commands import FAKEROOT_SC, PATIENCE, bare, compile_c, fake
from test_faults import NEW_LISTENER, PTRACE, REFUSE, SECCOMP, refusal

from fakeroot_sc.doctor import surroundings
from fakeroot_sc.doctor.shim import interpreter

# The doctor chooses the modes by itself.
pytestmark = pytest.mark.pure


def examine(
    place: Path,
    *arguments: str,
    before: Sequence[str | Path] = (),
    environment: Mapping[str, str] | None = None,
) -> tuple[int, bool, dict[str, dict[str, str]]]:
    """Status, whether it works, and the findings by name."""
    done = bare(
        [*before, FAKEROOT_SC, "doctor", "--json", *(arguments or (str(place),))],
        cwd=place,
        env=environment,
        timeout=8 * PATIENCE,
    )
    assert done.stderr == ""
    told: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, told["works"], {one["name"]: one for one in told["findings"]}


@pytest.fixture(scope="module")
def refuser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that refuses calls."""
    return compile_c(tmp_path_factory.mktemp("refuse"), "refuse", REFUSE)


def test_a_machine_with_all_of_it_is_well(tmp_path: Path) -> None:
    status, works, found = examine(tmp_path)
    assert (status, works) == (0, True)
    assert found["main job"]["verdict"] == "ok"
    assert found["/proc"]["verdict"] == "ok"
    assert found["programs without the shim"]["verdict"] == "ok"
    assert found[f"states in {tmp_path}"]["verdict"] == "ok"


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    examine(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_people_get_lines_of_a_terminal_s_width(tmp_path: Path) -> None:
    done = bare([FAKEROOT_SC, "doctor", tmp_path], cwd=tmp_path, timeout=8 * PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert any(line.startswith("ok       main job: ") for line in lines)
    # A path is not broken.
    assert all(len(line) <= 80 or " " not in line.strip() for line in lines)


def test_refused_seccomp_is_slower_and_works(tmp_path: Path, refuser: Path) -> None:
    refused = [refuser, refusal(SECCOMP, errno.EPERM), "--"]
    status, works, found = examine(tmp_path, before=refused)
    assert (status, works) == (0, True)
    assert found["seccomp listener"]["verdict"] == "slower"
    assert "seccomp" in found["seccomp listener"]["advice"]
    assert found["--mode notify"]["verdict"] == "limited"
    assert found["--mode ptrace-all"]["verdict"] == "ok"
    assert found["main job"]["verdict"] == "slower"
    assert "ptrace-all" in found["main job"]["cost"]


def test_a_taken_listener_is_told_apart(tmp_path: Path, refuser: Path) -> None:
    status, _, found = examine(tmp_path, before=[refuser, "listen:163", "--"])
    assert status == 0
    assert "another supervisor listens" in found["seccomp listener"]["found"]


def test_without_any_way_the_status_says_so(tmp_path: Path, refuser: Path) -> None:
    refused = [refuser, refusal(SECCOMP, errno.EPERM), refusal(PTRACE, errno.EPERM), "--"]
    status, works, found = examine(tmp_path, before=refused)
    assert (status, works) == (1, False)
    assert found["main job"]["verdict"] == "MISSING"
    assert "status 125" in found["main job"]["found"]


def test_a_kernel_without_waiting_receivers_is_told(tmp_path: Path, refuser: Path) -> None:
    refused = [refuser, refusal(SECCOMP, errno.EINVAL, 1, NEW_LISTENER | 32), "--"]
    found = examine(tmp_path, before=refused)[2]
    assert found["interruptions"]["verdict"] == "limited"
    assert "5.19" in found["interruptions"]["found"]


def test_a_directory_that_is_not_one_is_named(tmp_path: Path) -> None:
    status, _, found = examine(tmp_path, str(tmp_path / "none"))
    assert status == 0
    assert found[f"files in {tmp_path / 'none'}"]["found"] == os.strerror(errno.ENOENT)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere: run as another user")
def test_a_directory_of_others_has_no_states(tmp_path: Path) -> None:
    found = examine(tmp_path, "/")[2]
    assert found["states in /"]["verdict"] == "limited"


def test_other_preloads_are_named(tmp_path: Path) -> None:
    other = compile_c(tmp_path, "other.so", "int other;", "-shared", "-fPIC")
    found = examine(tmp_path, environment={**os.environ, "LD_PRELOAD": str(other)})[2]
    assert str(other) in found["other preloads"]["found"]
    assert found["main job"]["verdict"] == "ok"


def test_inside_of_a_run_it_says_so(tmp_path: Path) -> None:
    done = fake([FAKEROOT_SC, "doctor", "--json"], cwd=tmp_path)
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert "inside of a run" in found["session"]["found"]
    assert found["main job"]["verdict"] == "ok"


def test_a_command_of_that_name_is_behind_two_dashes(tmp_path: Path) -> None:
    program = tmp_path / "doctor"
    program.write_text("#!/bin/sh\necho who\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = bare([FAKEROOT_SC, "--", "doctor"], env={**os.environ, "PATH": path})
    assert done.stdout == "who\n"


def test_bad_usage_is_status_2() -> None:
    done = subprocess.run(
        [FAKEROOT_SC, "doctor", "--none"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert "--none" in done.stderr


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"GITLAB_CI": "true"}, "GitLab CI"),
        ({"GITHUB_ACTIONS": "true"}, "GitHub Actions"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "Kubernetes"),
        ({"container": "lxc"}, "LXD or Incus"),
    ],
)
def test_surroundings_have_advice_of_their_own(environment: dict[str, str], name: str) -> None:
    found = surroundings.find(environment)
    assert name in [one.name for one in found]
    assert f"{name}: " in surroundings.advice(found, "seccomp", "")
    assert f"{name}: " in surroundings.advice(found, "ptrace", "")


def test_unknown_surroundings_have_general_advice() -> None:
    assert surroundings.advice([], "seccomp", "allow it") == "allow it"


def test_the_loader_of_a_program_is_found(tmp_path: Path) -> None:
    source = "int main(void) { return 0; }"
    dynamic = compile_c(tmp_path, "dynamic", source)
    static = compile_c(tmp_path, "static", source, "-static")
    assert interpreter(str(dynamic)) == "/lib64/ld-linux-x86-64.so.2"
    assert interpreter(str(static)) is None
    (tmp_path / "text").write_text("#!/bin/sh\n")
    assert interpreter(str(tmp_path / "text")) is None
