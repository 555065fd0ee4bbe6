"""Options and fixtures shared by all tests; what they do stands in tests/machinery/."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machinery import distribution, resuming, run_setup, selection, spending
from tests.machinery.beacon import add_beacon
from tests.machinery.checkout import checkout, release
from tests.machinery.copier_cache import memoise_copying
from tests.machinery.deployment import deployments
from tests.machinery.examination import examine
from tests.machinery.postgres import postgresql
from tests.machinery.progress import Progress
from tests.machinery.questions import Questions
from tests.machinery.rendering import ROOT, snapshot
from tests.machinery.scratch import free_memory, keep_bytecode, use_memory
from tests.machinery.shares import Shares
from tests.machinery.update_sandbox import UpdateSandbox
from tests.machinery.warm import WarmProcess

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

    from tests.machinery.combinations import Combination
    from tests.machinery.examination import Report
    from tests.machinery.resources import Resources

_SPENT = pytest.StashKey[float]()

pytest_plugins = ("tests.machinery.flaky",)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the template's own options."""
    selection.add_options(parser)
    resuming.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Have Copier remember, and say how far the combinations are."""
    use_memory()
    keep_bytecode()
    memoise_copying()
    resumed = resuming.Resuming(config)
    config.pluginmanager.register(resumed)
    if not hasattr(config, "workerinput"):
        chosen = selection.combinations(config, Questions.load(ROOT / "copier.yml"))
        config.pluginmanager.register(Progress(config, len(chosen), resumed.earlier))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell what each phase of a test cost; the first one of a process has its imports, too."""
    report = yield
    before, after = item.config.stash.get(_SPENT, 0.0), spending.spent()
    item.config.stash[_SPENT] = after
    report.user_properties.append((spending.PROPERTY, after - before))
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave nothing in memory, unless something failed."""
    if session.exitstatus == pytest.ExitCode.OK and not hasattr(session.config, "workerinput"):
        free_memory(run_setup.scratch(session.config))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started for all processes."""
    run_setup.clear_up(config)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """So many processes."""
    return distribution.processes(config)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> distribution.Scheduler:
    """What is handed out to them."""
    return distribution.Scheduler(config, log)


def pytest_configure_node(node: WorkerController) -> None:
    """What each of them begins with."""
    run_setup.hand_over(node)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per combination for each test that takes a `combination`."""
    if "combination" in metafunc.fixturenames:
        chosen = selection.combinations(metafunc.config, Questions.load(ROOT / "copier.yml"))
        metafunc.parametrize("combination", chosen, ids=[item.id for item in chosen], scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--combination`, nothing else; what takes longest goes first."""
    items[:] = distribution.arrange(selection.select(config, items))


@pytest.fixture(scope="session")
def questions() -> Questions:
    """What copier.yml asks."""
    return Questions.load(ROOT / "copier.yml")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The template as it is in the working tree when the run begins."""
    given = run_setup.handed(request.config)
    return given.template if given else snapshot(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def deployed(
    questions: Questions,
    template: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Path]:
    """How the combinations of this run are deployed: a directory for each result that is unlike the others."""
    chosen = selection.combinations(request.config, questions)
    return deployments(questions, template, chosen, tmp_path_factory.mktemp("deployed"))


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of the run's PostgreSQL server."""
    given = run_setup.handed(request.config)
    if given and given.server:
        yield given.server
        return
    with postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def resources(
    questions: Questions,
    template: Path,
    server: str,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Resources]:
    """What is needed to run projects."""
    if given := run_setup.handed(request.config):
        yield given
        return
    place, reuse = tmp_path_factory.mktemp("resources"), not request.config.getoption("no_reuse")
    with run_setup.prepared(questions, template, server, place, reuse=reuse) as made:
        yield made


@pytest.fixture(scope="session")
def warm(resources: Resources) -> Iterator[WarmProcess]:
    """A warm process for the tests that run in this one."""
    with WarmProcess(resources.python, resources.warm_modules) as process:
        yield process


@pytest.fixture(scope="session")
def sandbox(
    template: Path, resources: Resources, warm: WarmProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UpdateSandbox]:
    """The template, released: where projects are copied from and updated."""
    place = tmp_path_factory.mktemp("sandbox")
    with UpdateSandbox(checkout(template, place / "keel"), resources, warm, place) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def sandbox_with_beacon(
    template: Path, resources: Resources, warm: WarmProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UpdateSandbox]:
    """The template with a made-up feature besides its own, released."""
    place = tmp_path_factory.mktemp("beacon")
    repository = checkout(template, place / "keel", tag="v0.9.0")
    add_beacon(repository)
    release(repository, "v1.0.0")
    with UpdateSandbox(repository, resources, warm, place) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def shares(questions: Questions, request: pytest.FixtureRequest) -> Shares | None:
    """How the run shares out test files; None where each combination is to run all of its own."""
    whole = request.config.getoption("combination") or request.config.getoption("no_reuse")
    return None if whole else Shares(questions, full=selection.is_full(request.config))


@pytest.fixture(scope="session")
def report(
    resources: Resources, warm: WarmProcess, combination: Combination, shares: Shares | None
) -> Report:
    """The report on one combination."""
    return examine(combination, resources, warm, shares=shares)
