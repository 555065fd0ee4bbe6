"""Options and fixtures shared by all tests; what they do stands in tests/machinery/."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machinery import selection
from tests.machinery.combinations import extremes
from tests.machinery.environment import shared_environment
from tests.machinery.examination import Bench, Report
from tests.machinery.learning import learn_modules
from tests.machinery.matrix import Matrix, reproduce
from tests.machinery.memoising import memoise_compiling
from tests.machinery.postgres import postgresql
from tests.machinery.questions import Questions
from tests.machinery.rendering import ROOT, snapshot
from tests.machinery.warm import WarmProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machinery.combinations import Combination


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the template's own options."""
    selection.add_options(parser)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per combination for each test that takes a `combination`."""
    if "combination" in metafunc.fixturenames:
        chosen = selection.combinations(metafunc.config, Questions.load(ROOT / "copier.yml"))
        metafunc.parametrize("combination", chosen, ids=[item.id for item in chosen], scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Combinations go last: the workers examine them while the other tests run."""
    selection.arrange(config, items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the combinations cost, and repeat how to reproduce the failed ones."""
    for line in config.stash.get(selection.SUMMARY, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def questions() -> Questions:
    """What copier.yml asks."""
    return Questions.load(ROOT / "copier.yml")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it is in the working tree when the run begins."""
    memoise_compiling()
    return snapshot(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of the run's PostgreSQL server."""
    with postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def bench(
    questions: Questions, template: Path, server: str, tmp_path_factory: pytest.TempPathFactory
) -> Bench:
    """What every worker needs."""
    scratch = tmp_path_factory.mktemp("results")
    python = shared_environment(questions, template, tmp_path_factory.mktemp("declarations"))
    return learn_modules(Bench(template, python, scratch, server), extremes(questions)[1::2])


@pytest.fixture(scope="session")
def warm(bench: Bench) -> Iterator[WarmProcess]:
    """A warm process for the tests that run in this one."""
    with WarmProcess(bench.python, bench.warm_modules) as process:
        yield process


@pytest.fixture(scope="session")
def matrix(bench: Bench, request: pytest.FixtureRequest) -> Iterator[Matrix]:
    """The selected combinations, under examination."""
    chosen = selection.selected(request.session.items)
    with Matrix(bench, chosen, selection.speaker(request.config)) as running:
        yield running
        request.config.stash[selection.SUMMARY] = running.summary()


@pytest.fixture(scope="session", autouse=True)
def _start_matrix(request: pytest.FixtureRequest) -> None:
    """Begin with the combinations before the first test."""
    if selection.selected(request.session.items):
        request.getfixturevalue("matrix")


@pytest.fixture
def report(matrix: Matrix, combination: Combination) -> Report:
    """The report on one combination."""
    result = matrix.report(combination)
    result.reproduce = reproduce(combination.answers)
    return result
