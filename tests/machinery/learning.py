"""Find out, once per environment, which modules the largest projects' tests load: a warm process loads them first."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.machinery import imports
from tests.machinery.examination import SUITE, suite_environment
from tests.machinery.questions import DATABASE
from tests.machinery.rendering import render
from tests.machinery.warm import WarmProcess

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.machinery.bench import Bench
    from tests.machinery.combinations import Combination


def learn_modules(bench: Bench, largest: Iterable[Combination]) -> Bench:
    """Run the tests of these combinations in a process without anything loaded, and keep what they loaded.

    What was learnt is kept with the environment, until a project imports something else.
    """
    answers = {item.id: item.answers for item in largest}
    projects = {
        name: render(bench.template, bench.scratch / f"learn-{name}", answers[name]) for name in answers
    }
    wanted = sorted({module for project in projects.values() for module in imports.third_party(project)})
    digest = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]
    learnt = replace(bench, warm_modules=bench.python.parent.parent / f"warm-{digest}.json")
    if learnt.warm_modules.exists():
        return learnt
    names: dict[str, None] = {}
    for name, project in projects.items():
        record = bench.scratch / f"{name}.loaded.json"
        with WarmProcess(bench.python, bench.warm_modules) as cold:
            environment = suite_environment(bench, str(answers[name][DATABASE]))
            options = {"directory": project, "environment": environment, "record": str(record)}
            outcome = cold.run("pytest", *SUITE, timeout=600, **options)
        if outcome.status != 0:
            return bench  # its own test will say why; the others run without a head start
        names |= dict.fromkeys(json.loads(record.read_text(encoding="utf-8")))
    learnt.warm_modules.write_text(json.dumps(list(names)), encoding="utf-8")
    return learnt
