"""What switching off a feature, or the next update, would delete, and which of your changes and code it would break.

Copier silently deletes the files of a feature that is switched off, and those that a later version of the template
lacks, including your changes in them. So this renders two copies, one of the project now and one as it would be
then: the files that differ are Keel's.
"""

import ast
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from tempfile import TemporaryDirectory

from keel.ops.upgrades import ANSWERS

Tree = Mapping[str, bytes]
"""The files of a copy by path."""

_FIELD = re.compile(r"^    (\w+): ", re.MULTILINE)
_REQUIREMENT = re.compile(r'^ {4}"([A-Za-z0-9._-]+)[^"]*",$', re.MULTILINE)
_TABLE = re.compile(r'^(?: {4}__tablename__ = |\w+ = Table\(\s*)"(\w+)"', re.MULTILINE)
_SAME = "--vcs-ref=:current:"  # the project's version of the template
_PYTHON = ("app", "keel", "tests", "migrations")


class RemovalError(Exception):
    """The comparison is not possible; the message says why."""


@dataclass(frozen=True)
class Removal:
    """The effects of a removal; everything but `goes` and `tables` is yours. `lines` explains each field."""

    goes: tuple[str, ...]
    changed: tuple[str, ...]
    beside: tuple[str, ...]
    imports: tuple[str, ...]
    undeclared: tuple[str, ...]
    tables: tuple[str, ...]

    @property
    def concerns_you(self) -> bool:
        """Whether anything of yours is deleted or broken."""
        return any((self.changed, self.beside, self.imports, self.undeclared))

    def lines(self) -> Iterator[str]:
        """Yield the report for the owner."""
        yield f"{len(self.goes)} files of Keel's would be deleted."
        for title, found in (
            ("You have changed these of them. Your changes would go too; git keeps them:", self.changed),
            ("These files of yours are next to them. They stay, but should be moved:", self.beside),
            ("This code uses deleted modules and would fail:", self.imports),
            ("This code of yours needs distributions that would not be declared; `uv add` them:", self.undeclared),
            ("These tables would be left without a model. They stay, with their rows:", self.tables),
        ):
            if found:
                yield "\n".join(["", title, *(f"    {line}" for line in found)])


def removal(project: Path, feature: str | None = None) -> Removal:
    """Return what a project would lose without a feature, or with the latest version of the template.

    Raises:
        RemovalError: the feature is not switched on, or the template cannot be copied.
    """
    answers = (project / ANSWERS).read_text(encoding="utf-8")
    if feature is None:
        return compare(project, *_copies(answers, [_SAME], []))
    if not re.search(rf"^{re.escape(feature)}: true$", answers, re.MULTILINE):
        on = ", ".join(re.findall(r"^(\w+): true$", answers, re.MULTILINE)) or "nothing"
        raise RemovalError(f"{feature} is not switched on. Switched on: {on}.")
    return compare(project, *_copies(answers, [_SAME], [_SAME, f"--data={feature}=false"]))


def compare(project: Path, with_it: Tree, without: Tree) -> Removal:
    """Compare a project with a copy that has something and one that lacks it."""
    goes = sorted(name for name in with_it.keys() - without.keys() if (project / name).is_file())
    folders = {name.rpartition("/")[0] for name in goes} - {name.rpartition("/")[0] for name in without}
    tracked = _files(project)
    beside = [name for name in tracked if name not in with_it and name.rpartition("/")[0] in folders]
    stays = [
        name for name in tracked if name.endswith(".py") and name.partition("/")[0] in _PYTHON and name not in goes
    ]
    # Files that Keel renders again no longer import it.
    kept = [name for name in stays if with_it.get(name) == without.get(name)]
    modules = {_module(name) for name in goes if name.endswith(".py")}
    services = _fields(with_it) - _fields(without)
    yours = [name for name in kept if with_it.get(name) != (project / name).read_bytes()]
    declared = _declared(with_it) - _declared(without)
    owners = packages_distributions() if yours else {}
    return Removal(
        goes=tuple(goes),
        changed=tuple(name for name in goes if (project / name).read_bytes() != with_it[name]),
        beside=tuple(beside),
        imports=tuple(
            f"{name}:{line}: {found}"
            for name in kept
            for line, wanted in [*_imports(project, name), *_used(project, name, services)]
            if (found := next((module for module in wanted if module in modules | services), None))
        ),
        undeclared=tuple(
            f"{name}:{line}: {found}"
            for name in yours
            for line, wanted in _imports(project, name)
            for found in sorted(declared.intersection(map(_folded, owners.get(wanted[-1], ()))))
        ),
        tables=tuple(
            sorted(table for name in goes for table in _TABLE.findall(with_it[name].decode(errors="replace")))
        ),
    )


def _copies(answers: str, *options: Sequence[str]) -> list[Tree]:
    """Return a copy for each list of options; rendered concurrently, since each takes seconds."""
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda chosen: _copy(answers, *chosen), options))


def _copy(answers: str, *options: str) -> Tree:
    """Return the files that Copier renders for some answers, by default from the latest version of the template."""
    copier = shutil.which("copier")
    program = [copier] if copier else [shutil.which("uv") or "uv", "tool", "run", "copier"]
    with TemporaryDirectory(prefix="removal-") as name:
        place = Path(name)
        (place / ANSWERS).write_text(answers, encoding="utf-8")
        command = [*program, "recopy", "--quiet", "--defaults", "--overwrite", *options, name]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
        except OSError as error:
            raise RemovalError(f"Install uv, which fetches Copier: {error}") from error
        except subprocess.CalledProcessError as error:
            raise RemovalError(f"Copier could not copy the template:\n{error.stderr}") from error
        return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def _files(project: Path) -> list[str]:
    """Return the files that git tracks or would add: all of the project."""
    command = ["git", "-C", str(project), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")  # noqa: S603 - ours
    except (OSError, subprocess.CalledProcessError) as error:
        raise RemovalError("Make the project a git repository: Copier needs it, and it keeps deleted files.") from error
    return sorted(name for name in names if name and (project / name).is_file())


def _declared(tree: Tree) -> set[str]:
    return {_folded(name) for name in _REQUIREMENT.findall(tree["pyproject.toml"].decode())}


def _folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _module(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imports(project: Path, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line of each import of a file, and the modules that it may load, the innermost first.

    `from a.b import c` may load `a.b.c`, `a.b` and `a`.
    """
    for node in ast.walk(ast.parse((project / name).read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, _outwards(alias.name)
        elif isinstance(node, ast.ImportFrom):
            # One dot means the file's own folder, and each further dot one folder up.
            above = name.split("/")[: -node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                yield node.lineno, _outwards(f"{module}.{alias.name}")


def _fields(tree: Tree) -> set[str]:
    """Return `services.x` for each service of a project."""
    return {f"services.{name}" for name in _FIELD.findall(tree.get("keel/services.py", b"").decode())}


def _used(project: Path, name: str, services: Collection[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the line of each use of some services in a file, and the service."""
    for node in ast.walk(ast.parse((project / name).read_bytes())):
        if (
            isinstance(node, ast.Attribute)
            and f"services.{node.attr}" in services
            and "services" in ast.unparse(node.value)
        ):
            yield node.lineno, [f"services.{node.attr}"]


def _outwards(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
