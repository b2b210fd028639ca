"""The command line of fakeroot-sc-state."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable

from fakeroot_sc import __version__
from fakeroot_sc.state import formats
from fakeroot_sc.state.errors import StateError
from fakeroot_sc.statetool.output import Output

FINE, DIFFERENT, TROUBLE = 0, 1, 2
"""Exit statuses, as of diff(1)."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fakeroot-sc-state",
        description="Looks at the states that fakeroot-sc --state keeps, and carries them to and "
        "from other programs and machines.",
        epilog="Exit status: 0 fine; 1 something differs, or is missing; 2 trouble.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(command=name)
        added.add_argument("--json", action="store_true", help="print JSON")
        return added

    def with_file(name: str, about: str) -> argparse.ArgumentParser:
        added = command(name, about)
        added.add_argument("file", metavar="FILE", help="the state")
        return added

    show = with_file("show", "show what is remembered, of all files or of some")
    show.add_argument("path", metavar="PATH", nargs="*")
    explain = with_file("explain", "show what of a file is remembered, what is real, since when")
    explain.add_argument("path", metavar="PATH")
    diff = command("diff", "show what two states remember differently")
    diff.add_argument("a", metavar="A")
    diff.add_argument("b", metavar="B")
    diff.add_argument(
        "--by-path", action="store_true", help="compare files of the same path, not number"
    )
    verify = with_file("verify", "check that the records are of files of a tree")
    verify.add_argument("root", metavar="ROOT")
    prune = with_file("prune", "forget files that are not there any more")
    prune.add_argument(
        "--root", action="append", default=[], metavar="DIRECTORY", help="where to look for all"
    )
    repair = with_file("repair", "bind records to the same paths of a copied or moved tree")
    repair.add_argument("root", metavar="ROOT")
    repair.add_argument("--was", metavar="DIRECTORY", help="where the tree was")
    for changing in (prune, repair):
        changing.add_argument("--dry-run", action="store_true", help="only say what would be done")
    merge = with_file("merge", "take the records of other states over")
    merge.add_argument("other", metavar="OTHER", nargs="+")
    merge.add_argument("--prefer", choices=("newer", "ours", "theirs"), default="newer")
    written = ", ".join(each.name for each in formats.FORMATS.values() if each.writes)
    export = with_file("export", "write what a tree shows in another format")
    export.add_argument("root", metavar="ROOT")
    export.add_argument("--format", required=True, help=written)
    export.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    export.add_argument(
        "-u", "--unknown-is-real", action="store_true", help="real owners of unknown files"
    )
    read = ", ".join(each.name for each in formats.FORMATS.values() if each.reads)
    bring = with_file("import", "take over what another format says of a tree")
    bring.add_argument("root", metavar="ROOT")
    bring.add_argument("input", metavar="INPUT", nargs="?", help="default: standard input")
    bring.add_argument("--format", required=True, help=read)
    bring.add_argument(
        "--all",
        action="store_true",
        help="of formats that know files by number: also those not in the tree",
    )
    return parser


def _find(name: str) -> Callable[[argparse.Namespace, Output], int]:
    if name in ("show", "explain", "diff", "verify"):
        from fakeroot_sc.statetool import looking

        return getattr(looking, name)  # type: ignore[no-any-return]
    if name in ("prune", "repair", "merge"):
        from fakeroot_sc.statetool import changing

        return getattr(changing, name)  # type: ignore[no-any-return]
    if name == "export":
        from fakeroot_sc.statetool.writing import export

        return export
    from fakeroot_sc.statetool.exchange import bring_in

    return bring_in


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    options = _parser().parse_args(arguments)
    output = Output(options.json)
    try:
        return _find(options.command)(options, output)
    except StateError as error:
        output.warn(str(error))
    except OSError as error:
        output.warn(f"{error.filename or 'output'}: {error.strerror}")
    except MemoryError:
        output.warn("no memory: look at the limits (ulimit -a): nothing is half done")
    except KeyboardInterrupt:
        output.warn("interrupted: nothing is half done")
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return TROUBLE


def script() -> None:
    """The console script."""
    sys.exit(main())
