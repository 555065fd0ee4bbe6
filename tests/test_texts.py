"""The checks on texts: each finds a planted fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machinery import text_checks
from tests.machinery.questions import Questions

if TYPE_CHECKING:
    from pathlib import Path

WITHOUT_AUTH = Questions(
    {
        "_exclude": [
            "{% if auth is defined and not auth %}\n/keel/auth\n/keel/docs/features/auth.md\n{% endif %}"
        ]
    }
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", "# {{ project_name }}\n"),
        ("app/main.py", "NAME = '{{ project_name }}'\n"),
        ("app/main.py", "{% if auth %}\n"),
        ("notes.txt", "{# a comment #}\n"),
        ("{{ project_slug }}.toml", ""),
        ("compose.yaml.jinja", ""),
    ],
)
def test_jinja_is_found(tmp_path: Path, name: str, text: str) -> None:
    """Leftover Jinja, in a text or a path."""
    plant(tmp_path, name, text)
    assert len(list(text_checks.leftovers(tmp_path))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".github/workflows/ci.yml", "run: ${{ matrix.python }}\n"),
        ("app/main.py", 'print(f"{{{value}}}")\n'),
        ("deploy/grafana/board.json", '{"legendFormat": "{{route}}"}\n'),
    ],
)
def test_other_braces_are_not(tmp_path: Path, name: str, text: str) -> None:
    """Double braces of another language are accepted."""
    plant(tmp_path, name, text)
    assert list(text_checks.leftovers(tmp_path)) == []


@pytest.mark.parametrize("text", ["\na\n", "a", "a\n\n", "a \n", "a\n\n\nb\n", "a\r\n"])
def test_untidy_white_space_is_found(tmp_path: Path, text: str) -> None:
    """Blank lines and spaces left behind by a template."""
    plant(tmp_path, "README.md", text)
    assert len(list(text_checks.untidy(tmp_path))) >= 1


def test_code_in_prose_may_have_blank_lines(tmp_path: Path) -> None:
    """Two blank lines between functions are fine, even in Markdown; between paragraphs they aren't."""
    plant(tmp_path, "README.md", "# A\n\n```python\nA = 1\n\n\nB = 2\n```\n")
    assert list(text_checks.untidy(tmp_path)) == []
    plant(tmp_path, "README.md", "# A\n\n```python\nA = 1\n```\n\n\nB\n")
    assert len(list(text_checks.untidy(tmp_path))) == 1


@pytest.mark.parametrize("name", ["aux.py", "what?.md", "a:b.md", "end.", "Readme.md"])
def test_unportable_paths_are_found(tmp_path: Path, name: str) -> None:
    """Paths that another system rejects, or treats as another path."""
    plant(tmp_path, "README.md", "")
    plant(tmp_path, name, "")
    assert len(list(text_checks.unportable(tmp_path))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".github/workflows/update.yml", "# See docs/updating.md."),
        ("keel/docs/features/notes.md", "[signing in](auth.md)"),
        ("README.md", "`keel/docs/features/redis.md`"),
    ],
)
def test_missing_pages_are_found(tmp_path: Path, name: str, text: str) -> None:
    """Pages that only the template has, or that were not chosen."""
    plant(tmp_path, name, text)
    assert len(list(text_checks.missing_pages(tmp_path))) == 1


@pytest.mark.parametrize(
    "text",
    ["[](deploying.md)", "../README.md", "keel/docs/deploying.md", "https://a.example/x.md", "docs/*.md"],
)
def test_other_pages_are_not(tmp_path: Path, text: str) -> None:
    """Existing pages, relative or from the project's root, and those of others are accepted."""
    plant(tmp_path, "keel/docs/deploying.md", text)
    plant(tmp_path, "keel/README.md", "")
    assert list(text_checks.missing_pages(tmp_path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "from keel.auth import x",
        "see keel/auth/",
        "from keel import notes, auth",
        "keel/docs/features/auth.md",
        "`keel.auth`",
    ],
)
def test_traces_are_found(tmp_path: Path, text: str) -> None:
    """Mentions of what was not chosen."""
    plant(tmp_path, "README.md", text)
    assert len(list(text_checks.traces(tmp_path, WITHOUT_AUTH, {"auth": False}))) == 1
    assert list(text_checks.traces(tmp_path, WITHOUT_AUTH, {"auth": True})) == []


@pytest.mark.parametrize(
    "text", ["app.authority", "app/authors", "from app import authors", "features/auth.md"]
)
def test_other_words_are_not(tmp_path: Path, text: str) -> None:
    """Words with the same beginning are accepted."""
    plant(tmp_path, "README.md", text)
    assert list(text_checks.traces(tmp_path, WITHOUT_AUTH, {"auth": False})) == []


def test_a_file_that_is_left_out_is_found(tmp_path: Path) -> None:
    """A path that should not exist."""
    plant(tmp_path, "keel/auth/router.py", "")
    assert len(list(text_checks.traces(tmp_path, WITHOUT_AUTH, {"auth": False}))) == 1


def plant(project: Path, name: str, text: str) -> None:
    """Write a file, byte by byte as given."""
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
