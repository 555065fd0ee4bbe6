"""Toggles and combinations are derived from any copier.yml: tested on one with nine toggles."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.machinery.combinations import EXHAUSTIVE, combine, cover, default_set, exhaustive, full_set, parse
from tests.machinery.environment import one_at_a_time
from tests.machinery.questions import Axis, Questions
from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAMES = ("auth", "redis", "websockets", "celery", "otel", "llm", "analytics", "kafka", "grpc")


CHOSEN = """
from tests.machinery.combinations import cover
from tests.machinery.questions import Questions
from tests.machinery.rendering import ROOT

print(*(combination.id for combination in cover(Questions.load(ROOT / "copier.yml"), 3)))
"""


def nine(names: Sequence[str] = NAMES) -> Questions:
    """A copier.yml with nine toggles, as the template will have one day; or with these."""
    yes_or_no = {"type": "bool"}
    asked: dict[str, Any] = {
        "project_name": {"type": "str"},
        "preset": {
            "type": "str",
            "choices": {"little": "minimal", "all": "everything"},
            "default": "minimal",
        },
        "database": {"type": "str", "choices": ["sqlite", "postgresql"], "default": "sqlite"},
        **{name: yes_or_no | {"default": "{{ preset == 'everything' }}"} for name in names},
        "example": yes_or_no | {"default": True},
        "ci": {"type": "str", "choices": ["github", "gitlab", "none"], "default": "github"},
        "kubernetes": yes_or_no | {"default": False},
        "_exclude": [
            "copier.yml",
            "{% if auth is defined and not auth %}\n/keel/auth\n/keel/tests/auth\n{% endif %}\n",
            "{% if example is defined and not example %}\n/tests/examples\n{% endif %}\n",
        ],
    }
    return Questions(yaml.safe_load(yaml.safe_dump(asked, sort_keys=False)))


def test_toggles_are_found_by_their_default() -> None:
    """A toggle is a yes/no question whose default is derived from the preset."""
    assert nine().toggles == NAMES
    further = (Axis("example", (True, False)), Axis("ci", ("github", "gitlab", "none")))
    assert nine().extras == (*further, Axis("kubernetes", (False, True)))


def test_the_manifest_of_a_feature_is_read() -> None:
    """A guarded block of `_exclude` names its question and its paths."""
    manifest, _ = nine().manifests
    assert manifest.question == "auth"
    assert manifest.patterns == ("/keel/auth", "/keel/tests/auth")


def test_an_unguarded_block_is_refused() -> None:
    """A block other than a single `if` around patterns is an error."""
    with pytest.raises(ValueError, match="must be one `if`"):
        _ = Questions({"_exclude": ["/keel/auth\n/keel/tests/auth\n"]}).manifests


def test_counts() -> None:
    """All choices among the first toggles are 64; all toggles with each database are 1,024."""
    assert len(exhaustive(nine(), NAMES)) == 1024
    default = {combination.id for combination in default_set(nine())}
    rows = [combination.answers for combination in default_set(nine())]
    assert len({tuple(row[name] for name in NAMES[:6]) for row in rows}) == 64
    assert 64 + 2 <= len(default) <= 64 + 20
    everything = {combination.id for combination in full_set(nine())}
    assert default <= everything
    assert {combination.id for combination in exhaustive(nine(), NAMES)} <= everything


@pytest.mark.parametrize("count", [6, 7, 8, 9])
def test_toggles_add_no_combinations(count: int) -> None:
    """More toggles mean larger projects, not more combinations in the default run."""
    assert len(default_set(nine(NAMES[:count]))) <= 72


def test_every_triple_is_covered() -> None:
    """Any three answers occur together in some combination of the default run."""
    questions = nine()
    axes = (questions.databases, *(Axis(name, (False, True)) for name in NAMES), *questions.extras)
    assert len(cover(questions, 3)) < 40
    for chosen in (cover(questions, 3), default_set(questions)):
        rows = [combination.answers for combination in chosen]
        for first, second, third in combinations(axes, 3):
            met = {(row[first.name], row[second.name], row[third.name]) for row in rows}
            assert met == set(product(first.values, second.values, third.values))


def test_the_cover_is_deterministic() -> None:
    """Every process selects the same combinations, however it hashes strings."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", CHOSEN],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "012"
    }
    assert len(printed) == 1
    assert len(printed.pop().split()) > len(NAMES)


def test_the_extremes_are_part() -> None:
    """Nothing and everything are in the default run, with each database."""
    found = {combination.id for combination in default_set(nine())}
    everything = "+".join(NAMES) + "+ci-none+kubernetes"
    assert {"sqlite", "postgresql", f"sqlite+{everything}", f"postgresql+{everything}"} <= found


def test_ids_can_be_read_back() -> None:
    """An id is complete: the option `--combination` accepts it."""
    for combination in default_set(nine()):
        assert parse(nine(), combination.id) == combination


def test_unknown_words_are_named() -> None:
    """An invalid id is refused with the known words."""
    with pytest.raises(
        ValueError, match=r"Unknown words in 'sqlite\+gopher': gopher\. Known words: sqlite, "
    ):
        parse(nine(), "sqlite+gopher")
    with pytest.raises(ValueError, match="No such closed question: gopher"):
        combine(nine(), {"gopher": True})


def test_few_toggles_are_all_combined(questions: Questions) -> None:
    """With few toggles, the default run has every choice among them."""
    if 2 ** len(questions.toggles) <= EXHAUSTIVE:
        rows = [combination.answers for combination in default_set(questions)]
        found = {tuple(row[name] for name in questions.toggles) for row in rows}
        assert found == set(product((False, True), repeat=len(questions.toggles)))


def test_concurrent_runs_build_shared_files_in_turn(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The second run waits until the first is done, and says so."""
    order: list[str] = []

    def second() -> None:
        with one_at_a_time(tmp_path):
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        with one_at_a_time(tmp_path):
            waiting = pool.submit(second)
            while "waiting for it" not in capfd.readouterr().err:
                assert not waiting.done()
            order.append("first")
        waiting.result(60)

    assert order == ["first", "second"]
