"""A Python process with third-party modules preloaded, which forks a child for each job.

The interpreter of the shared environment runs it, so it uses only the standard library. A job is one line of JSON on
standard input, its outcome one line on standard output. The parent imports nothing from a rendered project and has one
thread: whatever a project imports, starts or breaks is confined to a child.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, NoReturn

#: Seconds for a job that times out to print its stack.
GRACE = 30
#: The status of a job in which a module could not be imported.
UNIMPORTABLE = 71


def main() -> None:
    """Load the modules listed in the file on the command line, then serve until standard input closes."""
    listing = Path(sys.argv[1])
    _load(json.loads(listing.read_text()) if listing.is_file() else [])
    print(json.dumps({"threads": _threads()}), flush=True)
    signal.signal(signal.SIGALRM, _time_is_up)
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)


def _load(modules: list[str]) -> None:
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():  # standard output is for answers
        warnings.simplefilter("ignore")
        for name in modules:
            # A module that can't be imported out of order only costs each child its import.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


def _run(job: dict[str, Any]) -> dict[str, Any]:
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        _become(job)
    signal.setitimer(signal.ITIMER_REAL, job["timeout"])
    try:
        status, usage = os.wait4(child, 0)[1:]
    except TimeoutError:
        status, usage = _end(child, job.get("grace", GRACE))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # processes that it left running
    return {
        "status": os.waitstatus_to_exitcode(status),
        "cpu": usage.ru_utime + usage.ru_stime,
        "wall": time.perf_counter() - started,
    }


def _end(child: int, grace: float) -> tuple[int, Any]:
    """End a child that times out: let it print its stack, and kill it if it does not end."""
    with contextlib.suppress(TimeoutError):
        os.kill(child, signal.SIGUSR2)
        signal.setitimer(signal.ITIMER_REAL, grace)
        return os.wait4(child, 0)[1:]
    os.killpg(child, signal.SIGKILL)
    return os.wait4(child, 0)[1:]


def _time_is_up(*_: object) -> NoReturn:
    raise TimeoutError


def _become(job: dict[str, Any]) -> NoReturn:
    """Run this child like `python -m module arguments` in the job's directory, and end it."""
    status = 70
    try:
        os.setsid()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        os.chdir(job["directory"])
        output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        # To this file itself: pytest replaces standard error.
        faulthandler.register(signal.SIGUSR2, file=output, chain=True)  # and then it ends, as by default
        os.environ.clear()
        os.environ.update(job["environment"])
        sys.path[0] = job["directory"]
        status = _alone(job["alone"]) if "alone" in job else _call(job["module"], job["arguments"])
        for arguments in job.get("then", ()):
            status = status or _call(job["module"], arguments)
        status = status or _all(job.get("modules", []))
        if "record" in job:
            Path(job["record"]).write_text(json.dumps(_third_party(job["directory"])))
    except BaseException:  # noqa: BLE001 - the child must never continue in the parent's code
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _call(module: str, arguments: list[str]) -> int:
    """Run `module`, or the function `module:name`, as a program; return the exit status."""
    name, _, function = module.partition(":")
    sys.argv = [name, *arguments]
    result: Any = 0
    try:
        if function:
            result = getattr(importlib.import_module(name), function)()
        else:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        result = ended.code
    if isinstance(result, str):
        print(result, file=sys.stderr)
        return 1
    return int(result or 0)


def _alone(request: dict[str, Any]) -> int:
    """Import each module in its own child; write the error of each, or nothing."""
    errors = {}
    for name in request["modules"]:
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receiver)
            with os.fdopen(sender, "w") as pipe:
                json.dump(_error_of_import(name), pipe)
            os._exit(0)
        os.close(sender)
        with os.fdopen(receiver) as pipe:
            errors[name] = json.loads(pipe.read() or '"the process died"')
        os.waitpid(child, 0)
    Path(request["reports"]).write_text(json.dumps(errors))
    return 0


def _all(names: list[str]) -> int:
    """Import these modules in sequence in this process; print those that can't be imported."""
    errors = {name: error for name in names if (error := _error_of_import(name))}
    for name, error in errors.items():
        print(f"{name} cannot be imported:\n{error}")
    return UNIMPORTABLE if errors else 0


def _error_of_import(name: str) -> str:
    try:
        importlib.import_module(name)
    except BaseException:  # noqa: BLE001 - the report contains it
        return traceback.format_exc(limit=-6)
    return ""


def _third_party(directory: str) -> list[str]:
    """Return the loaded modules that aren't the project's, in order of loading."""
    names = []
    for name, module in list(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        if name.endswith("__main__"):
            continue
        if origin.startswith(sys.prefix) and not origin.startswith(directory):
            names.append(name)
    return names


if __name__ == "__main__":
    main()
