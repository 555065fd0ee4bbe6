"""Which combinations a run of pytest examines, and what it says about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import Combination, default_set, full_set, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.machinery.questions import Questions

#: The lines of the summary that follow the tests.
SUMMARY = pytest.StashKey[list[str]]()


def add_options(parser: pytest.Parser) -> None:
    """`--full` and `--combination`."""
    group = parser.getgroup("keel")
    group.addoption(
        "--full", action="store_true", help="examine every combination of answers (up to an hour)"
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


def arrange(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests of combinations last; with `--combination`, deselect the others."""
    of_combinations = [item for item in items if _combination(item) is not None]
    others = [item for item in items if _combination(item) is None]
    if config.getoption("combination"):
        config.hook.pytest_deselected(items=others)
        others = []
    items[:] = [*others, *of_combinations]


def selected(items: Sequence[pytest.Item]) -> list[Combination]:
    """The combinations that the selected tests are about, in their order."""
    found = (_combination(item) for item in items)
    return list({item.id: item for item in found if item is not None}.values())


def speaker(config: pytest.Config) -> Callable[[str], None]:
    """A way to write a line to the terminal at once, whatever pytest is capturing."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        if terminal is None or capture is None:
            return
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(text)

    return say


def _combination(item: pytest.Item) -> Combination | None:
    call = getattr(item, "callspec", None)
    found = call.params.get("combination") if call is not None else None
    return found if isinstance(found, Combination) else None


def is_full(config: pytest.Config) -> bool:
    """Whether this is the full run."""
    return bool(config.getoption("full"))
