"""Answers with odd characters work in the project; invalid ones are refused with a helpful message."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.machinery import text_checks
from tests.machinery.examination import Report, check_python, program, run_suite
from tests.machinery.rendering import render
from tests.machinery.serving import Isolated
from tests.machinery.spending import Spending
from tests.machinery.warm_imports import first_tests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.machinery.resources import Resources
    from tests.machinery.warm import WarmProcess

ODD = {
    "double quotes": 'The "Great" Wall',
    "single quotes": "Rock 'n' Roll",
    "both quotes": """It's "both" of 'them'""",
    "triple quotes": '"""Title"""',
    "backslashes": r"C:\new\table \u0041 \\",
    "a backslash at the end": "Ends with \\",
    "other scripts": "Žluťoučký kůň 港の日誌 🚢",
    "YAML signs": "yes: [no, {a: b}] # & * ! | > % @ `x`",
    "a YAML dash": "- item",
    "a number": "1e3",
    "a word that YAML reads": "null",
    "Jinja signs": "{{ project_slug }} {% raw %} {# x #}",
    "shell signs": "$HOME `id` $(id) ; rm ~",
    "HTML": "<b>&amp;</b>",
    "Markdown": "# *Head* [a](b) | c_d_e",
    "format signs": "%s {0} {name} 100 %",
    "a TOML table": "[tool.ruff]",
}

LONGEST = "x" * 80


@pytest.mark.parametrize("text", [*ODD.values(), LONGEST], ids=[*ODD, "the longest"])
def test_odd_texts_survive(resources: Resources, tmp_path: Path, text: str) -> None:
    """Name and description appear unchanged in Python, TOML and YAML."""
    project = render(
        resources.template,
        tmp_path / "project",
        {"project_name": text, "project_slug": "odd", "description": text, "kubernetes": True},
    )
    declared = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert declared["project"]["description"] == text
    assert declared["tool"]["keel"]["title"] == text
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert (answers["project_name"], answers["description"]) == (text, text)
    assert list(parse_everything(project)) == []
    assert list(text_checks.untidy(project)) == []
    assert program(project, resources, "ruff", "check", "--no-cache") == []
    assert program(project, resources, "ruff", "format", "--check", "--no-cache") == []


def parse_everything(project: Path) -> list[str]:
    """Files that their own language can't read."""
    readers: dict[str, Callable[[str], object]] = {
        ".py": ast.parse,
        ".toml": tomllib.loads,
        ".json": json.loads,
        ".yml": lambda text: list(yaml.safe_load_all(text)),
        ".yaml": lambda text: list(yaml.safe_load_all(text)),
    }
    wrong = []
    for name, text in text_checks.files(project).items():
        read = readers.get("." + name.rpartition(".")[2])
        try:
            if read is not None and text is not None:
                read(text)
        except (SyntaxError, ValueError, yaml.YAMLError) as error:
            wrong.append(f"{name}: {error}")
    return wrong


def test_a_project_with_odd_texts_works(resources: Resources, warm: WarmProcess) -> None:
    """Its types, migrations and a test of each of its files pass."""
    name = """{{ x }} 'n' "y" \\ 港: #1"""
    project = render(
        resources.template, resources.scratch / "odd", {"project_name": name, "description": name}
    )
    report = Report("odd")
    check_python(report, project, "sqlite", resources, Spending(warm))
    run_suite(report, project, resources, warm, "sqlite", tuple(first_tests(project)))
    assert report.problems == {}
    assert report.passed, report.suite


@pytest.mark.parametrize(
    ("answers", "hint"),
    [
        ({"project_name": ""}, "a name, such as"),
        ({"project_name": "   "}, "a name, such as"),
        ({"project_name": " Harbour"}, "no leading or trailing spaces"),
        ({"project_name": "x" * 81}, "at most 80 characters, not 81"),
        ({"project_name": "two\nlines"}, "one line"),
        ({"project_name": "a\x00b"}, "printable"),
        ({"project_slug": "Harbour"}, "a-z, 0-9"),
        ({"project_slug": "1st"}, "letter first"),
        ({"project_slug": "a--b"}, "single -"),
        ({"project_slug": "a-"}, "single -"),
        ({"project_slug": ""}, "a-z, 0-9"),
        ({"project_slug": "x" * 41}, "at most 40 characters"),
        ({"project_slug": "a\n"}, "a-z, 0-9"),
        ({"description": "x" * 201}, "at most 200 characters"),
        ({"description": "two\nlines"}, "one line"),
        ({"database": "oracle"}, "oracle"),
        ({"ci": "jenkins"}, "jenkins"),
        ({"preset": "huge"}, "huge"),
    ],
    ids=lambda value: re.sub(r"\W+", "-", str(value))[:40] if isinstance(value, dict) else "",
)
def test_invalid_answers_are_refused(
    template: Path, tmp_path: Path, answers: dict[str, str], hint: str
) -> None:
    """Nothing is written, and the message says what is valid."""
    with pytest.raises(ValueError, match=re.escape(hint)):
        render(template, tmp_path / "project", answers)
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Harbour Log", "harbour-log"),
        ("  --Harbour__Log!! ", "harbour-log"),
        ("港の日誌", "app"),
        ("2nd Harbour", "app-2nd-harbour"),
        ("x" * 39 + " log", "x" * 39),
        ("1" * 35 + " log", "app-" + "1" * 35),
    ],
)
def test_the_slug_is_derived(template: Path, tmp_path: Path, name: str, slug: str) -> None:
    """Every valid name suggests a valid slug."""
    project = render(template, tmp_path / "project", {"project_name": name.strip()})
    declared = tomllib.loads((project / "pyproject.toml").read_text())
    assert (declared["project"]["name"], declared["tool"]["keel"]["slug"]) == (
        f"{slug}-app",
        slug.replace("-", "_"),
    )


@pytest.mark.parametrize("name", ["FastAPI", "Redis", "click"])
def test_project_named_like_a_library(resources: Resources, tmp_path: Path, name: str) -> None:
    """Its distribution has another name, so that uv can resolve both."""
    project = Isolated(
        render(resources.template, tmp_path / "project", {"project_name": name, "redis": True})
    )
    project.must("lock", "--quiet")
    locked = tomllib.loads((project.project / "uv.lock").read_text(encoding="utf-8"))["package"]
    assert {f"{name.lower()}-app", name.lower()} <= {package["name"] for package in locked}
