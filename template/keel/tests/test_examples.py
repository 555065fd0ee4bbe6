"""A feature's additions to an example that was deleted or reshaped by hand are skipped, and reported."""

import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from keel import packages
from keel.packages import find_packages, incomplete_examples, load_each
from keel.testing.examples import exists, imported, lacking

ADDITION = "from yard.examples.notes.service import Notes\n\n\ndef exporters(_):\n    return {'notes': Notes}\n"

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module of a root package, `yard`, whose example has what a feature added."""

    def write(name: str, text: str) -> None:
        path = tmp_path / "yard" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    write("__init__.py", "")
    write("examples/__init__.py", "")
    write("examples/notes/exports.py", ADDITION)
    known = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for name in sys.modules.keys() - known:
        del sys.modules[name]


def offered() -> list[str]:
    """Return the loaded modules."""
    return [module.__name__ for _, module in load_each(find_packages("yard"), "exports")]


def test_complete_example(write: Write) -> None:
    """Its additions are loaded, and nothing is reported."""
    write("examples/notes/__init__.py", "")
    write("examples/notes/service.py", "class Notes: ...\n")

    assert offered() == ["yard.examples.notes.exports"]
    assert list(incomplete_examples(find_packages("yard"))) == []


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"examples/notes/__init__.py": "", "examples/notes/rules.py": "class Notes: ...\n"},
        {"examples/notes/__init__.py": "", "examples/notes/service.py": "class Rules: ...\n"},
    ],
    ids=["deleted", "module renamed", "class renamed"],
)
def test_incomplete_example(write: Write, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its additions are skipped with a warning that names what is missing, as does the report."""
    for name, text in files.items():
        write(name, text)

    # The project's own start may have used the logger, which then keeps its configuration.
    monkeypatch.setattr(packages, "log", structlog.get_logger())
    with capture_logs() as logs:
        assert offered() == []

    missing = "yard.examples.notes.service"
    expected = {"event": "example_incomplete", "skipped": "yard.examples.notes.exports", "missing": missing}
    assert [{key: line[key] for key in expected} for line in logs] == [expected]
    (reported,) = incomplete_examples(find_packages("yard"))
    assert missing in reported
    assert "example=false" in reported


def test_other_import_errors_are_not_hidden(write: Write) -> None:
    """Such as a missing library."""
    write("examples/notes/__init__.py", "")
    write("examples/notes/exports.py", "import no_such_library\n")

    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        offered()


def test_no_examples(write: Write, tmp_path: Path) -> None:
    """The folder may be empty."""
    (tmp_path / "yard/examples/notes/exports.py").unlink()

    assert find_packages("yard") == []


def test_tests_are_skipped_by_their_imports(write: Write) -> None:
    """Tests that import a missing example are skipped."""
    assert imported("import a.b\nfrom c.d import e\n\ndef f() -> None:\n    from g import h\n") == {"a.b", "c.d", "g"}
    assert exists("yard.examples.notes.exports")
    assert not exists("yard.examples.notes.service")
    assert not exists("yard.nowhere.service")


def test_missing_modules_are_found_transitively(write: Write) -> None:
    """An addition without its example's module is missing, too; other code does not matter."""
    test, prefixes = "import no_such_library\nfrom yard.examples.notes.exports import exporters\n", ("yard.examples.",)
    assert lacking(test, prefixes) == "yard.examples.notes.service"
    write("examples/notes/service.py", "from yard.examples.notes.exports import exporters\n")
    invalidate_caches()
    assert lacking(test, prefixes) is None
