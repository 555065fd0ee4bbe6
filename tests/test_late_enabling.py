"""A feature is switched on in a project that its owners have changed, without a conflict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.machinery import owner_edits, selection, update_cases
from tests.machinery.beacon import NAME
from tests.machinery.questions import DATABASE, PRESET, Questions
from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.machinery.update_cases import Case
    from tests.machinery.update_sandbox import UpdateSandbox

QUESTIONS = Questions.load(ROOT / "copier.yml")
DATABASES = QUESTIONS.databases.values
SMALLEST = next(iter(update_cases.presets(QUESTIONS)))
#: How many features are switched on one after another.
CHAIN = 4


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each toggle alone, and two at a time with everything else; with `--full`, all cases."""
    full = selection.is_full(metafunc.config)
    if "case" in metafunc.fixturenames:
        few = [*update_cases.alone(QUESTIONS), *update_cases.pairs(QUESTIONS)]
        chosen = [*few, *update_cases.cases(QUESTIONS)] if full else few
        chosen = list({case.id: case for case in chosen}.values())
        metafunc.parametrize("case", chosen, ids=[case.id for case in chosen])
    if "chain" in metafunc.fixturenames:
        chains = [QUESTIONS.toggles[:CHAIN], *([QUESTIONS.toggles[::-1]] if full else [])]
        metafunc.parametrize("chain", chains, ids=["+".join(chain) for chain in chains])
        metafunc.parametrize("database", DATABASES if full else DATABASES[-1:])
    if "isolated" in metafunc.fixturenames:
        kinds = {"alone": True, "warm": False} if full else {"alone": True}
        metafunc.parametrize("isolated", list(kinds.values()), ids=list(kinds))


def test_a_feature_is_switched_on_late(sandbox: UpdateSandbox, tmp_path: Path, case: Case) -> None:
    """No conflict, edits and rows kept, all tests pass, and the tree equals a fresh copy plus the edits."""
    with sandbox.project(tmp_path, case.answers(on=False)) as project:
        commands = project.update(case.change(on=True))
        if {*case.toggles} & {*QUESTIONS.parts}:
            owner_edits.edit_example(
                project.path
            )  # as the owner of the copy that it is compared with has done
        project.holds(case.answers(on=True), commands)


def test_a_new_feature_is_switched_on_late(
    sandbox_with_beacon: UpdateSandbox, tmp_path: Path, *, isolated: bool
) -> None:
    """The same for a feature added as CONTRIBUTING says, in its own environment."""
    sandbox = replace(sandbox_with_beacon, isolated=isolated)
    answers = {PRESET: SMALLEST, DATABASE: DATABASES[0 if isolated else -1]}
    with sandbox.project(tmp_path, answers) as project:
        commands = project.update({NAME: True})
        project.holds({**answers, NAME: True}, commands)


def test_features_are_switched_on_one_after_another(
    sandbox: UpdateSandbox, tmp_path: Path, chain: tuple[str, ...], database: str
) -> None:
    """One update each without conflicts; then one is switched off again, and its tables stay."""
    answers = {PRESET: SMALLEST, DATABASE: database}
    with sandbox.project(tmp_path, answers) as project:
        for toggle in chain:
            project.briefly(project.update({toggle: True}))
            answers[toggle] = True
        assert project.leftovers(answers) == set()
        without = {**answers, chain[0]: False}
        leftovers = project.leftovers(without)
        commands = project.update({chain[0]: False})
        project.holds(without, commands, leftovers)
