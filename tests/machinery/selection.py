"""Selection of the combinations that a run of pytest examines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import Combination, default_set, full_set, parse

if TYPE_CHECKING:
    from tests.machinery.questions import Questions


def add_options(parser: pytest.Parser) -> None:
    """Add `--full`, `--no-reuse` and `--combination`."""
    group = parser.getgroup("keel")
    group.addoption("--full", action="store_true", help="examine every combination of answers (hours)")
    group.addoption(
        "--no-reuse",
        action="store_true",
        help="run all checks and all tests of every combination, even if another has identical input",
    )
    group.addoption(
        "--combination",
        action="append",
        metavar="ID",
        help="only examine this combination, such as sqlite+kubernetes; may be repeated",
    )


def combinations(config: pytest.Config, questions: Questions) -> list[Combination]:
    """Return the combinations of this run."""
    named = config.getoption("combination")
    if named:
        try:
            return [parse(questions, str(text)) for text in named]
        except ValueError as error:
            raise pytest.UsageError(str(error)) from error
    return full_set(questions) if config.getoption("full") else default_set(questions)


def select(config: pytest.Config, items: list[pytest.Item]) -> list[pytest.Item]:
    """With `--combination`, return the tests of combinations and deselect all others."""
    if not config.getoption("combination"):
        return items
    config.hook.pytest_deselected(items=[item for item in items if combination_of(item) is None])
    return [item for item in items if combination_of(item) is not None]


def combination_of(item: pytest.Item) -> Combination | None:
    """Return the combination of a test, if it has one."""
    call = getattr(item, "callspec", None)
    found = call.params.get("combination") if call is not None else None
    return found if isinstance(found, Combination) else None


def is_full(config: pytest.Config) -> bool:
    """Whether this is the full run."""
    return bool(config.getoption("full"))
