"""Types of a project's expressions, inferred from annotations and assignments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.machinery.reachability.terms import Definition, Module, Term

#: ("module", name), ("class", name), ("inst", name), ("func", name, owner), ("gen", base, arguments),
#: ("bound", base, arguments, method), ("callable", term), ("ext",): of a library; ("unknown",).
Value = tuple[Any, ...]

EXTERNAL: Value = ("ext",)
UNKNOWN: Value = ("unknown",)
_MAPPINGS = {
    "dict", "Mapping", "MutableMapping", "defaultdict", "OrderedDict", "WeakKeyDictionary", "WeakValueDictionary",
}  # fmt: skip
_TRANSPARENT = {
    "Annotated",
    "ClassVar",
    "Final",
    "Mapped",
    "Awaitable",
    "Task",
    "Future",
    "Required",
    "NotRequired",
}
_UNIONS = {"Union", "Optional"}
_OPEN = {"typing.Any", "builtins.object", "builtins.Exception", "builtins.BaseException", "types.ModuleType"}
_CONTAINERS = _MAPPINGS | {
    "list", "tuple", "set", "frozenset", "deque", "Sequence", "MutableSequence", "Collection", "Iterable", "Counter",
}  # fmt: skip
#: Attributes of library objects that contain arbitrary values of the application.
_BAGS = {"obj", "state"}
_LIMIT = 25


class Types:
    """Evaluates terms over all modules."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        """Take every module by its name."""
        self.modules = modules
        self.definitions: dict[str, Definition] = {
            name: definition for module in modules.values() for name, definition in module.definitions.items()
        }
        self.subclasses: dict[str, set[str]] = {}
        self._known: dict[Any, frozenset[Value]] = {}
        self._bases: dict[str, tuple[list[str], bool]] = {}
        for name, definition in self.definitions.items():
            if definition.kind == "class":
                for base in self.bases(name)[0]:
                    self.subclasses.setdefault(base, set()).add(name)

    # --- Names and classes

    def resolve(self, dotted: str, depth: int = 0) -> str | None:
        """Return the definition or module of a dotted name; None for a library's."""
        if dotted in self.definitions:
            return dotted
        if depth > _LIMIT:
            return None
        head, _, tail = dotted.rpartition(".")
        if not head:
            return None
        parent = self.resolve(head, depth + 1)
        if parent and parent in self.modules:
            if f"{parent}.{tail}" in self.definitions:
                return f"{parent}.{tail}"
            imported = self.modules[parent].imports.get(tail)
            return self.resolve(imported, depth + 1) if imported and imported != dotted else None
        return f"{parent}.{tail}" if parent and f"{parent}.{tail}" in self.definitions else None

    def bases(self, name: str) -> tuple[list[str], bool]:
        """Return a class's bases in the project, and whether there are others with methods to override."""
        if name in self._bases:
            return self._bases[name]
        self._bases[name] = ([], False)
        own, external = [], False
        for base in self.definitions[name].bases:
            term = base[1] if base and base[0] == "gen" else base
            found = self.resolve(term[1]) if term else None
            if found:
                own.append(found)
            elif term and term[1].rpartition(".")[2] not in _HARMLESS:
                external = True
        self._bases[name] = (own, external)
        return self._bases[name]

    def ancestors(self, name: str) -> list[str]:
        """Return a class and its bases, nearest first."""
        found: list[str] = [name]
        for each in found:
            if each in self.definitions and self.definitions[each].kind == "class":
                found += [base for base in self.bases(each)[0] if base not in found]
        return found

    def descendants(self, name: str) -> set[str]:
        """Return the classes derived from a class."""
        found: set[str] = set()
        todo = [name]
        while todo:
            new = self.subclasses.get(todo.pop(), set()) - found
            found |= new
            todo += new
        return found

    def is_external(self, name: str) -> bool:
        """Whether a class has a direct or indirect base from a library with its own methods."""
        return any(self.bases(each)[1] for each in self.ancestors(name))

    def base_names(self, name: str) -> set[str]:
        """Return the last parts of the names of all bases."""
        terms = [base for each in self.ancestors(name) for base in self.definitions[each].bases]
        return {
            (term[1] if term[0] == "name" else term[1][1]).rpartition(".")[2]
            for term in terms
            if term and (term[0] == "name" or term[1])
        }

    def member(self, owner: str, attribute: str) -> str | None:
        """Return the definition of an attribute of a class, its own or inherited."""
        for each in self.ancestors(owner):
            if f"{each}.{attribute}" in self.definitions:
                return f"{each}.{attribute}"
        return None

    # --- Terms

    def values(self, term: Term, depth: int = 0) -> frozenset[Value]:
        """Return the possible values of a term."""
        if term is None or depth > _LIMIT:
            return frozenset({UNKNOWN})
        if term in self._known:
            return self._known[term]
        self._known[term] = frozenset({UNKNOWN})  # recursive terms are unknown
        found = frozenset(self._evaluate(term, depth + 1))
        self._known[term] = found or frozenset({UNKNOWN})
        return self._known[term]

    def _evaluate(self, term: tuple[Any, ...], depth: int) -> set[Value]:  # noqa: C901, PLR0911, PLR0912 - one for each form
        match term:
            case ("ext",):
                return {EXTERNAL}
            case ("name", dotted):
                return self._named(dotted, depth)
            case ("union", terms):
                return {value for each in terms for value in self.values(each, depth)}
            case ("self", owner):
                return {("inst", owner)}
            case ("cls", owner):
                return {("class", owner)}
            case ("super", owner):
                return {("inst", base) for base in self.bases(owner)[0]} or {EXTERNAL}
            case ("inst", annotation):
                return self.annotated(annotation, depth)
            case ("function", returns):
                return {("callable", returns)}
            case ("tuple", terms):
                return {("of", terms)}
            case ("attr", inner, name):
                return self._over(inner, depth, lambda value: self._attribute(value, name, depth))
            case ("call", inner, given):
                found = self._over(inner, depth, lambda value: self._called(value, depth))
                if found == {EXTERNAL} and any(self.values(each, depth) != {EXTERNAL} for each in given):
                    return {UNKNOWN}  # a library may return its argument, or the result of calling it
                return found
            case ("enter", inner):
                return self._over(inner, depth, lambda value: self._entered(value, depth))
            case ("elem", inner):
                return self._over(inner, depth, lambda value: self._element(value, depth, key=True))
            case ("item", inner):
                return self._over(inner, depth, lambda value: self._element(value, depth, key=False))
            case ("unpack", inner, position):
                return self._over(inner, depth, lambda value: self._unpacked(value, position, depth))
        return {UNKNOWN}

    def _over(self, inner: Term, depth: int, each: Any) -> set[Value]:  # noqa: ANN401 - a function of a value
        return {result for value in self.values(inner, depth) for result in each(value)}

    def _named(self, dotted: str, depth: int) -> set[Value]:
        found = self.resolve(dotted)
        if found is None:
            return {EXTERNAL}
        definition = self.definitions[found]
        if definition.kind == "constant":
            return set(self.values(definition.value, depth))
        kind = {"module": "module", "class": "class"}.get(definition.kind)
        return {(kind, found)} if kind else {("func", found, "")}

    def annotated(self, annotation: Term, depth: int) -> set[Value]:  # noqa: C901, PLR0911 - one for each form
        """Return the possible values of an instance of an annotation."""
        if annotation is None or depth > _LIMIT:
            return {UNKNOWN}
        if annotation[0] == "name":
            found = self.resolve(annotation[1])
            if found is None:
                if annotation[1] == "builtins.None":
                    return set()
                return {UNKNOWN} if annotation[1] in _OPEN else {EXTERNAL}
            definition = self.definitions[found]
            if definition.kind == "constant":
                return self.annotated(definition.annotation, depth + 1)
            return {("inst", found)} if definition.kind == "class" else {UNKNOWN}
        _, base, arguments = annotation
        last = base[1].rpartition(".")[2] if base else ""
        if last in _TRANSPARENT:
            return self.annotated(arguments[0], depth + 1)
        if last in _UNIONS:
            return {value for each in arguments for value in self.annotated(each, depth + 1)}
        if last == "type":
            return {
                ("class", value[1]) for value in self.annotated(arguments[0], depth + 1) if value[0] == "inst"
            }
        if last == "Callable":
            return {("callable", arguments[-1])}
        if last == "Coroutine":
            return self.annotated(arguments[-1], depth + 1)
        found = self.resolve(base[1]) if base else None
        if found:
            definition = self.definitions[found]
            return (
                {("inst", found)}
                if definition.kind == "class"
                else self.annotated(definition.annotation, depth + 1)
            )
        return {("gen", last, arguments)}

    def _attribute(self, value: Value, name: str, depth: int) -> set[Value]:  # noqa: C901, PLR0911 - one for each form
        match value:
            case ("ext",):
                return {UNKNOWN if name in _BAGS else EXTERNAL}
            case ("module", module):
                return self._named(f"{module}.{name}", depth)
            case ("gen", base, arguments) if base in _CONTAINERS:
                return {("bound", base, arguments, name)}
            case ("of", terms):
                return {("bound", "list", (), name)} if terms else {EXTERNAL}
            case ("inst" | "class" as kind, owner):
                if found := self.member(owner, name):
                    definition = self.definitions[found]
                    if definition.kind == "field":
                        return set(self.values(definition.value, depth))
                    if definition.kind == "class":
                        return {("class", found)}
                    if kind == "inst" and {"property", "cached_property"} & set(definition.decorators):
                        return self.annotated(definition.returns, depth + 1)
                    return {("func", found, owner)}
                for each in self.ancestors(owner):
                    if terms := self.definitions[each].slots.get(name):
                        return {found for term in terms for found in self.values(term, depth)}
                return {EXTERNAL} if self.bases(owner)[1] or self.is_external(owner) else {UNKNOWN}
        return {UNKNOWN}

    def _called(self, value: Value, depth: int) -> set[Value]:  # noqa: C901, PLR0911 - one for each form
        match value:
            case ("ext",):
                return {EXTERNAL}
            case ("class", owner):
                return {("inst", owner)}
            case ("callable", returns):
                return self.annotated(returns, depth + 1)
            case ("func", name, owner):
                returns = self.definitions[name].returns
                if returns and returns[0] == "name" and returns[1].endswith(".Self"):
                    return {("inst", owner)}
                return self.annotated(returns, depth + 1)
            case ("inst", owner) if found := self.member(owner, "__call__"):
                return self.annotated(self.definitions[found].returns, depth + 1)
            case ("bound", base, arguments, method):
                mapping = base in _MAPPINGS and len(arguments) > 1
                if mapping and method in {"get", "pop", "setdefault"}:
                    return self.annotated(arguments[1], depth + 1)
                if mapping and method == "values":
                    return {("gen", "list", arguments[1:])}
                if mapping and method == "items":
                    pair = ("gen", ("name", "builtins.tuple"), arguments)
                    return {("gen", "list", (pair,))}
                if not mapping and method in {"pop", "popleft", "get"} and arguments:
                    return self.annotated(arguments[0], depth + 1)
                return {EXTERNAL}
        return {UNKNOWN}

    def _entered(self, value: Value, depth: int) -> set[Value]:
        match value:
            case ("gen", _, arguments):
                return self.annotated(arguments[0], depth + 1)
            case ("inst", owner):
                for name in ("__enter__", "__aenter__"):
                    if found := self.member(owner, name):
                        return self._called(("func", found, owner), depth)
                return {value}
            case ("ext",):
                return {EXTERNAL}
        return {UNKNOWN}

    def _element(self, value: Value, depth: int, *, key: bool) -> set[Value]:
        match value:
            case ("gen", base, arguments):
                if base in _MAPPINGS and not key and len(arguments) > 1:
                    return self.annotated(arguments[1], depth + 1)
                if base == "tuple":
                    return {found for each in arguments for found in self.annotated(each, depth + 1)}
                return self.annotated(arguments[0], depth + 1)
            case ("of", terms):
                return {found for each in terms for found in self.values(each, depth)}
            case ("ext",):
                return {EXTERNAL}
        return {UNKNOWN}

    def _unpacked(self, value: Value, position: int, depth: int) -> set[Value]:
        match value:
            case ("gen", "tuple", arguments) if position < len(arguments):
                return self.annotated(arguments[position], depth + 1)
            case ("of", terms) if position < len(terms):
                return set(self.values(terms[position], depth))
        return self._element(value, depth, key=True)


#: Bases without methods that a class would override for the library to call.
_HARMLESS = {
    "Protocol", "Generic", "object", "Exception", "ABC", "StrEnum", "Enum", "IntEnum", "NamedTuple", "TypedDict",
    "BaseModel", "BaseSettings", "DeclarativeBase", "AsyncSession", "ValueError", "RuntimeError",
}  # fmt: skip
