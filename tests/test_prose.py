"""Pages, questions and messages are plain English: a linter finds nothing, and no listed word is used."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.machinery.prose import sentences
from tests.machinery.questions import Questions
from tests.machinery.rendering import ROOT

DATA = ROOT / "tests" / "data" / "prose"
PROSELINT = Path(sys.executable).parent / "proselint"
WORDS = tomllib.loads((DATA / "vocabulary.toml").read_text(encoding="utf-8"))["words"]
#: Quotes, dashes and dots are typed as in code, and a wrapped line is no double space.
LEFT_OUT = "typography."
PAGES = sorted(
    page
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "template/**/*.md",
        "template/**/*.md.jinja",
        "tests/machinery/*.md",
    )
    for page in ROOT.glob(pattern)
    if ".venv" not in page.parts
)


def texts() -> dict[str, str]:
    """The prose of each page, and what Copier asks and says."""
    questions = Questions.load(ROOT / "copier.yml")
    asked = [question["help"] for question in questions.asked.values()]
    said = [text for name, text in questions.raw.items() if name.startswith("_message_")]
    pages = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
    return {
        name: sentences(text) for name, text in {**pages, "copier.yml": "\n\n".join(asked + said)}.items()
    }


def lint(place: Path, written: dict[str, str]) -> list[str]:
    """What proselint finds in texts, by their names."""
    for number, text in enumerate(written.values()):
        (place / f"{number}.md").write_text(text, encoding="utf-8")
    command = [PROSELINT, "-o", "compact", "check", place]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stderr == ""
    assert bool(result.stdout) == bool(result.returncode)
    names = list(written)
    found = re.findall(r"/(\d+)\.md:(\d+):\d+: (.*)$", result.stdout, re.MULTILINE)
    assert bool(found) == bool(result.stdout)
    return [
        f"{names[int(number)]}:{line}: {fault}"
        for number, line, fault in found
        if not fault.startswith(LEFT_OUT)
    ]


def odd(written: dict[str, str]) -> list[str]:
    """Words of the vocabulary in texts, with what to write instead."""
    return [
        f"{name}:{text[: found.start()].count(chr(10)) + 1}: {found[0]!r}; write {instead!r}"
        for name, text in written.items()
        for word, instead in WORDS.items()
        for found in re.finditer(rf"\b(?:{word})\b", text, re.IGNORECASE)
    ]


def test_the_linter_finds_nothing(tmp_path: Path) -> None:
    """No cliché, repeated word, redundancy or misspelling."""
    assert lint(tmp_path, texts()) == []


def test_vocabulary_is_avoided() -> None:
    """No word of the vocabulary is used."""
    assert odd(texts()) == []


@pytest.mark.parametrize("text", ["It is is done.\n", "It is very unique.\n"])
def test_the_linter_works(tmp_path: Path, text: str) -> None:
    """It finds a fault where there is one."""
    assert lint(tmp_path, {"page": sentences(text)}) != []


def test_the_vocabulary_works() -> None:
    """A word is found with its line, but not in code."""
    page = "# Mended\n\nAll is\nmended, `mend` too.\n\n```text\nmend\n```\n"
    assert odd({"page": sentences(page)}) == ["page:4: 'mended'; write 'fix'"]
