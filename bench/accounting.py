"""What the kernel says of each task that ends: context switches, and the time for which
it was ready to run and had no processor (taskstats, by generic netlink).

The kernel tells it to root alone (CAP_NET_ADMIN), so we listen, and the measured commands
run unprivileged.  A tool's own processes count like the command's: they run as the same
user, and are told apart from others by that.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import attrs

ROOM = 64 << 20  # bytes, for what the kernel says while nobody reads
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; the module socket does not have it
MESSAGE_MOST = 1 << 16
END_MOST = 3.0  # seconds for a tool's own processes to end after the command
STEP = 0.01
PROCESSORS = "/sys/devices/system/cpu/possible"


class Unavailable(Exception):
    """There is no accounting; the text says why."""


@attrs.frozen
class Account:
    """Of one run: how many tasks ended, and what all of them did for each call.
    ``calls`` is 1 where the run as a whole is what was measured."""

    calls: int
    tasks: int
    switches: float  # per call
    queued_ns: float  # per call


@attrs.frozen
class Counts:
    """What a task has done so far."""

    switches: int = 0
    queued_ns: int = 0
    scheduled: int = 0  # times that it got a processor

    def since(self, before: Counts) -> Counts:
        return Counts(
            self.switches - before.switches,
            self.queued_ns - before.queued_ns,
            self.scheduled - before.scheduled,
        )


def calls_of(output: str) -> int:
    """How many calls a program has made, by the last line that it has printed."""
    found = re.search(r"^(\d+) calls, \S+\n?\Z", output, re.MULTILINE)
    return int(found.group(1)) if found else 1


def summed(counts: list[Counts], calls: int) -> Account:
    return Account(
        calls,
        len(counts),
        sum(one.switches for one in counts) / calls,
        sum(one.queued_ns for one in counts) / calls,
    )


def _counts(stats: Any) -> Counts:
    return Counts(stats["nvcsw"] + stats["nivcsw"], stats["cpu_delay_total"], stats["cpu_count"])


class Accounting:
    """Listens from begin() to end(), to the tasks of one user."""

    def __init__(self, uid: int) -> None:
        """Raises Unavailable."""
        if os.geteuid() != 0:
            raise Unavailable("only root is told of it: start the benchmark as root")
        try:
            # Takes a fifth of a second.
            from pyroute2 import TaskStats
            from pyroute2.netlink.exceptions import NetlinkError
        except ImportError:
            raise Unavailable("it needs pyroute2: pip install '.[bench]'") from None
        self._uid = uid
        self._alive: dict[int, Counts] = {}
        try:
            self._stats = TaskStats()
            self._stats.bind()
            # A socket of our own for reading: pyroute2's waits for what may never come.
            self._socket = socket.socket(fileno=os.dup(self._stats.fileno()))
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
            with open(PROCESSORS, encoding="ascii") as file:
                self._mask = file.read().strip()
        except (OSError, NetlinkError) as error:
            raise Unavailable(f"the kernel has no taskstats for us: {error}") from error
        self._try()

    def _try(self) -> None:
        """Whether tasks are reported at all, and with the time that they waited."""
        self.begin()
        child = os.fork()
        if child == 0:
            try:
                os.setresuid(self._uid, self._uid, self._uid)
                time.sleep(STEP)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        found = [counts for pid, counts in self._ended() if pid == child]
        self._listen(False)
        if not found or not found[0].switches:
            raise Unavailable("the kernel does not report tasks that end (CONFIG_TASKSTATS)")
        if not found[0].scheduled:
            raise Unavailable("the kernel has no delay accounting (CONFIG_TASK_DELAY_ACCT)")

    def close(self) -> None:
        self._socket.close()
        self._stats.close()

    def begin(self) -> None:
        """From here on."""
        self._listen(True)
        with contextlib.suppress(OSError):  # ENOBUFS, of what came before
            for _ in self._ended():
                pass
        self._alive = {pid: self._now(pid) for pid in self._living()}

    def end(self, calls: int) -> Account | None:
        """What ended since begin(), and what goes on did since; None if the kernel had to
        leave something out."""
        deadline = time.monotonic() + END_MOST
        while set(self._living()) - set(self._alive) and time.monotonic() < deadline:
            time.sleep(STEP)
        try:
            # A task's exit is told before it can be waited for.
            ended = dict(self._ended())
        except OSError:  # ENOBUFS
            return None
        finally:
            self._listen(False)
        counts = [found.since(self._alive.get(pid, Counts())) for pid, found in ended.items()]
        for pid in self._living():
            counts.append(self._now(pid).since(self._alive.get(pid, Counts())))
        return summed(counts, calls)

    def _listen(self, on: bool) -> None:
        (self._stats.register_mask if on else self._stats.deregister_mask)(self._mask)

    def _ended(self) -> Iterator[tuple[int, Counts]]:
        """Reads what the kernel has said of tasks of the user."""
        while True:
            try:
                data = self._socket.recv(MESSAGE_MOST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            for message in self._stats.marshal.parse(data):
                # The sums of thread groups are left aside: their threads have come, too.
                found = message.get_attr("TASKSTATS_TYPE_AGGR_PID")
                stats = found and found.get_attr("TASKSTATS_TYPE_STATS")
                if stats and stats["ac_uid"] == self._uid:
                    yield found.get_attr("TASKSTATS_TYPE_PID"), _counts(stats)

    def _living(self) -> Iterator[int]:
        """Tasks of the user, threads one by one, but for what waits for its parent."""
        for name in os.listdir("/proc"):
            try:
                if not name.isdecimal() or os.stat(f"/proc/{name}").st_uid != self._uid:
                    continue
                for task in os.listdir(f"/proc/{name}/task"):
                    if _state(f"/proc/{name}/task/{task}/stat") not in "ZX":
                        yield int(task)
            except OSError:
                continue  # gone

    def _now(self, pid: int) -> Counts:
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            [message] = self._stats.get_pid_stat(pid)
        except (NetlinkError, ValueError):
            return Counts()  # gone
        found = message.get_attr("TASKSTATS_TYPE_AGGR_PID")
        return _counts(found.get_attr("TASKSTATS_TYPE_STATS"))


def _state(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]
