"""The command line: from arguments to a run.

Imports nothing that a plain run can do without; a test holds the list.
"""

import os
import sys

from fakeroot_sc.plan import HELP, TROUBLE, USAGE, Plan, UsageError, parse, version_text


def _dump_filter() -> int:
    from fakeroot_sc.bpf import disassemble, unpack
    from fakeroot_sc.supervisor import stock_filter

    print(disassemble(unpack(stock_filter())), end="")
    return 0


def _run(plan: Plan, origin_text: str) -> int:
    from fakeroot_sc.origin import Origin
    from fakeroot_sc.supervisor import supervise

    return supervise(plan, Origin(origin_text))


def _doctor(plan: Plan) -> int:
    from fakeroot_sc.doctor.cli import main as examine
    from fakeroot_sc.preload import given

    # The interpreter's own lacks what is COMMAND's alone, LD_PRELOAD among it.
    pairs = [os.fsdecode(entry).partition("=") for entry in given()]
    return examine(plan.command, {name: value for name, _, value in pairs})


def _told(origin_text: str, status: int) -> int:
    """The same status, once the front process has been told of it (CONTROL_EXITED of
    native/control.h): an interpreter that fails ends with 1, too."""
    sys.stdout.flush()
    message = b"".join(number.to_bytes(4, sys.byteorder) for number in (3, status, 0))
    os.write(int(origin_text.partition(":")[0]), message)
    return status


def _act(origin_text: str, arguments: list[str]) -> int:
    try:
        plan = parse(arguments)
    except UsageError as error:
        print(f"fakeroot-sc: {error}\n{USAGE}", end="", file=sys.stderr)
        return 2
    if plan.action == "run":
        return _run(plan, origin_text)
    if plan.action == "dump-filter":
        return _dump_filter()
    if plan.action == "doctor":
        return _told(origin_text, _doctor(plan))
    print(HELP if plan.action == "help" else version_text(), end="")
    return 0


def _lack(error: BaseException) -> str:
    try:
        from fakeroot_sc.trouble import explain_lack

        return explain_lack(error)
    except (MemoryError, ImportError, SystemError, OSError):
        return "cannot start the supervisor: no memory: look at the limits (ulimit -a)"


def main(origin_text: str, arguments: list[str]) -> None:
    """Does what the arguments ask, as the supervisor of a front process.

    Ends the process at once: workers may still be waiting in the kernel.
    """
    try:
        status = _act(origin_text, arguments)
        sys.stdout.flush()
    except (MemoryError, ImportError, SystemError) as error:
        status = TROUBLE
        print(f"fakeroot-sc: {_lack(error)}", file=sys.stderr)
    except OSError as error:
        status = TROUBLE
        print(f"fakeroot-sc: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
    os._exit(status)
