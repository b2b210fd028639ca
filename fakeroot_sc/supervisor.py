"""One run: from a plan to COMMAND's end."""

import os
import sys

from fakeroot_sc import _core, preload
from fakeroot_sc.origin import Origin
from fakeroot_sc.passes import draw_pass, patch_pass
from fakeroot_sc.plan import MODES, TROUBLE, Plan

_HANDLERS: dict[str, "_core.Handler"] = {}


def _handle(request: _core.Request) -> int | None:
    """Runs the Python handler of a request, importing its module at the first use."""
    handler = _HANDLERS.get(request.handler)
    if handler is None:
        module = __import__(f"fakeroot_sc.syscalls.{request.handler}", fromlist=[request.handler])
        handler = _HANDLERS[request.handler] = getattr(module, request.handler)
    return handler(request)


def _environment() -> list[bytes]:
    """The user's, and FAKEROOTKEY, by which makepkg, dpkg, npm and others recognise
    a fake root.  Its value, an IPC key in fakeroot, means nothing here.
    """
    environment = preload.given()
    if not any(entry.startswith(b"FAKEROOTKEY=") for entry in environment):
        environment.append(b"FAKEROOTKEY=%d" % os.getpid())
    return environment


def _package() -> str:
    return os.path.dirname(_core.__file__)


def stock_filter() -> bytes:
    """The filter as the build compiled it, with placeholders for the pass."""
    with open(os.path.join(_package(), "stock.bpf"), "rb") as file:
        return file.read()


def _shim() -> bytes | None:
    return preload.shim_path(os.fsencode(_package()))


def _join_outer(plan: Plan, origin: Origin) -> int:
    """Nested use: COMMAND runs in the session that this process is already in."""
    environment, shim = _environment(), _shim()
    if shim and not plan.shim:
        environment = preload.remove(environment, shim)
    number = _core.execute(_arguments(plan), environment, origin.inherited, origin.control)
    return _fail(("EXECUTE", number, ""), plan)


def _arguments(plan: Plan) -> list[bytes]:
    return [os.fsencode(argument) for argument in plan.command]


def _fail(failed: "_core.Launched", plan: Plan) -> int:
    from fakeroot_sc.trouble import explain

    text, status = explain(*failed, plan.command[0])
    print(f"fakeroot-sc: {text}", file=sys.stderr)
    return status


def supervise(plan: Plan, origin: Origin) -> int:
    """Runs the plan's command and serves it until the last of its processes has
    gone.  Returns the exit status that stands for COMMAND's end.  The front process has been
    told by then, but a tracer around both (PRoot) may show that of the last one to end.
    """
    with_files = plan.load is not None or plan.save is not None
    if _core.in_session():
        if with_files or plan.state is not None:
            return _trouble("-i, -s, -p: not inside of another run, which remembers for all in it")
        return _join_outer(plan, origin)
    if plan.state is not None:
        from fakeroot_sc.state.errors import StateError
        from fakeroot_sc.state.keeping import run_with_state

        try:
            launched = run_with_state(
                plan, draw_pass(), lambda *kept: _run(plan, origin, None, *kept)
            )
        except StateError as error:
            return _trouble(str(error))
    elif not with_files:
        launched = _run(plan, origin)
    else:
        from fakeroot_sc.savefile import SaveFileError, run_with_files

        try:
            launched = run_with_files(
                plan.load, plan.save, lambda *files: _run(plan, origin, *files)
            )
        except SaveFileError as error:
            return _trouble(str(error))
    if launched[0] == "NONE":
        return launched[1]
    return _fail(launched, plan)


def _fall_back(mode: int, stage: str, number: int, call: str) -> None:
    from fakeroot_sc.trouble import explain_fall_back

    print(f"fakeroot-sc: {explain_fall_back(MODES[mode], stage, number, call)}", file=sys.stderr)


def _trouble(text: str) -> int:
    print(f"fakeroot-sc: {text}", file=sys.stderr)
    return TROUBLE


def _run(
    plan: Plan,
    origin: Origin,
    loaded: bytes | None = None,
    ended: "_core.Ended | None" = None,
    live: "_core.Live | None" = None,
) -> "_core.Launched":
    drawn = (live.session_pass if live is not None else 0) or draw_pass()
    environment, shim = _environment(), _shim() if plan.shim else None
    if shim:
        environment = preload.add(environment, shim)
    return _core.run(
        _arguments(plan),
        environment,
        patch_pass(stock_filter(), drawn),
        origin.inherited,
        origin.control,
        plan.unknown_is_real,
        drawn,
        shim,
        _handle,
        loaded,
        ended,
        live,
        MODES.index(plan.mode),
        _fall_back,
    )
