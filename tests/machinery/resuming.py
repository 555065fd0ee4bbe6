"""A long run in pieces: with `--resume=FILE`, tests that have passed on the same working tree are not run again.

The file has one JSON object per line: the digest of the tree first, then each test that passed, with its properties.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.machinery.rendering import ROOT, git

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xdist.workermanage import WorkerController

_HANDED = "passed"
_OPTION = "--resume"


def add_options(parser: pytest.Parser) -> None:
    """Add `--resume`."""
    parser.getgroup("keel").addoption(
        _OPTION,
        metavar="FILE",
        type=Path,
        help="record which tests pass in FILE, and do not run those that it names; for a run that may be interrupted",
    )


class Resuming:
    """A plugin of every process of a run: leaves out what has passed, and has the main one record what passes."""

    def __init__(self, config: pytest.Config) -> None:
        """Read the file; raise UsageError if it belongs to another state of the tree, or is a word of its own."""
        self._path: Path | None = config.getoption("resume")
        #: The properties of each test that has passed in an earlier run.
        self.earlier: dict[str, Mapping[str, Any]] = {}
        self._passed: set[str] = set()
        given = getattr(config, "workerinput", None)
        if given is not None:
            self.earlier = given.get(_HANDED, {})
            self._path = None
        elif self._path is not None:
            if _OPTION in config.invocation_params.args:
                raise pytest.UsageError(
                    f"Write {_OPTION}={self._path}: pytest reads options before it knows this one, so it would "
                    "take the file for the place of the tests"
                )
            self._open(self._path)

    def _open(self, path: Path) -> None:
        tree = _digest(without=path)
        if not path.exists():
            path.write_text(json.dumps({"tree": tree}) + "\n", encoding="utf-8")
        first, *lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        if first != {"tree": tree}:
            raise pytest.UsageError(
                f"{path} belongs to another state of the working tree; delete it to start again"
            )
        self.earlier = {line["test"]: line["properties"] for line in lines}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        """Tell a worker what to leave out: the file grows while workers collect."""
        node.workerinput[_HANDED] = self.earlier

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect tests that have passed."""
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in self.earlier])
        items[:] = [item for item in items if item.nodeid not in self.earlier]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a test after its teardown, if all of it has passed."""
        if report.when == "call" and report.passed:
            self._passed.add(report.nodeid)
        elif report.when == "teardown" and report.passed and report.nodeid in self._passed and self._path:
            line = {"test": report.nodeid, "properties": dict(report.user_properties)}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _digest(without: Path) -> str:
    """Return the digest of the working tree: tests read most of its files."""
    result = hashlib.sha256()
    for name in sorted(git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")):
        path = ROOT / name
        if path.is_file() and path != without.resolve():
            result.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return result.hexdigest()
