"""setpriority(2): what the user may do is done; what only root may, succeeds."""

from __future__ import annotations

import errno
import os

from fakeroot_sc import _core

_CAP_SYS_NICE = 23
_INT = 1 << 32


def _int(register: int) -> int:
    """The value of a register's low half, as the kernel takes an int."""
    low = register % _INT
    return low - _INT if low >= _INT // 2 else low


def setpriority(request: _core.Request) -> int:
    """0 as who means the caller, its process group, or its user, who is ours too."""
    which, who, nice = (_int(request.argument(position)) for position in range(3))
    if who == 0 and which == os.PRIO_PROCESS:
        who = request.tid
    elif who == 0 and which == os.PRIO_PGRP:
        who = os.getpgid(request.tid)
    try:
        os.setpriority(which, who, nice)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM) or not request.capable(_CAP_SYS_NICE):
            raise
    return 0
