"""Which combinations a run of pytest examines, and what it says about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import Combination, default_set, full_set, parse

if TYPE_CHECKING:
    from tests.machinery.questions import Questions


def add_options(parser: pytest.Parser) -> None:
    """`--full`, `--no-reuse` and `--combination`."""
    group = parser.getgroup("keel")
    group.addoption(
        "--full", action="store_true", help="examine every combination of answers (up to an hour)"
    )
    group.addoption(
        "--no-reuse",
        action="store_true",
        help="examine every combination wholly, also where another is the same in all that a check depends on",
    )
    group.addoption(
        "--combination",
        action="append",
        metavar="ID",
        help="examine this combination, such as sqlite+kubernetes, and nothing else; may be repeated",
    )


def combinations(config: pytest.Config, questions: Questions) -> list[Combination]:
    """The combinations that this run is about."""
    named = config.getoption("combination")
    if named:
        try:
            return [parse(questions, str(text)) for text in named]
        except ValueError as error:
            raise pytest.UsageError(str(error)) from error
    return full_set(questions) if config.getoption("full") else default_set(questions)


def select(config: pytest.Config, items: list[pytest.Item]) -> list[pytest.Item]:
    """With `--combination`, the tests of combinations; the others are deselected."""
    if not config.getoption("combination"):
        return items
    config.hook.pytest_deselected(items=[item for item in items if combination_of(item) is None])
    return [item for item in items if combination_of(item) is not None]


def combination_of(item: pytest.Item) -> Combination | None:
    """The combination that a test is about."""
    call = getattr(item, "callspec", None)
    found = call.params.get("combination") if call is not None else None
    return found if isinstance(found, Combination) else None


def is_full(config: pytest.Config) -> bool:
    """Whether this is the full run."""
    return bool(config.getoption("full"))
