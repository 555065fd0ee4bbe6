"""Find out, once per environment, which modules the largest projects' tests load: a warm process loads them first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.machinery.examination import SUITE, Bench, suite_environment
from tests.machinery.questions import DATABASE
from tests.machinery.rendering import render
from tests.machinery.warm import WarmProcess

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.machinery.combinations import Combination


def learn_modules(bench: Bench, largest: Iterable[Combination]) -> None:
    """Run the tests of these combinations in a process without anything loaded, and keep what they loaded."""
    if bench.warm_modules.exists():
        return
    names: dict[str, None] = {}
    complete = True
    for combination in largest:
        project = render(bench.template, bench.scratch / f"learn-{combination.id}", combination.answers)
        record = bench.scratch / "loaded.json"
        with WarmProcess(bench.python, bench.scratch / "nothing") as cold:
            environment = suite_environment(bench, str(combination.answers[DATABASE]))
            outcome = cold.run(
                "pytest",
                *SUITE,
                directory=project,
                environment=environment,
                timeout=300,
                record=str(record),
            )
        complete = complete and outcome.status == 0
        if record.is_file():
            names |= dict.fromkeys(json.loads(record.read_text(encoding="utf-8")))
    if complete:  # else the list is short, and the next run learns anew
        bench.warm_modules.write_text(json.dumps(list(names)), encoding="utf-8")
