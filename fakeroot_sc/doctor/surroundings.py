"""Where this process runs: in which container, sandbox or CI system, and how each is told to
permit something."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import attrs

GVISOR_VERSION = "#1 SMP Sun Jan 10 15:06:54 PST 2016"
"""What gVisor tells as uname(2)'s version, whatever it is built from."""


@attrs.frozen
class Surroundings:
    """``seccomp``, ``ptrace``: how to have them permitted there; ``hint``: what is peculiar."""

    name: str
    seccomp: str = ""
    ptrace: str = ""
    hint: str = ""


DOCKER = Surroundings(
    "Docker",
    seccomp="docker run --security-opt seccomp=unconfined, or a newer Docker, whose default "
    "profile permits it",
    ptrace="docker run --cap-add SYS_PTRACE",
)
PODMAN = Surroundings(
    "Podman",
    seccomp="podman run --security-opt seccomp=unconfined",
    ptrace="podman run --cap-add SYS_PTRACE",
)
KUBERNETES = Surroundings(
    "Kubernetes",
    seccomp="securityContext: {seccompProfile: {type: RuntimeDefault}}, or type: Unconfined",
    ptrace="securityContext: {capabilities: {add: [SYS_PTRACE]}}",
)
GITLAB = Surroundings(
    "GitLab CI",
    seccomp="config.toml of the runner: [runners.docker] security_opt = ['seccomp=unconfined']",
    ptrace="config.toml of the runner: [runners.docker] cap_add = ['SYS_PTRACE']",
)
GITHUB = Surroundings(
    "GitHub Actions",
    seccomp="for a job in a container: container: {options: --security-opt seccomp=unconfined}",
    ptrace="for a job in a container: container: {options: --cap-add SYS_PTRACE}",
)
LXD = Surroundings(
    "LXD or Incus",
    seccomp="on the host: lxc config unset NAME security.syscalls.intercept.mknod, and so with "
    "intercept.setxattr, .mount, .bpf, .sched_setscheduler, .sysinfo: its interception takes the "
    "one listener that a process can have",
    ptrace="on the host: lxc config set NAME security.nesting true",
)
WSL = Surroundings(
    "WSL",
    hint="WSL 1 has no seccomp: wsl --set-version DISTRIBUTION 2; an old WSL 2: wsl --update",
)
GVISOR = Surroundings(
    "gVisor",
    hint="gVisor has no user notification: run the pod or container with another runtime class, "
    "or be content with ptrace",
)


def _exists(path: str) -> bool:
    return os.path.exists(path)


def _is_wsl() -> bool:
    return "microsoft" in os.uname().release.lower()


def _is_lxd(environment: Mapping[str, str]) -> bool:
    return environment.get("container") == "lxc" or _exists("/dev/lxd") or _exists("/dev/incus")


_SIGNS: tuple[tuple[Surroundings, Callable[[Mapping[str, str]], bool]], ...] = (
    (GITLAB, lambda environment: "GITLAB_CI" in environment),
    (GITHUB, lambda environment: "GITHUB_ACTIONS" in environment),
    (KUBERNETES, lambda environment: "KUBERNETES_SERVICE_HOST" in environment),
    (DOCKER, lambda _: _exists("/.dockerenv")),
    (PODMAN, lambda _: _exists("/run/.containerenv")),
    (LXD, _is_lxd),
    (WSL, lambda _: _is_wsl()),
    (GVISOR, lambda _: os.uname().version == GVISOR_VERSION),
)


def find(environment: Mapping[str, str]) -> list[Surroundings]:
    """All that show, the outermost word on settings first: a CI system before the container
    that it starts."""
    return [one for one, shows in _SIGNS if shows(environment)]


def advice(found: list[Surroundings], what: str, otherwise: str) -> str:
    """How to have ``what`` ("seccomp", "ptrace") permitted here."""
    said = [f"{one.name}: {getattr(one, what) or one.hint}" for one in found]
    return "; ".join(one for one in said if not one.endswith(": ")) or otherwise
