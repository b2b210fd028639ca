"""The kernel's constants that are written by hand in Python, to be compared with its headers.

A constant counts as the kernel's by its name: one of ``PREFIXES``, or named in ``ALIASES``.
The sources are read, not imported: some need what only an installation has.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PREFIXES = (
    "AT_", "CLONE_", "O_", "PR_", "PTRACE_", "RENAME_", "RLIMIT_", "SECCOMP_", "SYS_",
)  # fmt: skip
ALIASES = {
    "ACCESS_MODES": "R_OK | W_OK | X_OK",
    "ADDFD_FLAG_SEND": "SECCOMP_ADDFD_FLAG_SEND",
    "NOTIF_ADDFD": "SECCOMP_IOCTL_NOTIF_ADDFD",
    "NOTIF_SET_FLAGS": "SECCOMP_IOW(4, __u64)",
    "O_TMPFILE": "__O_TMPFILE",
    "OWNER": "S_IRWXU",
    "RET_ALLOW": "SECCOMP_RET_ALLOW",
    "RET_ERRNO": "SECCOMP_RET_ERRNO",
    "RET_KILL_PROCESS": "SECCOMP_RET_KILL_PROCESS",
    "RET_KILL_THREAD": "SECCOMP_RET_KILL_THREAD",
    "RET_LOG": "SECCOMP_RET_LOG",
    "RET_TRACE": "SECCOMP_RET_TRACE",
    "RET_TRAP": "SECCOMP_RET_TRAP",
    "RET_USER_NOTIF": "SECCOMP_RET_USER_NOTIF",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": "1UL << 5",
    "SYS_SECCOMP": "__NR_seccomp",
    "SYS_UNSHARE": "__NR_unshare",
    "X32_SYSCALL_BIT": "__X32_SYSCALL_BIT",
    "_CAP_SYS_NICE": "CAP_SYS_NICE",
}
"""Where the name here is not that of the header, or Debian 12's header (Linux 6.1) lacks it."""

SOURCES = ("bpf.py", "doctor/*.py", "filter.py", "syscalls/*.py", "syscalls/families/*.py")
"""Below the package: where constants of the kernel are."""

HEADERS = (
    "asm/fcntl.h",
    "asm/unistd.h",
    "linux/capability.h",
    "linux/fcntl.h",
    "linux/fs.h",
    "linux/net.h",
    "linux/prctl.h",
    "linux/ptrace.h",
    "linux/resource.h",
    "linux/sched.h",
    "linux/seccomp.h",
    "linux/stat.h",
    "linux/types.h",
    "sys/ioctl.h",
    "unistd.h",
)


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if not isinstance(statement, ast.Assign):
        return
    for target in statement.targets:
        if isinstance(target, ast.Name):
            yield target.id, statement.value
        elif isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
            for one, value in zip(target.elts, statement.value.elts, strict=True):
                if isinstance(one, ast.Name):
                    yield one.id, value


def constants(package: Path) -> Iterator[tuple[str, str, int]]:
    """(source, name, value) of each; the package's directory is given."""
    for pattern in SOURCES:
        for source in sorted(package.glob(pattern)):
            for statement in ast.parse(source.read_text(encoding="utf-8")).body:
                for name, value in _assigned(statement):
                    if not (name.startswith(PREFIXES) or name in ALIASES):
                        continue
                    if isinstance(value, ast.Constant) and isinstance(value.value, int):
                        yield str(source.relative_to(package)), name, value.value


def check(package: Path) -> str:
    """A C file that compiles only if the headers have the same values."""
    lines = [f"#include <{header}>" for header in HEADERS]
    lines.append("")
    for source, name, value in constants(package):
        there = ALIASES.get(name, name)
        lines.append(f'_Static_assert(({there}) == {value:#x}, "{name} in {source}");')
    return "\n".join([*lines, ""])
