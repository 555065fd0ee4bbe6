"""The examination of one combination, in one worker process: render, check, run its own tests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.machinery import imports, modules, reachability, text_checks
from tests.machinery.bytecode import share_bytecode
from tests.machinery.closures import Passed
from tests.machinery.databases import empty_database
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.rendering import render
from tests.machinery.reuse import Reuse
from tests.machinery.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.machinery.combinations import Combination
    from tests.machinery.resources import Resources
    from tests.machinery.shares import Shares
    from tests.machinery.warm import Outcome, WarmProcess

TYPES = ("--output-format", "concise", "--no-progress", "--python")
_QUIET = ("-q", "-p", "no:cacheprovider", "--no-header")
_PASSED = re.compile(r"^(\d+) passed", re.MULTILINE)
#: Coverage and fuzzing are for the project's own CI; here they would multiply the cost of a combination. So would
#: capturing logs for a failure's report: six times per test, pytest walks through all loggers.
SUITE = (*_QUIET, "--assert=plain", "-p", "no:logging")
#: Long tests of parts that do not depend on other answers. They run where a suite is run whole, and a feature's own
#: in the combination with the fewest other features.
APART = (
    "keel/tests/analytics/test_streaming.py",
    "keel/tests/auth/oidc",
    "keel/tests/celery/test_processes.py",
    "keel/tests/celery/test_tls.py",
    "keel/tests/db/test_autogenerate.py",
    "keel/tests/kafka/test_lost_brokers.py",
    "keel/tests/kafka/test_refusals.py",
    "keel/tests/kafka/test_runner.py",
    "keel/tests/llm/test_ollama.py",
    "keel/tests/ops/gunicorn",
    "keel/tests/ops/test_new.py",
    "keel/tests/redis/test_client.py",
    "keel/tests/redis/test_connection.py",
    "keel/tests/redis/test_presence.py",
    "keel/tests/redis/test_rate_limit.py",
    "keel/tests/test_recipes.py",
    "keel/tests/test_roadmap.py",
    "keel/tests/websockets/test_tools.py",
    "tests/examples/chat/test_delivery.py",
    "tests/examples/notes/statistics/test_plans.py",
    "tests/examples/notes/statistics/test_statistics.py",
    "tests/examples/notes/test_imports.py",
)
WITHOUT_APART = tuple(f"--ignore={path}" for path in APART)
#: The same with failed assertions explained. Modules that are already loaded can't be rewritten, nor need they be.
EXPLAIN = (*_QUIET, "-x", "-W", "ignore::pytest.PytestAssertRewriteWarning")


@dataclass
class Report:
    """The results of one combination."""

    id: str
    problems: dict[str, str] = field(default_factory=dict)
    suite: str = "did not run"
    passed: bool = False
    #: The number of its own tests that passed.
    tests: int = 0
    cpu: float = 0.0
    same_as: str = ""
    #: The cost of each stage, in CPU seconds.
    stages: dict[str, float] = field(default_factory=dict)
    #: The number of test files, and how many of them were left to other combinations.
    files: dict[str, int] = field(default_factory=dict)

    def note(self, check: str, found: Iterable[str]) -> None:
        """Record the findings of a check, if any."""
        if text := "\n".join(found):
            self.problems[check] = text


def examine(
    combination: Combination,
    resources: Resources,
    warm: WarmProcess,
    *,
    shares: Shares | None = None,
    keep: bool = False,
) -> Report:
    """Render and examine a combination. A faulty project is kept on disk.

    With `shares`, only its share of the suite is run.
    """
    questions = Questions.load(resources.template / "copier.yml")
    project = resources.scratch / combination.id
    shutil.rmtree(project, ignore_errors=True)
    report, spending = Report(combination.id), Spending(warm)
    with spending.stage("rendering"):
        render(resources.template, project, combination.answers)
    with spending.stage("texts"):
        report.note("no Jinja is left", text_checks.leftovers(project))
        report.note("tidy texts", text_checks.untidy(project))
        report.note("portable paths", text_checks.unportable(project))
        report.note("pages that are there", text_checks.missing_pages(project))
        report.note(
            "no trace of what was not chosen", text_checks.traces(project, questions, combination.answers)
        )
    with spending.stage("ruff"):
        report.note("ruff check", program(project, resources, "ruff", "check", "--no-cache", "--quiet"))
        report.note("ruff format", program(project, resources, "ruff", "format", "--check", "--no-cache"))
    _python(report, project, combination, resources, spending, shares)
    report.stages |= spending.seconds
    if report.passed and not report.problems and not keep:
        shutil.rmtree(project)
    return report


def _python(
    report: Report,
    project: Path,
    combination: Combination,
    resources: Resources,
    spending: Spending,
    shares: Shares | None,
) -> None:
    """Run the checks that depend only on Python files, once for all results in which these are identical."""
    reuse = Reuse(resources.scratch / "python", project)
    if resources.reuse and not reuse.claim():
        earlier = Report(**json.loads(reuse.wait()))
        report.problems |= earlier.problems
        report.suite, report.passed, report.cpu, report.same_as = (
            earlier.suite,
            earlier.passed,
            0.0,
            earlier.id,
        )
        return
    with spending.stage("bytecode"):
        share_bytecode(project, resources.scratch / "bytecode")
    found = Report(combination.id)
    try:
        left = shares.left_out(combination, project) if shares else []
        check_python(found, project, str(combination.answers[DATABASE]), resources, spending, left)
        with spending.stage("suites"):
            found.files = {"left": len(left), "all": sum(1 for _ in project.rglob("test_*.py"))}
            own = shares.own(combination) if shares else frozenset()
            apart = [path for path in APART if left and not own & {*path.split("/")}]
            less = tuple(f"--ignore={path}" for path in (*apart, *left))
            run_suite(found, project, resources, spending.warm, str(combination.answers[DATABASE]), less)
    finally:
        reuse.publish(json.dumps(vars(found)))
    report.problems |= found.problems
    report.files = found.files
    report.suite, report.passed, report.cpu = found.suite, found.passed, found.cpu
    report.tests = found.tests


def check_python(
    report: Report,
    project: Path,
    database: str,
    resources: Resources,
    spending: Spending,
    left: Sequence[str] = (),
) -> None:
    """Check types, declared imports, layers, isolated imports of modules, and that migrations match the models.

    The types of test files that are `left` to other combinations are also checked there.
    """
    warm, stage = spending.warm, spending.stage
    with stage("reachability"):
        report.note("everything is reached", reachability.unreached(project))
    with stage("imports"):
        report.note("declared imports", imports.undeclared(project, resources.python))
    with stage("types"):
        report.note("types", type_errors(project, resources, left))
    with stage("modules alone"):
        report.note("no circle of imports", modules.circles(project))
        if not resources.reuse:
            report.note("modules alone", modules.unimportable(project, warm))
    with stage("contracts"):
        report.note("import contracts", broken_contracts(project, warm))
    with stage("migrations"):
        found = migration_faults(project, database, resources, warm)
        report.note("alembic upgrade head, check, downgrade base", found)


def type_errors(project: Path, resources: Resources, left: Sequence[str] = ()) -> list[str]:
    """Return the type checker's findings in all files but those `left`, and those known to have none."""
    passed = Passed(resources.scratch / "types", project) if resources.reuse else None
    new, others = passed.split(left) if passed else ([], left)
    less = [word for path in others for word in ("--exclude", path)]
    found = program(project, resources, "ty", "check", *TYPES, str(resources.python), *less)
    if passed and not found:
        passed.add(new)
    return found


def broken_contracts(project: Path, warm: WarmProcess) -> list[str]:
    """Return the import linter's findings."""
    return failed(warm.run("importlinter.cli:lint_imports_command", "--no-cache", directory=project))


def migration_faults(project: Path, database: str, resources: Resources, warm: WarmProcess) -> list[str]:
    """Return Alembic's errors: migrations must run up and down, and match the models."""
    with empty_database(database, resources.server, resources.scratch) as url:
        environment = {"DATABASE_URL": url, "ENVIRONMENT": "test"}
        # In one process, in sequence: a third of their time is importing the project.
        then = [["check"], ["downgrade", "base"]]
        return failed(
            warm.run("alembic", "upgrade", "head", directory=project, environment=environment, then=then)
        )


def run_suite(
    report: Report,
    project: Path,
    resources: Resources,
    warm: WarmProcess,
    database: str,
    options: tuple[str, ...] = (),
) -> None:
    """Run the project's own tests; after a failure, rerun them with assertions explained, for the report."""
    environment = suite_environment(resources, database)
    # The second run then loads every module that no test has loaded.
    last = [*modules.modules(project)]
    outcome = warm.run("pytest", *SUITE, *options, directory=project, environment=environment, modules=last)
    report.cpu, report.passed, report.suite = outcome.cpu, outcome.status == 0, outcome.tail(3)
    report.tests = sum(map(int, _PASSED.findall(report.suite)))
    if outcome.status < 0:
        report.suite = f"ended by signal {-outcome.status} after {outcome.wall:.0f} s:\n{outcome.tail()}"
    elif not report.passed:
        again = warm.run(
            "pytest", *EXPLAIN, *options, directory=project, environment=environment, modules=last
        )
        verdict = "and passed when repeated" if again.status == 0 else "the first failure"
        report.suite = f"status {outcome.status}, {verdict}:\n{(again if again.status else outcome).tail()}"


def suite_environment(resources: Resources, database: str) -> dict[str, str]:
    """Return the environment of a project's tests: the servers, which they share using own databases and prefixes."""
    servers = {"TEST_REDIS_URL": resources.redis} if resources.redis else {}
    if resources.server and database == "postgresql":
        servers["TEST_DATABASE_URL"] = resources.server
    return servers


def program(project: Path, resources: Resources, name: str, *arguments: str) -> list[str]:
    """Run a program of the shared environment in the project; return its output if it failed."""
    command = [str(resources.python.parent / name), *arguments]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    return [f"{result.stdout}{result.stderr}" or f"status {result.returncode}"] if result.returncode else []


def failed(outcome: Outcome) -> list[str]:
    """Return the output of a warm job if it failed."""
    return [f"status {outcome.status}\n{outcome.tail()}"] if outcome.status else []
