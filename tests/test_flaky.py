"""A failed test is rerun once, alone: tested on small suites, with workers, with idle xdist and without xdist."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from pathlib import Path

WORKERS = ("-p", "xdist", "-n2")
ONE_PROCESS = ("-p", "xdist", "-n0")
NO_XDIST = ("-p", "no:xdist")
#: How a suite is run.
WAYS = pytest.mark.parametrize("way", [WORKERS, ONE_PROCESS, NO_XDIST], ids=lambda way: way[-1].strip("-"))
EITHER = pytest.mark.parametrize("way", [WORKERS, ONE_PROCESS], ids=lambda way: way[-1].strip("-"))

SETTINGS = """
[pytest]
addopts = --strict-markers --strict-config -ra
filterwarnings = error
"""
CONFTEST = """
import pytest

pytest_plugins = ("tests.machinery.flaky",)

def pytest_addoption(parser):
    parser.addoption("--word")

@pytest.fixture
def word(request):
    return request.config.getoption("word")
"""
HELPERS = """
import os
from pathlib import Path

HERE = Path(__file__).parent

def first(name):
    \"\"\"Whether this is the first call with this name, in any process.\"\"\"
    try:
        (HERE / f"{name}.called").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
"""
IMPORTS = """
import os, signal, time
import pytest
from helpers import HERE, first
"""
PASSES = """
def test_passes():
    pass
"""
FLAKY = """
def test_flaky():
    lucky = not first("flaky")
    print("captured: lucky is", lucky)
    assert lucky
"""
BROKEN = """
def test_broken():
    first("broken")
    assert "never" == "true"
"""


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(directory: Path, tests: str, *options: str) -> tuple[int, str]:
    """Write a suite, run it; its exit status and output."""
    files = {
        "pytest.ini": SETTINGS,
        "conftest.py": CONFTEST,
        "helpers.py": HELPERS,
        "test_it.py": IMPORTS + tests,
    }
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    # No plugin but those named: pytest-copie imports Copier, which takes longer than the suite.
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
        # A job in the background of a script ignores Ctrl-C, and hands that on.
        preexec_fn=_hear_interrupts,
    )
    return result.returncode, result.stdout


def copies(test: str, name: str, count: int) -> str:
    """The same test under several names."""
    return "".join(test.replace(name, f"{name}_{number}") for number in range(count))


@WAYS
def test_flaky_is_green_and_listed(tmp_path: Path, way: tuple[str, ...]) -> None:
    """A test that passes on its rerun leaves the run green; both outputs are shown."""
    status, output = run(tmp_path, PASSES + FLAKY, *way)
    assert status == 0, output
    assert "= flaky =" in output
    assert "FLAKY test_it.py::test_flaky\n" in output
    assert "captured: lucky is False" in output
    assert "second run, alone: passed in " in output
    assert "captured: lucky is True" in output
    assert "A flaky test is a bug: fix it." in output
    assert "= 1 passed, 1 flaky in " in output
    assert "FAILURES" not in output


@WAYS
def test_second_failure_is_red(tmp_path: Path, way: tuple[str, ...]) -> None:
    """A test that fails twice is a normal failure; tests that passed on their rerun are still listed."""
    status, output = run(tmp_path, PASSES + FLAKY + BROKEN, *way)
    assert status == 1, output
    assert "second run, alone: failed again with status 1 in " in output
    assert "FAILED test_it.py::test_broken" in output
    assert "FLAKY test_it.py::test_flaky\n" in output
    assert "= 1 failed, 1 passed, 1 flaky in " in output


@EITHER
def test_three_flaky_are_green(tmp_path: Path, way: tuple[str, ...]) -> None:
    """Up to three are tolerated."""
    status, output = run(tmp_path, PASSES + copies(FLAKY, "flaky", 3), *way)
    assert status == 0, output
    assert "3 flaky" in output


@EITHER
def test_four_failures_are_red_at_once(tmp_path: Path, way: tuple[str, ...]) -> None:
    """With more than three failures nothing is rerun, and the summary says so."""
    status, output = run(tmp_path, PASSES + copies(FLAKY, "flaky", 4), *way)
    assert status == 1, output
    assert "No test was rerun: 4 failed, which is more than 3." in output
    assert "lucky is True" not in output
    assert "= 4 failed, 1 passed in " in output


@EITHER
def test_green_run_has_no_section(tmp_path: Path, way: tuple[str, ...]) -> None:
    """A run without failures does not mention flaky tests."""
    status, output = run(tmp_path, PASSES, *way)
    assert status == 0, output
    assert "flaky" not in output


@EITHER
@pytest.mark.parametrize("when", ["setup", "teardown"])
def test_errors_around_a_test_count(tmp_path: Path, way: tuple[str, ...], when: str) -> None:
    """An error in setup or teardown is rerun like a failure."""
    fixture = f"""
@pytest.fixture
def shaky():
    assert "{when}" == "teardown" or not first("shaky")
    yield
    assert "{when}" == "setup" or not first("shaky")

def test_shaky(shaky):
    pass
"""
    status, output = run(tmp_path, PASSES + fixture, *way)
    assert status == 0, output
    assert "FLAKY test_it.py::test_shaky\n" in output
    assert "ERROR" not in output.partition("= flaky =")[0].partition("Rerunning")[2]


@EITHER
def test_teardown_of_a_shared_fixture_is_red(tmp_path: Path, way: tuple[str, ...]) -> None:
    """It is reported with the last test, which may not use the fixture: a rerun would prove nothing."""
    fixture = """
@pytest.fixture(scope="session")
def shared():
    yield
    assert "never" == "true"

def test_uses_it(shared):
    pass

def test_is_last():
    pass
"""
    status, output = run(tmp_path, fixture, *way, *(("--dist=loadfile",) if way == WORKERS else ()))
    assert status == 1, output
    assert "ERROR test_it.py::test_is_last" in output
    assert "No test was rerun: the teardown of a shared fixture failed" in output


CRASH = """
def test_crash():
    if first("crash"):
        os._exit(3)
"""


def test_crashed_worker_is_a_failure_of_its_test(tmp_path: Path) -> None:
    """A test that crashes its worker is rerun, too."""
    status, output = run(tmp_path, PASSES + CRASH, *WORKERS)
    assert status == 0, output
    assert "FLAKY test_it.py::test_crash\n" in output
    assert "crashed while running 'test_it.py::test_crash'" in output


def test_incomplete_run_is_red(tmp_path: Path) -> None:
    """If crashes end the run early, reruns do not replace the tests that did not run."""
    status, output = run(
        tmp_path,
        CRASH + copies(PASSES, "passes", 9),
        *WORKERS,
        "-n1",
        "--max-worker-restart=0",
        "--dist=loadfile",
    )
    assert status == 1, output
    assert "No test was rerun: not every test has run." in output


def test_collection_error_is_red(tmp_path: Path) -> None:
    """A module that cannot be imported is not rerun."""
    (tmp_path / "test_unimportable.py").write_text("import no_such_module\n", encoding="utf-8")
    status, output = run(tmp_path, FLAKY, *ONE_PROCESS, "--continue-on-collection-errors")
    assert status == 1, output
    assert "No test was rerun: there are errors outside tests." in output


def test_reruns_are_alone(tmp_path: Path) -> None:
    """During a rerun no worker remains, and nothing else runs in its process."""
    tests = """
@pytest.mark.parametrize("number", range(6))
def test_alone(number):
    (HERE / f"{os.getpid()}.pid").touch()
    if first(f"alone-{number}"):
        assert number not in {0, 3}
        return
    others = {int(path.stem) for path in HERE.glob("*.pid")} - {os.getpid()}
    assert others
    for other in others:
        with pytest.raises(ProcessLookupError):
            os.kill(other, 0)
"""
    status, output = run(tmp_path, tests, *WORKERS)
    assert status == 0, output
    assert "= 4 passed, 2 flaky in " in output
    assert len([*tmp_path.glob("*.pid")]) in {3, 4}  # one or both workers, two reruns


@EITHER
def test_options_are_those_of_the_run(tmp_path: Path, way: tuple[str, ...]) -> None:
    """A rerun has the run's options, and overwrites neither its directories nor its reports."""
    tests = """
def test_options(word, tmp_path, request):
    print("the word is", word)
    (tmp_path / "kept").touch()
    assert not first("options")
"""
    options = ("test_it.py", "-k", "options", "--word=it's here", "--basetemp=base", "--junit-xml=junit.xml")
    status, output = run(tmp_path, PASSES + tests, *way, *options)
    assert status == 0, output
    assert output.count("the word is it's here\n") == 2
    assert [*(tmp_path / "base").rglob("kept")]
    assert "<failure" in (tmp_path / "junit.xml").read_text(encoding="utf-8")


@pytest.mark.parametrize("end", ["pytest.skip('no more')", "pytest.xfail('no more')"])
def test_only_a_pass_is_a_pass(tmp_path: Path, end: str) -> None:
    """A test that is skipped on its rerun stays a failure."""
    status, output = run(tmp_path, f"def test_it():\n    assert not first('it')\n    {end}\n", *ONE_PROCESS)
    assert status == 1, output
    assert "failed again with status 1" in output


@EITHER
@pytest.mark.parametrize("option", ["-x", "--maxfail=1", "--no-rerun"])
def test_no_rerun(tmp_path: Path, way: tuple[str, ...], option: str) -> None:
    """Runs that stop at the first failure, or disable reruns, are red and do not mention them."""
    status, output = run(tmp_path, FLAKY + copies(PASSES, "passes", 3), *way, option)
    stopped = 2 if way == WORKERS else 1  # xdist interrupts itself
    assert status == (1 if option == "--no-rerun" else stopped), output
    assert "FAILED test_it.py::test_flaky" in output
    assert "flaky =" not in output
    assert "lucky is True" not in output


@EITHER
def test_maxfail_that_is_not_reached(tmp_path: Path, way: tuple[str, ...]) -> None:
    """A run that did not reach its `--maxfail` is like any other."""
    status, output = run(tmp_path, PASSES + FLAKY, *way, "--maxfail=2")
    assert status == 0, output
    assert "1 flaky" in output


@EITHER
def test_last_failed(tmp_path: Path, way: tuple[str, ...]) -> None:
    """`--lf` runs the flaky test again, until it passes at the first attempt."""
    assert run(tmp_path, PASSES + FLAKY, *way)[0] == 0
    status, output = run(tmp_path, PASSES + FLAKY, *way, "--lf")
    assert status == 0, output
    assert "= 1 passed" in output
    assert "2 passed" in run(tmp_path, PASSES + FLAKY, *way, "--lf")[1]


def test_collect_only(tmp_path: Path) -> None:
    """Nothing runs, so nothing is rerun."""
    status, output = run(tmp_path, FLAKY, "--collect-only")
    assert status == 0, output
    assert "1 test collected" in output
    assert "flaky =" not in output


def test_interrupted_run(tmp_path: Path) -> None:
    """After Ctrl-C nothing is rerun."""
    status, output = run(tmp_path, FLAKY + "def test_stop():\n    raise KeyboardInterrupt\n", *ONE_PROCESS)
    assert status == 2, output
    assert "lucky is True" not in output
    assert "flaky =" not in output


@EITHER
def test_interrupted_rerun(tmp_path: Path, way: tuple[str, ...]) -> None:
    """Ctrl-C during a rerun reaches the test, which cleans up; the run's summary is shown."""
    tests = """
@pytest.fixture
def cleans_up():
    yield
    first("cleaned-up-again" if (HERE / "cleaned-up.called").exists() else "cleaned-up")

def test_interrupted(cleans_up):
    assert not first("interrupted")
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)
"""
    status, output = run(tmp_path, PASSES + tests, *way)
    assert status == 2, output
    assert "The reruns were interrupted." in output
    assert "FAILED test_it.py::test_interrupted" in output
    assert "= 1 failed, 1 passed in " in output
    assert (tmp_path / "cleaned-up-again.called").exists()
