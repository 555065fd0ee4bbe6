"""Setup of a run's resources, shared by all its processes: a snapshot of the template, an environment, servers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import combine
from tests.machinery.environment import one_at_a_time, shared_environment
from tests.machinery.postgres import postgresql
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.redis import redis
from tests.machinery.rendering import ROOT, snapshot
from tests.machinery.resources import Resources
from tests.machinery.warm_imports import learn_modules

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from xdist.workermanage import WorkerController

    from tests.machinery.combinations import Combination

_HANDED = "resources"
_MADE = pytest.StashKey[tuple[contextlib.ExitStack, Resources]]()


@contextlib.contextmanager
def prepared(
    questions: Questions, template: Path, server: str, place: Path, *, reuse: bool = True
) -> Generator[Resources]:
    """Yield the resources; everything but the given server exists for the duration of this context."""
    with contextlib.ExitStack() as stack:
        with one_at_a_time():
            python = shared_environment(questions, template, place / "declarations")
            url = stack.enter_context(redis(python))
            resources = Resources(template, python, place / "results", server, redis=url, reuse=reuse)
            learnt = learn_modules(resources, [_largest(questions)])
        yield learnt


def _largest(questions: Questions) -> Combination:
    """Return everything, on the database whose libraries take longest to import."""
    every = dict.fromkeys(questions.switchable, True)
    return combine(questions, {DATABASE: questions.databases.values[-1], **every})


def hand_over(node: WorkerController) -> None:
    """Pass the run's resources to a process that is about to start; create them for the first one."""
    config = node.config
    if _MADE not in config.stash:
        place = _factory(config).mktemp("resources")
        with contextlib.ExitStack() as stack:
            template, server = snapshot(place / "template"), stack.enter_context(postgresql())
            resources = stack.enter_context(
                prepared(
                    Questions.load(ROOT / "copier.yml"),
                    template,
                    server,
                    place,
                    reuse=not config.getoption("no_reuse"),
                )
            )
            config.stash[_MADE] = (stack.pop_all(), resources)
    node.workerinput[_HANDED] = config.stash[_MADE][1].told()


def scratch(config: pytest.Config) -> Path:
    """Return the directory of a run's temporary files."""
    return _factory(config).getbasetemp()


def _factory(config: pytest.Config) -> pytest.TempPathFactory:
    factory = vars(config)["_tmp_path_factory"]  # where xdist gets its processes' folders from, too
    assert isinstance(factory, pytest.TempPathFactory)
    return factory


def handed(config: pytest.Config) -> Resources | None:
    """Return the resources passed to this process."""
    told = getattr(config, "workerinput", {}).get(_HANDED)
    return Resources.received(told) if told else None


def clear_up(config: pytest.Config) -> None:
    """Stop the servers of the resources that this process has created."""
    if made := config.stash.get(_MADE, None):
        made[0].close()
