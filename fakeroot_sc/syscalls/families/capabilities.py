"""capabilities(7): capget(2), capset(2), prctl(2); and what else only root may."""

from __future__ import annotations

from collections.abc import Iterator

from fakeroot_sc.syscalls.row import Home, Masked, Syscall

PR_GET_KEEPCAPS = 7
PR_SET_KEEPCAPS = 8
PR_SET_SECCOMP = 22
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_GET_SECUREBITS = 27
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
OPTIONS = (
    PR_GET_KEEPCAPS,
    PR_SET_KEEPCAPS,
    PR_SET_SECCOMP,
    PR_CAPBSET_READ,
    PR_CAPBSET_DROP,
    PR_GET_SECUREBITS,
    PR_SET_SECUREBITS,
    PR_CAP_AMBIENT,
)


def rows() -> Iterator[Syscall]:
    for name, x86_64, i386, reason in (
        ("capget", 125, 184, "answers with the fake capabilities of the process"),
        ("capset", 126, 185, "changes the fake capabilities of the thread"),
    ):
        yield Syscall(
            name=name,
            family="capabilities",
            operation=name,
            arguments=("header", "data"),
            x86_64=x86_64,
            i386=i386,
            reason=reason,
        )
    yield Syscall(
        name="prctl",
        family="capabilities",
        operation="prctl",
        arguments=("option",),
        traps=tuple(Masked("option", 0xFFFF_FFFF, option) for option in OPTIONS),
        x86_64=157,
        i386=172,
        reason="keep-caps, securebits, bounding and ambient sets are fake; of filters that the "
        "program installs itself the shim must know",
    )
    yield Syscall(
        name="setpriority",
        family="capabilities",
        operation="setpriority",
        home=Home.PYTHON,
        arguments=("which", "who", "nice"),
        x86_64=141,
        i386=97,
        reason="does what the user may, and succeeds where only root could",
    )
