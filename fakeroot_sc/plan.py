"""What one run shall do: the command line, understood."""

import os

from fakeroot_sc import __version__

MODES = ("auto", "notify", "ptrace", "ptrace-all")
"""What --mode takes, in the order of enum launch_mode (native/launch.h)."""

TROUBLE = 125
"""Exit status when fakeroot-sc itself failed, as of env(1) and timeout(1)."""

USAGE = """\
usage: fakeroot-sc [-u] [-i FILE] [-s FILE] [-p FILE] [--mode MODE] [--no-shim]
                   [-l LIB] [-f FAKED] [-b FD] [--] [COMMAND [ARGUMENT...]]
       fakeroot-sc doctor [--json] [DIRECTORY...]
       fakeroot-sc --dump-filter
       fakeroot-sc -h | -v
"""

HELP = (
    USAGE
    + """
Runs COMMAND (default: $SHELL) so that it believes it is root over the files it
touches: changes of owner, mode and node type succeed, are remembered while
anything of the run lives, and are shown by every later look.

  -u, --unknown-is-real   show real owners of files that were not changed
                          (default: root owns them)
  -l, --lib LIB           taken for compatibility with fakeroot(1), ignored
  -f, --faked FAKED       likewise
  -b, --fd-base FD        likewise
  -i FILE                 remember from the start what a run with -s has saved
                          (fakeroot's file format)
  -s FILE                 save what is remembered when COMMAND has ended; may be
                          the same FILE
  -p, --state FILE        keep what is remembered in FILE, for all runs that use
                          it at the same time, and for later ones
      --mode MODE         how calls reach the supervisor: notify (seccomp user
                          notification), ptrace (slower; strace and gdb do not
                          work inside), ptrace-all (as ptrace, but every call
                          stops), or auto, the first of them that works here
                          (default)
      --no-shim           do not preload the shim into dynamic programs: all
                          calls go to the supervisor (slower, same answers)
      --dump-filter       print the seccomp filter as pseudo-code
  -h, --help              print this help
  -v, --version           print the version

"fakeroot-sc doctor" tries what a run needs on this machine, and says what is
missing and what to do; a COMMAND of that name: fakeroot-sc -- doctor.

Exit status: that of COMMAND; 128+N if signal N ended it; 126 COMMAND cannot be
executed, 127 it was not found; 125 fakeroot-sc itself failed; 2 bad usage.
"""
)

_FLAGS = {"-u": "-u", "--unknown-is-real": "-u", "-h": "-h", "--help": "-h"}
_FLAGS |= {"-v": "-v", "--version": "-v", "--dump-filter": "--dump-filter"}
_FLAGS |= {"--no-shim": "--no-shim"}
_WITH_VALUE = {"-l": "-l", "--lib": "-l", "-f": "-f", "--faked": "-f"}
_WITH_VALUE |= {"-b": "-b", "--fd-base": "-b", "-i": "-i", "-s": "-s"}
_WITH_VALUE |= {"-p": "-p", "--state": "-p", "--mode": "--mode"}


class UsageError(Exception):
    """The command line cannot be understood; the text says why."""


class Plan:
    """``action``: "run", "help", "version", "dump-filter" or "doctor"; ``command``: what to
    run with its arguments, or the doctor's arguments; ``unknown_is_real``: -u; ``shim``: not
    --no-shim; ``mode``: one of MODES; ``load``, ``save``, ``state``: the files of -i, -s and -p.
    """

    # Not attrs, whose import alone would take four times as long as a plain run.
    __slots__ = ("action", "command", "load", "mode", "save", "shim", "state", "unknown_is_real")

    def __init__(self) -> None:
        self.action = "run"
        self.command: list[str] = []
        self.unknown_is_real = False
        self.shim = True
        self.mode = "auto"
        self.load: str | None = None
        self.save: str | None = None
        self.state: str | None = None

    def take_flag(self, flag: str) -> None:
        if flag == "-u":
            self.unknown_is_real = True
        elif flag == "--no-shim":
            self.shim = False
        elif flag == "-h":
            self.action = "help"
        elif flag == "-v":
            self.action = "version"
        else:
            self.action = "dump-filter"


def _take_value(plan: Plan, option: str, given: str, value: str) -> None:
    if option in ("-i", "-s", "-p") and not value:
        raise UsageError(f"{given}: needs the name of a file")
    if option == "-i":
        plan.load = value
    if option == "-s":
        plan.save = value
    if option == "-p":
        plan.state = value
    if option == "--mode":
        if value not in MODES:
            raise UsageError(f"{given}: not one of {', '.join(MODES)}: {value!r}")
        plan.mode = value
    if option == "-b" and not value.isdecimal():
        raise UsageError(f"{given}: not a descriptor number: {value!r}")


def _long(name: str, given: str) -> str:
    """Completes a long option as getopt_long(3) does."""
    known = [option for option in (*_FLAGS, *_WITH_VALUE) if option.startswith(name)]
    if name in known or len(known) == 1:
        return name if name in known else known[0]
    raise UsageError(f"{given}: {'ambiguous' if known else 'unknown'} option")


def parse(arguments: list[str]) -> Plan:
    """Understands the arguments behind the program's name as getopt(3) would, up to
    the first that is no option.  Raises UsageError.

    By hand: importing argparse takes as long as the interpreter's own start.
    """
    plan = Plan()
    rest = list(arguments)
    if rest[:1] == ["doctor"]:
        plan.action, plan.command = "doctor", rest[1:]
        return plan
    while rest and rest[0].startswith("-") and rest[0] != "-":
        given = rest.pop(0)
        if given == "--":
            break
        if given.startswith("--"):
            name, equals, value = given.partition("=")
            name = _long(name, given)
            if name in _FLAGS:
                if equals:
                    raise UsageError(f"{given}: takes no value")
                plan.take_flag(_FLAGS[name])
                continue
        else:
            name, value = given[:2], given[2:]
            equals = value
            if name in _FLAGS:
                plan.take_flag(_FLAGS[name])
                if value:
                    rest.insert(0, "-" + value)
                continue
            if name not in _WITH_VALUE:
                raise UsageError(f"{name}: unknown option")
        if not equals:
            if not rest:
                raise UsageError(f"{name}: needs a value")
            value = rest.pop(0)
        _take_value(plan, _WITH_VALUE[name], name, value)
    if plan.state is not None and (plan.load is not None or plan.save is not None):
        raise UsageError(
            "-p: not together with -i or -s: fakeroot-sc-state imports and exports their files"
        )
    plan.command = rest or [os.environ.get("SHELL") or "/bin/sh"]
    return plan


def version_text() -> str:
    """What -v prints, in fakeroot's form."""
    return f"fakeroot-sc version {__version__}\n"
