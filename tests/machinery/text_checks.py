"""Checks of a rendered project's text: no remains of the template, and no trace of features not chosen."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from jinja2.environment import TemplateExpression

    from tests.machinery.questions import Questions

_STATEMENT = re.compile(r"\{%|(?<!\$)\{#")
_EXPRESSION = re.compile(r"(?<!\$)\{\{[-+]?\s*\w")
# In Python, `{{` is also a brace in an f-string, so only the templates' style counts.
_PYTHON_EXPRESSION = re.compile(r"(?<!\$)\{\{[-+]? \w+.* [-+]?\}\}")
# Code in Markdown follows its own language's rules for blank lines.
_FENCED = re.compile(r"^( *)```\w.*?^\1```$", re.MULTILINE | re.DOTALL)
#: Grafana writes the name of a label in double braces.
_BRACES = ("deploy/grafana/",)

#: A page by its relative path; neither a URL nor a pattern.
_PAGE = re.compile(r"(?<![\w:/.{}*-])((?:\.\./)*\w[\w./-]*\.md)\b")

_RESERVED = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def files(project: Path) -> dict[str, str | None]:
    """Return every file by its path inside the project; None for one that isn't text."""
    found: dict[str, str | None] = {}
    for path in sorted(path for path in project.rglob("*") if path.is_file()):
        name = path.relative_to(project).as_posix()
        if name.startswith(".git/"):
            continue
        try:
            found[name] = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            found[name] = None
    return found


def leftovers(project: Path) -> Iterator[str]:
    """Yield places where Jinja remains in a text or path."""
    for name, text in files(project).items():
        if "{" in name or name.endswith(".jinja"):
            yield f"{name}: the path is not rendered"
        patterns = [_STATEMENT]
        if not name.startswith(_BRACES):
            patterns.append(_PYTHON_EXPRESSION if name.endswith(".py") else _EXPRESSION)
        for number, line in _lines(text, *patterns):
            yield f"{name}:{number}: Jinja is left: {line}"


def untidy(project: Path) -> Iterator[str]:
    """Yield untidy white space. The formatter checks Python files."""
    for name, text in files(project).items():
        if text is None or not text or name.endswith((".py", ".mako", ".svg")):
            continue
        if "\r" in text:
            yield f"{name}: carriage returns"
        if text.startswith("\n"):
            yield f"{name}: begins with a blank line"
        if not text.endswith("\n") or text.endswith("\n\n"):
            yield f"{name}: does not end with exactly one line break"
        for number, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip():
                yield f"{name}:{number}: trailing white space"
        prose = _FENCED.sub("```", text) if name.endswith(".md") else text
        if "\n\n\n" in prose:
            before = prose.partition("\n\n\n")[0].splitlines()
            yield f"{name}: more than one blank line in a row after: {before[-1]}"


def unportable(project: Path) -> Iterator[str]:
    """Yield paths that Windows refuses, or that collide on case-insensitive file systems."""
    seen: dict[str, str] = {}
    for name in files(project):
        for part in name.split("/"):
            if _RESERVED.search(part) or _DEVICES.fullmatch(part):
                yield f"{name}: Windows refuses this path"
        other = seen.setdefault(name.lower(), name)
        if other != name:
            yield f"{name} and {other}: differ in case only"


def missing_pages(project: Path) -> Iterator[str]:
    """Yield missing pages that a text names, relative to its folder, the one above, or the project."""
    for name, text in files(project).items():
        if name.endswith(".py") or ".md" not in (text or ""):
            continue
        folder = (project / name).parent
        places = (folder, folder.parent, project)
        for number, line in _lines(text, _PAGE):
            for page in _PAGE.findall(line):
                if not any((place / page).is_file() for place in places):
                    yield f"{name}:{number}: there is no page {page}"


def absent_patterns(questions: Questions, answers: Mapping[str, Any]) -> list[str]:
    """Return the patterns of copier.yml that these answers exclude."""
    absent: list[str] = []
    for manifest in questions.manifests:
        if manifest.question and _condition(manifest.condition)(**answers):
            absent += [pattern.strip("/") for pattern in manifest.patterns]
    return absent


@cache
def _condition(text: str) -> TemplateExpression:
    return Environment(autoescape=True).compile_expression(text)


def absent_paths(questions: Questions, answers: Mapping[str, Any]) -> list[str]:
    """Return the paths that these answers exclude (without wildcard patterns)."""
    return [pattern for pattern in absent_patterns(questions, answers) if "*" not in pattern]


def traces(project: Path, questions: Questions, answers: Mapping[str, Any]) -> Iterator[str]:
    """Yield mentions of a file or package that these answers exclude."""
    absent = absent_paths(questions, answers)
    mentions = [(plain, re.compile(pattern)) for path in absent for plain, pattern in _mentions(path)]
    for path in absent:
        if (project / path).exists():
            yield f"{path}: is there, though these answers leave it out"
    for name, text in files(project).items():
        # Searching for plain words first takes a fifth of the time.
        patterns = [pattern for plain, pattern in mentions if plain in (text or "")]
        for number, line in _lines(text, *patterns):
            yield f"{name}:{number}: mentions what was not chosen: {line}"


def _lines(text: str | None, *patterns: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """Yield matching lines with their numbers. Most texts have none, so they are searched as a whole first."""
    if text is None or not any(pattern.search(text) for pattern in patterns):
        return
    for number, line in enumerate(text.splitlines(), 1):
        if any(pattern.search(line) for pattern in patterns):
            yield number, line.strip()


def _mentions(path: str) -> Iterator[tuple[str, str]]:
    """Yield patterns with which a text may name a path, each with a part of it: as path, module or `from` import."""
    yield path, rf"(?<![\w.-]){re.escape(path)}(?![\w-])"
    top, *rest = path.removesuffix(".py").split("/")
    if top in {"app", "keel", "tests"} and rest:
        module = ".".join((top, *rest))
        parent, _, last = module.rpartition(".")
        yield module, rf"(?<![\w.]){re.escape(module)}(?![\w-])"
        yield f"from {parent} import ", rf"from {re.escape(parent)} import (.*[ ,])?{re.escape(last)}\b"
