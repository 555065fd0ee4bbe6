"""The data of the documentation's configurator, written by `uv run python -m tests.machinery.configurator`.

A figure that depends on answers is a sum: `{"": 3, "auth": 2, "auth redis": -1}` is 3, 2 more with `auth`, and 1 less
with both. A choice other than the default is written as `ci=none`. Such a sum is exact if it has enough terms, which
is checked on answers that it was not built from.
"""

import json
import random
import re
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pathspec
import yaml
from jinja2 import Environment, StrictUndefined, meta

ROOT = Path(__file__).parents[2]
DATA = ROOT / "docs" / "configurator" / "data.json"
QUESTIONS = ROOT / "docs" / "questions.md"
NAMED = {"project_name": "Harbour Log", "project_slug": "harbour-log", "description": "A FastAPI service."}
DEEPEST, CHECKED = 12, 64

Answers = Mapping[str, Any]
Sum = dict[str, int]


class Template:
    """The template: its questions, and the answers that its files depend on."""

    def __init__(self, root: Path = ROOT) -> None:
        """Read `copier.yml`, and find the files of `template/`."""
        self.root = root / "template"
        self.raw = yaml.safe_load((root / "copier.yml").read_text(encoding="utf-8"))
        extensions = ["jinja2_ansible_filters.AnsibleCoreFiltersExtension"]
        self.jinja = Environment(  # noqa: S701 - it makes no HTML
            undefined=StrictUndefined,
            extensions=extensions,
            keep_trailing_newline=True,
            **self.raw["_envops"],
        )
        #: The values of each question that affects files, the default first.
        self.choices = {
            name: values
            for name, question in self.raw.items()
            if not name.startswith("_") and name != "preset" and (values := _values(question))
        }
        self._defaults = {name: values[0] for name, values in self.choices.items()}
        self.blocks = [
            (found[1], pathspec.GitIgnoreSpec.from_lines(found[2].split()))
            for entry in self.raw["_exclude"]
            if (found := re.fullmatch(r"\s*\{% if (.+?) %\}\s(.+)\{% endif %\}\s*", entry, re.DOTALL))
            and "_copier" not in found[1]
        ]

    @property
    def files(self) -> list[str]:
        """Return the paths of all files of `template/`, unrendered."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in found if "__pycache__" not in path.parts)

    def depends(self, source: str) -> list[str]:
        """Return the questions that the text of a template depends on."""
        return [
            name for name in self.choices if name in meta.find_undeclared_variables(self.jinja.parse(source))
        ]

    def total(self, questions: Sequence[str], of: Callable[[Answers], int]) -> Sum:
        """Return a figure as a sum over the questions that it depends on.

        Raises:
            ValueError: it depends on more than `DEEPEST` answers at once.
        """
        known: dict[tuple[Any, ...], int] = {}

        def at(answers: Answers) -> int:
            key = tuple(answers.get(name, self._defaults[name]) for name in questions)
            if key not in known:
                known[key] = of(self._defaults | dict(zip(questions, key, strict=True)))
            return known[key]

        checks = random.Random(1)  # noqa: S311 - it must repeat itself
        tried = [{name: checks.choice(self.choices[name]) for name in questions} for _ in range(CHECKED)]
        tried.append({name: self.choices[name][-1] for name in questions})
        for depth in range(min(DEEPEST, len(questions)) + 1):
            found = self._sum(questions, at, depth)
            if all(evaluate(found, answers) == at(answers) for answers in tried):
                return found
        raise ValueError(f"more than {DEEPEST} of {', '.join(questions)} decide together")

    def _sum(self, questions: Sequence[str], at: Callable[[Answers], int], depth: int) -> Sum:
        found: Sum = {}
        for size in range(depth + 1):
            for chosen in combinations(questions, size):
                for values in product(*(self.choices[name][1:] for name in chosen)):
                    answers = dict(zip(chosen, values, strict=True))
                    given = self._defaults | answers
                    if rest := at(answers) - evaluate(found, given):
                        found[" ".join(literal(*pair) for pair in answers.items())] = rest
        return found

    def is_there(self, path: str) -> Sum:
        """Return 1 if a file is rendered, by its path in a project."""
        conditions = [condition for condition, spec in self.blocks if spec.match_file(path)]
        expressions = [self.jinja.compile_expression(condition) for condition in conditions]
        questions = [name for name in self.choices if re.search(rf"\b{name}\b", " ".join(conditions))]
        return self.total(questions, lambda answers: int(not any(each(**answers) for each in expressions)))


def _values(question: Mapping[str, Any]) -> list[Any]:
    """Return the possible answers; first the one that adds nothing: no, or the first choice."""
    if question["type"] == "bool":
        return [False, True]
    choices = question.get("choices", {})
    return list(choices.values() if isinstance(choices, dict) else choices)


def literal(name: str, value: object) -> str:
    """Return an answer in the notation of sums."""
    return name if value is True else f"{name}={value}"


def evaluate(figure: Sum, answers: Answers) -> int:
    """Evaluate a sum for some answers."""
    given = {literal(*pair) for pair in answers.items()}
    return sum(count for term, count in figure.items() if given.issuperset(term.split()))


def _services(text: str) -> list[str]:
    return [f"{name}|{each.get('image', '')}" for name, each in yaml.safe_load(text)["services"].items()]


def _settings(text: str) -> list[str]:
    return [found[1] for found in re.finditer(r"^# ?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE)]


def _dependencies(text: str) -> list[str]:
    return [re.split(r"[<>=\[ ]", each)[0] for each in tomllib.loads(text)["project"]["dependencies"]]


LISTED = {
    "services": ("compose.yaml.jinja", _services),
    "settings": (".env.example.jinja", _settings),
    "dependencies": ("pyproject.toml.jinja", _dependencies),
}


class Conf:
    """Copier's own settings that templates read."""

    answers_file = ".copier-answers.yml"
    dst_path = Path("harbour-log")


FIXED = {**NAMED, "preset": "api", "_copier_conf": Conf, "_copier_operation": "copy", "_copier_answers": {}}


def data(root: Path = ROOT) -> dict[str, Any]:
    """Return the page's data: questions, files with their lines, the items of three of them, and where each occurs."""
    template = Template(root)
    files, lists = [], {}
    for source in template.files:
        text = (template.root / source).read_bytes()
        path = source.removesuffix(".jinja").replace("{{ _copier_conf.answers_file }}", Conf.answers_file)
        lines: int | Sum = text.count(b"\n")
        if path == Conf.answers_file:
            lines = 0  # Copier's own record, which is not for readers
        elif path != source:
            rendering = Rendering(template, text.decode())
            lines = rendering.total(lambda rendered: rendered.count("\n"))
            lists |= {name: rendering.listed(of) for name, (seam, of) in LISTED.items() if seam == source}
        files.append([path, template.is_there(path), lines])
    return {"questions": _questions(template), "presets": _presets(template), "files": files, **lists}


class Rendering:
    """A file of the template that depends on answers."""

    def __init__(self, template: Template, text: str) -> None:
        """Take the unrendered text."""
        self.template = template
        self.compiled = template.jinja.from_string(text)
        self.questions = template.depends(text)
        self.render = cache(lambda answers: self.compiled.render(**FIXED, **dict(answers)))

    def total(self, of: Callable[[str], int]) -> Sum:
        """Return a figure of the rendered text."""
        return self.template.total(self.questions, lambda answers: of(self.render(tuple(answers.items()))))

    def listed(self, of: Callable[[str], list[str]]) -> list[list[Any]]:
        """Return the names found in the rendered text, in order, each with the sum of its presence."""
        names = cache(lambda text: tuple(of(text)))
        everything: dict[str, None] = {}
        for database, *_ in product(self.template.choices["database"]):
            full = {name: values[-1] for name, values in self.template.choices.items()} | {
                "database": database
            }
            for off in (None, *self.questions):
                answers = full | ({off: self.template.choices[off][0]} if off else {})
                everything |= dict.fromkeys(names(self.render(tuple(answers.items()))))
        return [[name, self.total(lambda text, name=name: names(text).count(name))] for name in everything]


def _questions(template: Template) -> list[dict[str, Any]]:
    """Return the questions that affect files, in order, with their defaults apart from presets."""
    found = []
    for name in template.choices:
        question = template.raw[name]
        labels = question.get("choices") if isinstance(question.get("choices"), dict) else {}
        choices = [[value, label] for label, value in labels.items()]
        default = None if "preset" in str(question["default"]) else question["default"]
        why = {"help": question["help"], "why": _first_sentence(name)}
        found.append({"name": name, **why, "choices": choices, "default": default})
    return found


def _first_sentence(question: str) -> str:
    """Return the first sentence of the reference about a question, as plain text."""
    reference = QUESTIONS.read_text(encoding="utf-8")
    found = re.search(rf"^### {question}\n\n(.+?\.)(?:\s|$)", reference, re.MULTILINE | re.DOTALL)
    if not found or found[1].startswith("`"):
        return ""
    sentence = " ".join(found[1].replace("`", "").split())
    return sentence.partition(": ")[0].rstrip(".") + "."


def _presets(template: Template) -> list[dict[str, Any]]:
    """Return each preset's name, label, and suggested toggles."""
    found = []
    for label, preset in template.raw["preset"]["choices"].items():
        suggested = [
            name
            for name in template.choices
            if "preset" in (default := str(template.raw[name]["default"]))
            and template.jinja.from_string(default).render(preset=preset) == "True"
        ]
        found.append({"name": preset, "label": label, "on": suggested})
    return found


def main() -> None:
    """Write the data next to the page."""
    found = data()
    DATA.write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")
    sys.stdout.write(f"{DATA}: {len(found['files'])} files, {DATA.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
