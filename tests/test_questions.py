"""Rules for copier.yml's questions and its excluded paths."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pathspec
import pytest
import yaml

from tests.machinery.rendering import NAMED, render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.questions import Questions

#: The owner makes it; the template must leave it alone without having one.
_OWNERS_ONLY = {"/.env"}


def recorded(project: Path) -> dict[str, Any]:
    """The answers that a project keeps for its updates."""
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    return {name: value for name, value in answers.items() if not name.startswith("_")}


def test_nothing_needs_trust(questions: Questions) -> None:
    """No setting makes Copier ask users to trust the template."""
    assert questions.raw.keys().isdisjoint({"_tasks", "_migrations", "_jinja_extensions"})


def test_every_question_is_recorded(questions: Questions, template: Path, tmp_path: Path) -> None:
    """An answer that isn't recorded is lost on the next update, so no question is hidden."""
    project = render(template, tmp_path / "project", {})
    assert list(recorded(project)) == sorted(questions.asked)
    assert [name for name, question in questions.asked.items() if "when" in question] == []
    assert [name for name, question in questions.asked.items() if question.get("secret")] == []


def test_each_question_has_help(questions: Questions) -> None:
    """Every prompt has a help text and, except for the name, a default."""
    assert [name for name, question in questions.asked.items() if not question.get("help")] == []
    without_default = [name for name, question in questions.asked.items() if "default" not in question]
    assert without_default == list(NAMED)


def test_prompts_fit_a_terminal(questions: Questions) -> None:
    """A terminal of 80 columns would truncate longer questions and error messages."""
    for name, question in questions.asked.items():
        shown = f"🎤 {question['help']}"
        assert len(shown) + 1 <= 80, shown  # the microphone is two columns wide
        for line in question.get("validator", "").splitlines():
            said = re.sub(r"\{\{.*?\}\}", "999", line.strip())
            if said and not said.startswith("{%"):
                assert len(f"Validation error for question '{name}': {said}") <= 80, said
        for choice in question.get("choices", ()):
            assert len(f"   {choice}") <= 80, choice


def test_presets_only_set_defaults(questions: Questions, template: Path, tmp_path: Path) -> None:
    """Explicit answers win over a preset, and the same answers render the same project."""
    toggles = dict.fromkeys(questions.toggles, False)
    projects = [
        render(template, tmp_path / str(preset), {"preset": preset, **toggles})
        for preset in questions.presets.values
    ]
    assert [recorded(project) | {"preset": ""} for project in projects] == [
        recorded(projects[0]) | {"preset": ""} for _ in projects
    ]
    assert [set(tree(project)) for project in projects] == [set(tree(projects[0])) for _ in projects]


def test_the_first_and_last_presets_are_the_extremes(
    questions: Questions, template: Path, tmp_path: Path
) -> None:
    """`minimal` switches nothing on, `everything` all."""
    for preset, value in (("minimal", False), ("everything", True)):
        answers = recorded(render(template, tmp_path / preset, {"preset": preset}))
        assert {name: answers[name] for name in questions.toggles} == dict.fromkeys(questions.toggles, value)


def test_every_pattern_matches(questions: Questions, template: Path) -> None:
    """A pattern that matches nothing excludes nothing: a renamed file would leak."""
    source = template / "template"
    paths = [path.relative_to(source).as_posix().removesuffix(".jinja") for path in source.rglob("*")]
    patterns = [pattern for manifest in questions.manifests for pattern in manifest.patterns]
    unmatched = [
        pattern
        for pattern in patterns
        if pattern not in _OWNERS_ONLY
        and not any(pathspec.GitIgnoreSpec.from_lines([pattern]).match_files(paths))
    ]
    assert unmatched == []


def test_every_block_is_guarded(questions: Questions) -> None:
    """On an update, Copier renders the new blocks with the old answers, in which a new question is undefined."""
    for manifest in questions.manifests:
        name = manifest.question
        if name:
            assert name in questions.asked
            assert manifest.condition.startswith(f"{name} is defined and ")


def test_every_toggle_has_one_block(questions: Questions) -> None:
    """A feature's paths are listed in one place in copier.yml."""
    owned = [manifest for manifest in questions.manifests if not manifest.is_shared]
    blocks = [manifest.question for manifest in owned if manifest.question in questions.toggles]
    assert blocks == list(questions.toggles)


def test_patterns_are_anchored(questions: Questions) -> None:
    """Patterns match destination paths from the top: `redis` alone would also match an owner's file."""
    patterns = [pattern for manifest in questions.manifests for pattern in manifest.patterns]
    assert [pattern for pattern in patterns if not re.fullmatch(r"/[^\s]*[^/\s]", pattern)] == []


def test_toggles_follow_the_database(questions: Questions) -> None:
    """Toggles are consecutive, so that the prompts read as one list."""
    names = list(questions.asked)
    if questions.toggles:
        first = names.index(questions.toggles[0])
        assert tuple(names[first : first + len(questions.toggles)]) == questions.toggles


@pytest.mark.parametrize("name", ["project_name", "project_slug", "description"])
def test_texts_are_validated(questions: Questions, name: str) -> None:
    """Each free text has a validator."""
    assert questions.asked[name]["validator"]


def tree(project: Path) -> dict[str, bytes]:
    """Every file with its content, the recorded answers aside."""
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file() and path.name != ".copier-answers.yml"
    }
