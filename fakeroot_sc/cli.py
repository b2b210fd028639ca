"""The command line: from arguments to a run.

Imports nothing that a plain run can do without; a test holds the list.
"""

import os
import sys

from fakeroot_sc.plan import HELP, USAGE, Plan, UsageError, parse, version_text


def _leave(status: int) -> None:
    """Ends the process at once: workers may still be waiting in the kernel."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _dump_filter() -> int:
    from fakeroot_sc.bpf import disassemble, unpack
    from fakeroot_sc.supervisor import stock_filter

    print(disassemble(unpack(stock_filter())), end="")
    return 0


def _run(plan: Plan, origin_text: str) -> int:
    from fakeroot_sc.origin import Origin
    from fakeroot_sc.supervisor import supervise

    return supervise(plan, Origin(origin_text))


def main(origin_text: str, arguments: list[str]) -> None:
    """Does what the arguments ask, as the supervisor of a front process."""
    try:
        plan = parse(arguments)
        if plan.action == "run":
            status = _run(plan, origin_text)
        elif plan.action == "dump-filter":
            status = _dump_filter()
        else:
            print(HELP if plan.action == "help" else version_text(), end="")
            status = 0
    except UsageError as error:
        print(f"fakeroot-sc: {error}\n{USAGE}", end="", file=sys.stderr)
        status = 2
    except BrokenPipeError:
        status = 125
    _leave(status)
