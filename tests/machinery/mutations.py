"""Mutation testing of the platform's pure modules. README.md in this folder has the command and the scores.

Mutants come from mutmut's operators and three more: a negated condition, a return value of None, an omitted statement.
mutmut's own runner skips properties, decorated functions and constants, and runs pytest twice in one process: these
fixtures fail the second time, so that every mutant would count as killed. Here each mutant gets a forked process, which
imports it instead of the module; the tests must first pass without a mutant.
"""

import ast
import gc
import importlib.util
import os
import signal
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from difflib import unified_diff
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType

import libcst as cst  # ty: ignore[import-not-found]
import pytest
from mutmut.mutation.mutators import mutation_operators  # ty: ignore[import-not-found]

KNOWN = tomllib.loads(Path(__file__).parents[1].joinpath("data", "mutations.toml").read_text("utf-8"))
SLOW = 1.0
"""In seconds; slower tests are skipped."""


class Mutants(cst.CSTVisitor):
    """Collects the mutants of a module. Skips annotations, imports, decorators and error messages."""

    def __init__(self, module: cst.Module) -> None:
        """Start with no mutants of a parsed module."""
        self._module = module
        self.found: dict[str, None] = {}

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Add the mutants of a node."""
        if isinstance(node, (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom)) or _for_types(node):
            return False
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                # One mutant per string is enough.
                self._add(node, [*operator(node)][: 1 if isinstance(node, cst.BaseString) else None])
        self._add(node, _more(node))
        if isinstance(node, cst.Raise) and isinstance(node.exc, cst.Call):
            for each in node.exc.args:
                if each.keyword is not None:
                    each.visit(self)
        return not isinstance(node, cst.Raise)

    def _add(self, node: cst.CSTNode, others: list[cst.CSTNode]) -> None:
        for other in others:
            changed = self._module.deep_replace(node, other)
            with suppress(AttributeError, SyntaxError, ValueError):
                compile(changed.code, "mutant", "exec")
                self.found.setdefault(changed.code)


def _for_types(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.If) and bool(
        isinstance(node.test, cst.Name) and node.test.value == "TYPE_CHECKING"
    )


def _more(node: cst.CSTNode) -> list[cst.CSTNode]:
    if isinstance(node, (cst.If, cst.CompIf)):
        test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        return [node.with_changes(test=cst.UnaryOperation(cst.Not(), test))]
    if isinstance(node, cst.Return) and node.value is not None:
        return [node.with_changes(value=cst.Name("None"), whitespace_after_return=cst.SimpleWhitespace(" "))]
    if isinstance(node, cst.Raise) or (
        isinstance(node, cst.Expr) and isinstance(node.value, (cst.Call, cst.Await))
    ):
        return [cst.Pass()]
    return []


class Finder(SourceFileLoader):
    """Loads one module from a mutated source."""

    text: str

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Find the mutated module only."""
        return (
            importlib.util.spec_from_file_location(name, self.path, loader=self)
            if name == self.name
            else None
        )

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - the import system's signature
        """Compile the mutated source."""
        return compile(self.text, self.path, "exec")


PASSED: list[str] = []
"""Ids of tests that passed in this process."""


# This module is also a pytest plugin, instead of the project's: tests that need an application fail, and are skipped.


@pytest.fixture(scope="session")
def environment() -> None:
    """Stand in for the project's fixture of this name."""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Return the standard library's event loop."""
    return "asyncio"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record passing tests."""
    if report.when == "call" and report.passed and report.duration < SLOW:
        PASSED.append(report.nodeid)


def run(module: str, text: str, tests: list[str], seconds: float) -> list[str] | None:
    """Run tests with another source for a module; return those that pass, or None if one given by id fails.

    Raises:
        TimeoutError: they take longer than `seconds`.
    """
    reader, writer = os.pipe()
    if not (process := os.fork()):
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        finder = Finder(module, str(path_of(module)))
        finder.text = text
        sys.meta_path.insert(0, finder)
        status = 99
        with suppress(BaseException):
            first = ["-x"] if "::" in tests[0] else []
            status = pytest.main([*KNOWN["pytest"], *first, *tests], plugins=[sys.modules[__name__]])
        os.write(writer, "\n".join(PASSED).encode())
        os._exit(status)
    os.close(writer)
    until = time.monotonic() + seconds
    ended, status = 0, 1
    while not ended and time.monotonic() < until:
        ended, status = os.waitpid(process, os.WNOHANG)
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    if not ended:
        os.waitpid(process, 0)
        os.close(reader)
        raise TimeoutError
    with os.fdopen(reader) as file:
        passed = file.read().splitlines()
    return passed if status == 0 or "::" not in tests[0] else None


def path_of(module: str) -> Path:
    """Return a module's path."""
    return Path(*module.split(".")).with_suffix(".py")


def survivors(module: str, numbers: set[int]) -> Iterator[tuple[int, str]]:
    """Test the mutants of a module, or those with the given numbers; yield the survivors as number and diff."""
    text = path_of(module).read_text("utf-8")
    tests = run(module, text, [f"keel/tests/{name}" for name in KNOWN["tests"][module]], 120)
    begun = time.monotonic()
    if not tests or run(module, text, tests, 120) is None:
        raise SystemExit(f"{module}: no test passes without a mutant")
    seconds = 5 + 5 * (time.monotonic() - begun)
    whole = cst.parse_module(text)
    visitor = Mutants(whole)
    whole.visit(visitor)
    lived = tried = endless = 0
    for number, mutant in enumerate(visitor.found):
        if numbers and number not in numbers:
            continue
        tried += 1
        try:
            lives = run(module, mutant, tests, seconds) is not None
        except TimeoutError:
            endless += 1
            continue
        if lives:
            lived += 1
            yield (
                number,
                "\n".join([*unified_diff(text.splitlines(), mutant.splitlines(), lineterm="", n=0)][2:]),
            )
    killed = f"{tried - lived} killed, {endless} of them by timeout"
    print(f"{module}: {len(tests)} tests, {tried} mutants, {killed}, {lived} survive", flush=True)


def preload(module: str) -> None:
    """Import the dependencies of a module, but not the module itself."""
    for node in ast.parse(path_of(module).read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("keel."):
            importlib.import_module(node.module)
    if module in sys.modules:
        raise SystemExit(f"{module}: imported by its own imports")
    gc.collect()
    gc.freeze()


def main() -> None:
    """Test the mutants of the given modules, or of all."""
    sys.path[0] = ""  # the project, not the folder of this file
    os.environ |= {"ENV_FILE": "", "ENVIRONMENT": "test", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for name in KNOWN["libraries"]:
        importlib.import_module(name)
    for each in sys.argv[1:] or KNOWN["tests"]:
        if process := os.fork():
            os.waitpid(process, 0)
            continue
        module, _, numbers = each.partition(":")
        preload(module)
        for number, changes in survivors(module, {*map(int, filter(None, numbers.split(",")))}):
            print(f"{module}:{number}\n{changes}", flush=True)
        return


if __name__ == "__main__":
    main()
