"""The documentation names everything that exists, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import extremes
from tests.machinery.questions import Questions
from tests.machinery.rendering import ROOT, render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.resources import Resources

#: Folders of `keel/` that every project has.
ROOMS = {
    "web",
    "db",
    "messaging",
    "background",
    "observability",
    "ops",
    "testing",
    "tests",
    "docs",
    "__pycache__",
}
QUESTIONS = Questions.load(ROOT / "copier.yml")
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"\.?[\w-]+(/[\w.-]+)*(/|\.(py|md|toml|yml|yaml|jinja|example))|Dockerfile")
_VARIABLE = re.compile(r"^# ([A-Z][A-Z_]+)=(.*)$", re.MULTILINE)
#: The target of a link that is no address, without its anchor.
_LINK = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)[^)]*\)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
#: What only an owner's project has, a module that no feature has yet, and what a run makes.
_NOT_YET = {".env", "commands.py", ".cache/"}
#: The feature that the checklist in CONTRIBUTING.md adds.
_EXAMPLE = re.compile(r"\bx\b")


@pytest.fixture(scope="module")
def results(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The smallest and the largest project with each database."""
    place = tmp_path_factory.mktemp("docs")
    chosen = {item.id: item.answers for item in extremes(QUESTIONS)}
    chosen["gitlab"] = {**extremes(QUESTIONS)[0].answers, "ci": "gitlab"}
    return {name: render(template, place / name, answers) for name, answers in chosen.items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_exist(results: dict[str, Path], page: Path) -> None:
    """Every path on a page exists in some rendered project, or in this repository."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    named = {word for word in _CODE.findall(text) if _PATH.fullmatch(word) and not _EXAMPLE.search(word)}
    places = (*results.values(), ROOT)
    missing = [name for name in named - _NOT_YET if not any(_exists(place, name) for place in places)]
    assert missing == []


@pytest.mark.parametrize("page", ["README.md", "docs/questions.md"])
def test_questions_are_documented(page: str) -> None:
    """Every question and every answer is named."""
    words = set(_CODE.findall((ROOT / page).read_text(encoding="utf-8")))
    answers = [
        str(value)
        for axis in (QUESTIONS.databases, QUESTIONS.presets, *QUESTIONS.extras)
        for value in axis.values
        if not isinstance(value, bool)
    ]
    missing = [name for name in (*QUESTIONS.asked, *answers) if name not in words]
    assert missing == [], f"{page} must name these questions and answers, each in backquotes"


@pytest.mark.parametrize("page", ["README.md", "docs/questions.md"])
def test_questions_have_a_row_each(page: str) -> None:
    """The table of questions has each of them once, in the order of the prompts."""
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    found = [name for name in rows if name in QUESTIONS.asked]
    assert found == list(QUESTIONS.asked), (
        f"{page}: a row `| `name` | ...` for each, in the order of copier.yml"
    )


def test_the_roadmap_has_every_toggle() -> None:
    """Each topic names the answer that adds it."""
    text = (ROOT / "docs" / "roadmap.md").read_text(encoding="utf-8")
    missing = [name for name in QUESTIONS.toggles if f"(the answer `{name}`" not in text]
    assert missing == [], "docs/roadmap.md: write `(the answer `name`)` in the row of a topic"


def test_the_structure_has_every_package(results: dict[str, Path]) -> None:
    """The picture of the project names each package of `keel/`, and each folder of the project."""
    text = (ROOT / "docs" / "project-structure.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"([\w.-]+)/", picture))
    for id_, place in results.items():
        folders = [
            path.name
            for folder in (place, place / "keel")
            for path in folder.iterdir()
            if path.is_dir() and path.name != "__pycache__"
        ]
        missing = [name for name in folders if name not in named]
        assert missing == [], f"{id_}: draw these folders in docs/project-structure.md"


def test_questions_have_a_section_each() -> None:
    """The reference has a section for each question, in the order of the prompts."""
    text = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
    found = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    assert found == list(QUESTIONS.asked), "docs/questions.md: a section `### name` for each, in this order"


def test_settings_are_documented(results: dict[str, Path]) -> None:
    """The settings page lists every variable, and no other."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([A-Z][A-Z_]+)` \|", text.split("## Outside")[0], re.MULTILINE))
    examples = [(place / ".env.example").read_text(encoding="utf-8") for place in results.values()]
    known = {name for example in examples for name, _ in _VARIABLE.findall(example)}
    assert documented == known, "docs/settings.md: a row for each variable of `.env.example.jinja`"


def test_the_example_settings_are_the_defaults(resources: Resources, results: dict[str, Path]) -> None:
    """`.env.example` has each variable of the settings classes once, with its default where there is one."""
    script = (
        "from keel.ops.settings_check import find_settings\n"
        "for kind in find_settings():\n"
        "    loaded = kind.load()\n"
        "    for field in kind.model_fields:\n"
        "        print(kind.variable(field), getattr(loaded, field) == kind.model_fields[field].default)\n"
    )
    without_default = {
        "DATABASE_MIGRATE_AT_START",
        "DATABASE_READ_URL",
        "MAIL_STARTTLS",
        "MAIL_URL",
        "OTEL_SERVICE_NAME",
        "OTEL_TRACES_SAMPLER_ARG",
        "GRPC_REFLECTION",
        "GRPC_TLS_CERTIFICATE",
        "GRPC_TLS_CLIENT_CA",
        "GRPC_TLS_KEY",
    }
    for id_, place in results.items():
        example = (place / ".env.example").read_text(encoding="utf-8")
        variables = [name for name, _ in _VARIABLE.findall(example)]
        assert len(variables) == len(set(variables)), id_
        result = subprocess.run(
            [resources.python, "-c", script],
            cwd=place,
            env={"PATH": os.defpath, "ENV_FILE": "", **dict(_VARIABLE.findall(example))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{id_}: {result.stderr}"
        printed = dict(line.split() for line in result.stdout.splitlines())
        assert set(printed) == set(variables), id_
        assert {name for name, same in printed.items() if same != "True"} <= without_default, id_


def test_links_exist(results: dict[str, Path]) -> None:
    """Every link to a file works: in this repository, and on each page of the smallest and the largest project."""
    places = {"Keel": ROOT, **results}
    for id_, place in places.items():
        pages = PAGES if place == ROOT else sorted(place.rglob("*.md"))
        pages = [*pages, *(ROOT.glob("*.md") if place == ROOT else ())]
        assert pages, id_
        broken = [
            f"{page.relative_to(place)}: {target}"
            for page in pages
            for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
            if not (page.parent / target).exists()
        ]
        assert broken == [], id_


def test_versions_have_upgrade_notes() -> None:
    """Each version in the changelog has a section in the upgrade notes."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    notes = (ROOT / "docs" / "upgrade-notes.md").read_text(encoding="utf-8")
    missing = [
        version
        for version in re.findall(r"^## (\d+\.\d+\.\d+)", changelog, re.MULTILINE)
        if f"\n## {version}\n" not in notes
    ]
    assert missing == [], (
        "docs/upgrade-notes.md: a section `## version`, if only to say that nothing is asked"
    )


def test_upgrade_notes_are_true(results: dict[str, Path]) -> None:
    """Each note has a version of the changelog, or `next`, and names no existing setting as renamed or removed."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    examples = [(place / ".env.example").read_text(encoding="utf-8") for place in results.values()]
    known = {name for example in examples for name, _ in _VARIABLE.findall(example)}
    files = sorted((ROOT / "template").glob("*/**/upgrades.toml"))
    assert files
    for path in files:
        for change in tomllib.loads(path.read_text(encoding="utf-8")).get("changes", []):
            version = change["version"]
            assert version == "next" or f"\n## {version.removeprefix('v')}" in changelog, path
            assert {*change.get("renamed", {}), *change.get("removed", ())} & known == set(), path


def test_every_feature_has_a_page(results: dict[str, Path]) -> None:
    """Each feature and example has a page in keel/docs/features/, linked from the index there."""
    for id_, place in results.items():
        folder = place / "keel" / "docs" / "features"
        index = (folder / "README.md").read_text(encoding="utf-8")
        pages = {page.name for page in folder.glob("*.md")} - {"README.md"}
        assert pages == set(re.findall(r"\]\(([\w-]+\.md)\)", index)), f"{id_}: the index in README.md.jinja"
        packages = {
            path.name for wing in ("keel/*", "app/examples/*") for path in place.glob(wing) if path.is_dir()
        }
        assert pages == {f"{package}.md" for package in packages - ROOMS}, f"{id_}: a page for each package"


def _exists(place: Path, name: str) -> bool:
    """Whether a path is there; a bare name may be that of a module in a package."""
    return (place / name).exists() or any(place.rglob(name))
