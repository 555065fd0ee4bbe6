"""The warm process: what happens in one job reaches neither the next job nor the process itself."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.machinery.modules import Memory, unimportable
from tests.machinery.warm import WarmProcess

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
    """A job's exit status and what it printed come back, from Python and from its children."""
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
    """Modules and environment variables of a job are gone in the next; the developer's never come in."""
    write(project, "shared", "seen = []\n")
    write(
        project,
        "job",
        "import os, shared\nshared.seen.append(1)\nprint(shared.seen, os.environ.get('SECRET'))\n",
    )
    assert here.run("job", directory=project, environment={"SECRET": "x"}).output == "[1] x\n"
    assert here.run("job", directory=project).output == "[1] None\n"


def test_arguments_that_come_then(here: WarmProcess, project: Path) -> None:
    """A program runs once for each list of arguments, in one process, until it fails."""
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
    """A job that takes too long is killed, and says where it hung."""
    write(project, "job", "import time\ntime.sleep(60)\n")
    outcome = here.run("job", directory=project, timeout=3)
    assert outcome.status == -signal.SIGUSR2
    assert "job.py" in outcome.output


def test_a_job_that_does_not_want_to_end(here: WarmProcess, project: Path) -> None:
    """Nothing that it does keeps it alive."""
    write(
        project,
        "job",
        "import signal, time\nsignal.signal(signal.SIGUSR2, signal.SIG_IGN)\ntime.sleep(3600)\n",
    )
    assert here.run("job", directory=project, timeout=3, grace=1).status == -signal.SIGKILL


def test_nothing_is_left_running(here: WarmProcess, project: Path) -> None:
    """What a job started ends with it."""
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
    """Each module is imported in a process of its own: a circle shows, wherever it is entered."""
    (project / "app").mkdir()
    write(project / "app", "__init__", "")
    write(project / "app", "first", "import app.second\n\nVALUE = 1\n")
    write(project / "app", "second", "from app.first import VALUE\n")
    found = list(unimportable(project, here, {}, Memory(project.parent / "importable.jsonl")))
    assert len(found) == 1
    assert "app.first cannot be imported alone" in found[0]
    write(project / "app", "second", "")
    assert list(unimportable(project, here, {}, Memory(project.parent / "importable.jsonl"))) == []


#: What a module does when it is imported, and what is changed then; whether that may change what the import does.
REACHED = {
    "loaded": ("import app.other", "app/other.py", True),
    "not loaded": ("", "app/other.py", False),
    "loaded in a function": ("def f(): import app.other", "app/other.py", False),
    "read": ("open('app/other.py').read()", "app/other.py", True),
    "data": ("from pathlib import Path\nPath('app/data.txt').read_text()", "app/data.txt", True),
    "looked at": ("import os\nos.path.exists('app/data.txt')", "app/data.txt", True),
    "listed": ("import os\nos.listdir('app')", "app/other.py", True),
    "walked": ("import pkgutil\nlist(pkgutil.iter_modules(['app']))", "app/other.py", True),
    "found by name": ("import importlib\nimportlib.import_module('app.other')", "app/other.py", True),
    "asked for": ("from importlib.util import find_spec\nfind_spec('app.other')", "app/other.py", True),
    "asked for in vain": (
        "try:\n    import app.later\nexcept ImportError:\n    pass",
        "app/other.py",
        True,
    ),
    "another process": (
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])",
        "app/other.py",
        True,
    ),
    "settings": ("open('pyproject.toml').read()", "pyproject.toml", True),
}


@pytest.mark.parametrize(("code", "changed", "again"), REACHED.values(), ids=REACHED)
def test_a_module_is_imported_again_if_what_it_reached_has_changed(
    here: WarmProcess, project: Path, code: str, changed: str, *, again: bool
) -> None:
    """One byte in a file that an import loaded, read or may have found: it is tried again; and only then."""
    (project / "app").mkdir()
    write(project / "app", "__init__", "")
    write(project / "app", "other", "VALUE = 1\n")
    write(project / "app", "first", code + "\n")
    (project / "app" / "data.txt").write_text("1")
    (project / "pyproject.toml").write_text("[project]\ndescription = '1'\n")
    store = project.parent / "importable.jsonl"

    def tried() -> int:
        before = store.read_text().count('["app.first"') if store.exists() else 0
        assert list(unimportable(project, here, {}, Memory(project.parent / "importable.jsonl"))) == []
        return store.read_text().count('["app.first"') - before

    assert (tried(), tried()) == (1, 0)
    path = project / changed
    path.write_text(path.read_text().replace("1", "2"))
    assert tried() == again


def test_what_is_installed_changes_no_import(here: WarmProcess, project: Path) -> None:
    """Every project finds the same libraries here: what one declares is no reason to import its modules again."""
    (project / "app").mkdir()
    write(project / "app", "__init__", "open('pyproject.toml').read()\n")
    store = project.parent / "importable.jsonl"
    for dependency in ("one", "two"):
        (project / "pyproject.toml").write_text(f"[project]\nname = 'x'\ndependencies = ['{dependency}']\n")
        assert list(unimportable(project, here, {}, Memory(project.parent / "importable.jsonl"))) == []
    assert len(store.read_text().splitlines()) == 1


def test_what_others_could_import_is_known(tmp_path: Path) -> None:
    """Processes learn from each other, and take no line that is only half there."""
    store = tmp_path / "importable.jsonl"
    mine, other = Memory(store), Memory(store)
    mine.learn()
    files = {"app/first.py": "1", "app/second.py": "2"}
    other.add({"app.first": files})
    with store.open("a") as file:
        file.write('["app.second", {"app/sec')
    assert not mine.holds("app.first", files)
    mine.learn()
    assert mine.holds("app.first", {**files, "app/third.py": "3"})
    assert not mine.holds("app.first", {**files, "app/second.py": "other"})
    assert not mine.holds("app.second", files)
    with store.open("a") as file:
        file.write('ond.py": "2"}]\n')
    mine.learn()
    assert mine.holds("app.second", files)


def test_with_no_reuse_nothing_is_known() -> None:
    """`--no-reuse`: what was found out about one result counts for no other."""
    memory = Memory()
    memory.add({"app.first": {"app/first.py": "1"}})
    memory.learn()
    assert not memory.holds("app.first", {"app/first.py": "1"})
    assert memory.counts() == {"tried": 1, "known": 0}
