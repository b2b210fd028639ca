"""mknod(2) and mknodat(2).

The node is made for real as far as an ordinary user can make it: regular files,
FIFOs and sockets as they are, a device as an empty regular file that a record
shows as the device.  Nothing is followed, opened or waited for: the name must be
new.
"""

from __future__ import annotations

import errno
import os
import stat

from fakeroot_sc import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_AT_SYMLINK_NOFOLLOW = 0x100
_NODES = (0, stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK)
_DEFAULT_ACL = "system.posix_acl_default"


def _umask(tid: int) -> int:
    """The target's, from proc_pid_status(5); Linux 4.7."""
    with open(f"/proc/{tid}/status", "rb") as status:
        for line in status:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    return 0o022


def _has_default_acl(directory: int) -> bool:
    try:
        os.getxattr(f"/proc/self/fd/{directory}", _DEFAULT_ACL)
    except OSError:
        return False
    return True


def _split(request: _core.Request) -> tuple[int, int]:
    """(mode, device) from the registers; only 16 bits of a mode are looked at."""
    first = 1 if request.name == "mknod" else 2
    return request.argument(first) & 0xFFFF, request.argument(first + 1) & 0xFFFF_FFFF


def _link_device(directory: int, name: bytes, real: int, remember: Callable[[int], None]) -> bool:
    """Makes the file that stands for a device, remembers it, and only then gives it
    its name: nobody sees it as the regular file that it is.  False where the file
    system has no O_TMPFILE, or the name is not to be had: mknod(2) knows the error.
    """
    try:
        made = os.open(b".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, real, dir_fd=directory)
    except OSError:
        return False
    try:
        remember(made)
        source = f"/proc/self/fd/{made}"
        os.link(source, name, dst_dir_fd=directory, follow_symlinks=True)
    except OSError:
        # Its inode number may be given away within the same tick of the clock.
        _core.remember(made, 0, 0, 0, 0, 0)
        return False
    finally:
        os.close(made)
    return True


def mknod(request: _core.Request) -> int | None:
    """Creates the node, with the mode that the target's umask leaves.

    The type is judged before the path is read, as in do_mknodat().
    """
    mode, device = _split(request)
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFDIR:
        raise OSError(errno.EPERM, "mknod")
    if kind not in _NODES:
        raise OSError(errno.EINVAL, "mknod")
    kind = kind or stat.S_IFREG
    entry = request.entry()
    if entry is None:
        return None
    directory, name = entry

    wanted = mode & 0o7777
    # With a default ACL the kernel masks by that instead (acl(5)).
    if not _has_default_acl(directory):
        wanted &= ~_umask(request.tid)
    is_device = kind in (stat.S_IFCHR, stat.S_IFBLK)
    real = (wanted & 0o1777) | 0o600
    # inode_init_owner(): a set-group-ID directory hands its group on.
    _, group, directory_mode = _core.shown(directory)
    inherits = bool(directory_mode & stat.S_ISGID)

    def remember(made: int) -> None:
        shown = stat.S_IMODE(os.fstat(made).st_mode)
        shown = (shown & wanted & 0o777) | (wanted & 0o7000)
        fields = _core.FIELD_MODE if is_device or wanted != real else 0
        fields |= _core.FIELD_TYPE if is_device else 0
        fields |= _core.FIELD_GID if inherits else 0
        _core.remember(made, fields, 0, group, kind | shown, device if is_device else 0)

    if is_device and _link_device(directory, name, real, remember):
        return 0
    os.mknod(name, (stat.S_IFREG if is_device else kind) | real, dir_fd=directory)
    if is_device or inherits or wanted != real:
        made = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            remember(made)
        finally:
            os.close(made)
    return 0
