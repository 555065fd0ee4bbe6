"""The definitions of a project that are reached from its entry points."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tests.machinery.reachability.facts import facts
from tests.machinery.reachability.types import Types

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from tests.machinery.reachability.terms import Definition, Module, Reference

#: Folders of code from which the checked code may be reached.
_SOURCES = ("keel", "app", "migrations", "deploy")
_ENTRIES = ("app.main", "app.__main__", "migrations.env", "deploy.gunicorn.conf", "keel.features")
#: Names of attributes of lists, dictionaries, strings and the like, which reveal nothing about an unknown object.
_COMMON = frozenset(name for kind in (dict, list, str, bytes, set) for name in dir(kind))
#: A class with such a base has fields that a library reads.
_READ_BY_LIBRARIES = {"BaseModel", "DeclarativeBase", "TypedDict", "NamedTuple"}
#: Methods that pydantic calls.
_OVERRIDES = {"settings_customise_sources", "model_post_init"}


@dataclass(frozen=True, slots=True)
class Unreached:
    """A definition that nothing reaches."""

    name: str
    path: str
    first: int
    last: int

    def __str__(self) -> str:
        """Return its location and size."""
        return f"{self.path}:{self.first}: {self.name} is not reached ({self.last - self.first + 1} lines)"


class Project:
    """The modules of a rendered project, and the definitions reached in it."""

    def __init__(self, root: Path, published: Iterable[str] = (), excused: Collection[str] = ()) -> None:
        """Read a project; an owner may use `published` names, and `excused` ones are used in undetectable ways."""
        self.excused = excused
        self._paths: dict[str, Path] = {}
        self._modules: dict[str, Module] = {}
        for path in sorted(each for source in _SOURCES for each in (root / source).rglob("*.py")):
            place = path.relative_to(root)
            if not {"tests", "testing", "stubs", "versions"} & set(place.parts):
                package = path.name == "__init__.py"
                name = ".".join((place.parent if package else place.with_suffix("")).parts)
                self._paths[name] = place
                self._modules[name] = facts(name, package, path.read_bytes())
        self.types = Types(self._modules)
        self.published = [found for name in published if (found := self.types.resolve(name))]
        self._live: set[str] = set()
        self._wanted: defaultdict[str, set[str]] = defaultdict(set)
        self._wanted_of_unknown: set[str] = set()
        self._slots: set[tuple[str, str]] = set()
        self._todo: list[str] = []
        self._pending: list[Reference] = []

    def unreached(self) -> Iterator[Unreached]:
        """Yield unreached definitions of `keel/` and of the examples, outermost ones only."""
        self._follow()
        for name, definition in sorted(self.types.definitions.items()):
            module = self._module_of(name)
            checked = module.startswith(("keel.", "app.examples"))
            if definition.kind == "module" or name in self._live or not checked:
                continue
            if definition.owner and definition.owner not in self._live:
                continue
            if not self._excused(definition):
                yield Unreached(name, self._paths[module].as_posix(), definition.line, definition.end)

    def _excused(self, definition: Definition) -> bool:
        last = definition.name.rpartition(".")[2]
        if last.startswith("__") or last in {"log", "model_config"} or definition.name in self.excused:
            return True
        read_elsewhere = definition.kind == "field" and _READ_BY_LIBRARIES & self.types.base_names(
            definition.owner
        )
        return bool(read_elsewhere) and not self._is_settings(definition.owner)

    def _is_settings(self, name: str) -> bool:
        return "keel.settings.Settings" in self.types.ancestors(name)

    def _module_of(self, name: str) -> str:
        while name not in self._modules:
            name = name.rpartition(".")[0]
        return name

    # --- Following references

    def _follow(self) -> None:
        for name in _ENTRIES:
            self._reach(name)
        for name in self.types.definitions:
            if name.startswith("deploy."):  # a program's settings, read by name
                self._reach(name)
        features = self._modules.get("keel.features")
        for target in features.imports.values() if features else ():
            self._reach(f"{target}.install")
            self._reach(f"{target}.add_routes")
        for name in self.published:
            self._publish(name)
        before = -1
        while (size := self._size()) != before:
            before = size
            while self._todo:
                self._read(self._todo.pop())
            self._settle()
            pending, self._pending = self._pending, []
            for reference in pending:
                self._refer(reference)

    def _size(self) -> int:
        return (
            len(self._live)
            + len(self._slots)
            + len(self._wanted_of_unknown)
            + sum(map(len, self._wanted.values()))
        )

    def _publish(self, name: str) -> None:
        """Publish a name: an owner may use all its public members, and those of a published dependency's value."""
        self._reach(name)
        definition = self.types.definitions[name]
        if definition.kind == "constant" and definition.annotation:
            for kind, *rest in self.types.annotated(definition.annotation, 0):
                if kind == "inst":
                    self._publish(rest[0])
        # Features register in services; an owner's access to them does not make their members reached.
        if definition.kind == "class" and name != "keel.services.Services":
            for each in self.types.ancestors(name):
                for member in self._members[each]:
                    last = member.rpartition(".")[2]
                    if not last.startswith("_"):
                        self._want(each, last)

    @cached_property
    def _members(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name, definition in self.types.definitions.items():
            if definition.owner:
                found[definition.owner].append(name)
        return found

    def _reach(self, name: str) -> None:
        if name in self.types.definitions and name not in self._live:
            self._live.add(name)
            self._todo.append(name)

    def _read(self, name: str) -> None:
        """Follow the references of a newly reached definition."""
        self._reach(self._module_of(name))
        for reference in self.types.definitions[name].references:
            self._refer(reference)

    def _refer(self, reference: Reference) -> None:  # noqa: C901 - one for each kind
        if not all(self._satisfied(guard) for guard in reference.guards):
            self._pending.append(reference)
            return
        match reference.term:
            case ("name", dotted):
                if found := self.types.resolve(dotted):
                    self._reach(found)
            case ("import", dotted):
                module = dotted
                while module and module not in self._modules:
                    module = module.rpartition(".")[0]
                if module:
                    self._reach(module)
            case ("attr", inner, attribute):
                self._refer_to_attribute(inner, attribute)
            case ("fields", inner):
                for value in self.types.values(inner):
                    for member in self._members.get(value[1], ()) if value[0] == "inst" else ():
                        self._want(value[1], member.rpartition(".")[2])

    def _refer_to_attribute(self, inner: Any, attribute: str) -> None:  # noqa: ANN401 - a term
        values = self.types.values(inner)
        known = {value for value in values if value[0] != "unknown"}
        for value in known:
            match value:
                case ("module", module):
                    if found := self.types.resolve(f"{module}.{attribute}"):
                        self._reach(found)
                case ("inst" | "class", owner):
                    self._want(owner, attribute)
        if len(known) < len(values) and not (known and attribute in _COMMON):
            self._wanted_of_unknown.add(attribute)

    def _want(self, owner: str, attribute: str) -> None:
        """Reach an attribute of a class, and of every class that may replace it."""
        if attribute in self._wanted[owner]:
            return
        self._wanted[owner].add(attribute)
        for each in self.types.ancestors(owner):
            self._slots.add((each, attribute))

    def _satisfied(self, guard: tuple[Any, ...]) -> bool:
        """Whether a method uses its arguments; a library's always does."""
        _, inner, attribute = guard
        for value in self.types.values(inner):
            member = self.types.member(value[1], attribute) if value[0] in {"inst", "class"} else None
            if member is None or not self._is_mute(self.types.definitions[member]):
                return True
        return False

    # --- Members reached because they are wanted

    def _settle(self) -> None:
        """Reach the members of reached classes that are wanted, called by libraries, or implementations of others."""
        for name in [name for name in self._live if self.types.definitions[name].kind == "class"]:
            wanted = {
                attribute for each in self._stands_for(name) for attribute in self._wanted.get(each, ())
            }
            external = self.types.is_external(name)
            for member in self._members.get(name, ()):
                definition = self.types.definitions[member]
                last = member.rpartition(".")[2]
                called = last.startswith("__") or last in wanted or external
                unknown = last in self._wanted_of_unknown and last not in _COMMON
                automatic = bool(definition.registered_by) or last in _OVERRIDES or self._excused(definition)
                if definition.kind == "field" and external and self._is_settings(name):
                    called = last in wanted
                if (called or unknown or automatic) and not self._is_mute(definition):
                    self._reach(member)
        for name, definition in self.types.definitions.items():
            if definition.kind in {"function", "constant"} and name not in self._live:
                self._settle_function(name, definition)

    def _settle_function(self, name: str, definition: Definition) -> None:
        module = self._module_of(name)
        last = name.rpartition(".")[2]
        if module in self._live and definition.registered_by:
            roots = [term for term in definition.registered_by if term and term[0] == "name"]
            found = [self.types.resolve(term[1]) for term in roots]
            if all(each is None or each in self._live for each in found):
                self._reach(name)
        if last in self._wanted_of_unknown and module.rpartition(".")[2] in self.hooks:
            self._reach(name)

    @cached_property
    def hooks(self) -> set[str]:
        """Return the names of hooks: the keys of `HOOKS`."""
        definition = self.types.definitions["keel.hooks.HOOKS"]
        return set(definition.keys)

    def _stands_for(self, name: str) -> set[str]:
        """Return the classes and protocols that an instance of a class may replace, and its own."""
        found = {*self.types.ancestors(name), *self.types.descendants(name)}
        return found | {protocol for protocol in self._protocols if self._fulfils(name, protocol)}

    @cached_property
    def _protocols(self) -> dict[str, set[str]]:
        found = {}
        for name, definition in self.types.definitions.items():
            if definition.kind == "class" and any(
                base and (base[1] if base[0] == "name" else base[1][1]).endswith(".Protocol")
                for base in definition.bases
            ):
                methods = set(self._members.get(name, ()))
                found[name] = {
                    member.rpartition(".")[2]
                    for member in methods
                    if self.types.definitions[member].kind == "method"
                }
        return found

    def _fulfils(self, name: str, protocol: str) -> bool:
        methods = self._protocols[protocol]
        return bool(methods) and all(self.types.member(name, method) for method in methods)

    def _is_mute(self, definition: Definition) -> bool:
        """Whether a method only stores attributes that nothing reads."""
        last = definition.name.rpartition(".")[2]
        if not definition.stores or last.startswith("__"):
            return False
        related = {*self.types.ancestors(definition.owner), *self.types.descendants(definition.owner)}
        return not any((each, slot) in self._slots for each in related for slot in definition.stores)
