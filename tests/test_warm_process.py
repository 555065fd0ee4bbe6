"""The warm process: a job affects neither the next job nor the process itself."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.machinery import modules
from tests.machinery.warm import WarmProcess
from tests.machinery.warm_server import UNIMPORTABLE

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def here() -> Iterator[WarmProcess]:
    """A warm process of this interpreter, with nothing loaded."""
    with WarmProcess(Path(sys.executable), Path("nothing")) as process:
        yield process


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty directory for a job."""
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def write(project: Path, name: str, text: str) -> None:
    """Add a module."""
    (project / f"{name}.py").write_text(text, encoding="utf-8")


def test_status_and_output(here: WarmProcess, project: Path) -> None:
    """A job's exit status and output are returned, including its children's."""
    write(project, "job", "import os, sys\nprint('one', flush=True)\nos.system('echo two')\nsys.exit(3)\n")
    outcome = here.run("job", directory=project)
    assert outcome.status == 3
    assert outcome.output == "one\ntwo\n"


def test_a_message_as_exit_status_fails(here: WarmProcess, project: Path) -> None:
    """`sys.exit("text")` prints the text and fails, as everywhere."""
    write(project, "job", "raise SystemExit('wrong')\n")
    assert (here.run("job", directory=project).status, here.run("job", directory=project).output) == (
        1,
        "wrong\n",
    )


def test_an_exception_fails(here: WarmProcess, project: Path) -> None:
    """An exception ends the job with its traceback, not the warm process."""
    write(project, "job", "1 / 0\n")
    outcome = here.run("job", directory=project)
    assert outcome.status == 70
    assert "ZeroDivisionError" in outcome.output
    write(project, "job", "print('alive')\n")
    assert here.run("job", directory=project).output == "alive\n"


def test_jobs_do_not_see_each_other(here: WarmProcess, project: Path) -> None:
    """A job's modules and environment variables are gone in the next; the developer's are never visible."""
    write(project, "shared", "seen = []\n")
    write(
        project,
        "job",
        "import os, shared\nshared.seen.append(1)\nprint(shared.seen, os.environ.get('SECRET'))\n",
    )
    assert here.run("job", directory=project, environment={"SECRET": "x"}).output == "[1] x\n"
    assert here.run("job", directory=project).output == "[1] None\n"


def test_several_lists_of_arguments(here: WarmProcess, project: Path) -> None:
    """A program runs once per list of arguments, in one process, until it fails."""
    write(project, "seen", "times = []\n")
    write(
        project,
        "job",
        "import sys, seen\nseen.times.append(1)\nprint(len(seen.times), sys.argv[1])\nsys.exit(sys.argv[1] == 'b')\n",
    )
    assert here.run("job", "a", directory=project, then=[["c"]]).output == "1 a\n2 c\n"
    outcome = here.run("job", "a", directory=project, then=[["b"], ["c"]])
    assert (outcome.status, outcome.output) == (1, "1 a\n2 b\n")


def test_a_job_that_hangs_is_ended(here: WarmProcess, project: Path) -> None:
    """A job that takes too long is killed, and reports where it hung."""
    write(project, "job", "import time\ntime.sleep(60)\n")
    outcome = here.run("job", directory=project, timeout=3)
    assert outcome.status == -signal.SIGUSR2
    assert "job.py" in outcome.output


def test_job_that_ignores_signals(here: WarmProcess, project: Path) -> None:
    """It is killed anyway."""
    write(
        project,
        "job",
        "import signal, time\nsignal.signal(signal.SIGUSR2, signal.SIG_IGN)\ntime.sleep(3600)\n",
    )
    assert here.run("job", directory=project, timeout=3, grace=1).status == -signal.SIGKILL


def test_nothing_is_left_running(here: WarmProcess, project: Path) -> None:
    """Processes that a job started end with it."""
    write(
        project,
        "job",
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid)\n",
    )
    pid = int(here.run("job", directory=project).output)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(timeout=60)  # raises when it is still there


def test_modules_are_imported_alone(here: WarmProcess, project: Path) -> None:
    """Each module is imported in its own process, so that an import cycle shows wherever it is entered."""
    (project / "app").mkdir()
    write(project / "app", "__init__", "")
    write(project / "app", "first", "import app.second\n\nVALUE = 1\n")
    write(project / "app", "second", "from app.first import VALUE\n")
    found = list(modules.unimportable(project, here))
    assert len(found) == 1
    assert "app.first cannot be imported alone" in found[0]
    write(project / "app", "second", "")
    assert list(modules.unimportable(project, here)) == []


def test_modules_that_are_imported_last(here: WarmProcess, project: Path) -> None:
    """After a job succeeds, all modules are imported; one that fails is named, and the job has failed."""
    write(project, "job", "print('done')\n")
    write(project, "good", "print('loaded')\n")
    write(project, "bad", "1 / 0\n")
    outcome = here.run("job", directory=project, modules=["good", "bad"])
    assert outcome.status == UNIMPORTABLE
    assert "done\nloaded\nbad cannot be imported:\n" in outcome.output
    assert "ZeroDivisionError" in outcome.output
    assert here.run("job", directory=project, modules=["good"]).status == 0


#: Modules of a package `app.inner`, and whether one that is being imported may be asked for what it does not have yet.
CIRCLES: dict[str, tuple[dict[str, str], bool]] = {
    "none": ({"__init__": "", "first": "import app.inner.second", "second": ""}, False),
    "of two": (
        {"__init__": "", "first": "import app.inner.second", "second": "import app.inner.first"},
        True,
    ),
    "of three": (
        {
            "__init__": "",
            "first": "from app.inner.second import A",
            "second": "from app.inner.third import A",
            "third": "from app.inner.first import A",
        },
        True,
    ),
    "of relative imports": (
        {"__init__": "", "first": "from .second import A", "second": "from . import first\nA = 1"},
        True,
    ),
    "in a function": (
        {"__init__": "", "first": "import app.inner.second", "second": "def f(): import app.inner.first"},
        False,
    ),
    "for types": (
        {
            "__init__": "",
            "first": "import app.inner.second",
            "second": "if TYPE_CHECKING:\n    import app.inner.first",
        },
        False,
    ),
    "in a block": (
        {
            "__init__": "",
            "first": "import app.inner.second",
            "second": "try:\n    import app.inner.first\nfinally: pass",
        },
        True,
    ),
    "in a class": (
        {
            "__init__": "",
            "first": "import app.inner.second",
            "second": "class C:\n    import app.inner.first",
        },
        True,
    ),
    "a package and its module": ({"__init__": "from app.inner.first import A", "first": "A = 1"}, False),
    "a module and a name of its package": (
        {"__init__": "from app.inner.first import A\nB = 1", "first": "from app.inner import B"},
        True,
    ),
    "a module of the package": (
        {"__init__": "import app.inner.first", "first": "from app.inner import second", "second": ""},
        False,
    ),
}


@pytest.mark.parametrize(("files", "circle"), CIRCLES.values(), ids=CIRCLES)
def test_cycles_are_found_statically(
    here: WarmProcess, project: Path, files: dict[str, str], *, circle: bool
) -> None:
    """If none is found, each module can be imported alone."""
    (project / "app" / "inner").mkdir(parents=True)
    write(project / "app", "__init__", "")
    for name, text in files.items():
        write(project / "app" / "inner", name, f"TYPE_CHECKING = False\n{text}\n")

    assert bool(list(modules.circles(project))) is circle
    if not circle:
        assert list(modules.unimportable(project, here)) == []
