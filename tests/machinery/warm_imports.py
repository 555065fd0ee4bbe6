"""Find, once per environment, the modules that the largest projects' tests load: a warm process preloads them."""

from __future__ import annotations

import ast
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from tests.machinery import imports
from tests.machinery.bytecode import share_bytecode
from tests.machinery.examination import APART, SUITE, suite_environment
from tests.machinery.questions import DATABASE
from tests.machinery.rendering import render
from tests.machinery.warm import WarmProcess

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tests.machinery.combinations import Combination
    from tests.machinery.resources import Resources


def learn_modules(resources: Resources, largest: Iterable[Combination]) -> Resources:
    """Run a test of each file of these combinations in a process without preloaded modules; record what they load.

    Further modules of other tests only cost their import. The result is kept with the environment, until a project
    imports something else.
    """
    answers = {item.id: item.answers for item in largest}
    projects = {
        name: render(resources.template, resources.scratch / f"learn-{name}", answers[name])
        for name in answers
    }
    wanted = sorted({module for project in projects.values() for module in imports.third_party(project)})
    digest = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]
    learnt = replace(resources, warm_modules=resources.python.parent.parent / f"warm-{digest}.json")
    if learnt.warm_modules.exists():
        return learnt
    with ThreadPoolExecutor() as pool:
        loaded = [*pool.map(partial(_learn, resources, answers), projects, projects.values())]
    if None in loaded:
        return resources  # its own test will report why; the others run without preloaded modules
    names = dict.fromkeys(name for each in loaded for name in each or ())
    learnt.warm_modules.write_text(json.dumps(list(names)), encoding="utf-8")
    return learnt


def _learn(
    resources: Resources, answers: Mapping[str, Mapping[str, Any]], name: str, project: Path
) -> list[str] | None:
    """Return the modules that a project's tests load; None if one of them fails."""
    record = resources.scratch / f"{name}.loaded.json"
    share_bytecode(project, resources.scratch / "bytecode")
    with WarmProcess(resources.python, resources.warm_modules) as cold:
        environment = suite_environment(resources, str(answers[name][DATABASE]))
        options = {"directory": project, "environment": environment, "record": str(record)}
        outcome = cold.run("pytest", *SUITE, *first_tests(project), timeout=600, **options)
    if outcome.status:
        return None
    return [str(module) for module in json.loads(record.read_text(encoding="utf-8"))]


def first_tests(project: Path) -> list[str]:
    """Return the id of one test of each file, except slow ones."""
    found: list[str] = []
    for path in sorted(
        path for suite in ("keel/tests", "tests") for path in (project / suite).rglob("test_*.py")
    ):
        place = path.relative_to(project).as_posix()
        if not place.startswith(APART):
            found += islice(_tests(ast.parse(path.read_bytes()).body, place), 1)
    return found


def _tests(body: Iterable[ast.stmt], place: str) -> Iterator[str]:
    """Yield the ids of tests in order, without parameters."""
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _tests(node.body, f"{place}::{node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield f"{place}::{node.name}"
