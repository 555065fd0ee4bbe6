"""A new resource: what the templates of its modules are told."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from keel.ops.new.fields import Field
from keel.ops.new.names import pascal, variable, with_article
from keel.ops.new.samples import sample
from keel.ops.new.targets import Target, insertion

Columns = list[tuple[str, str]]
"""Names and types."""


@dataclass(frozen=True)
class Resource:
    """The names and fields of a resource, and whose its rows are."""

    singular: str
    plural: str
    fields: list[Field]
    owned: bool
    """Whether rows have an owner of their own."""

    parent: Target | None = None
    read_only: bool = False
    imports: set[str] = field(default_factory=set)
    """What its tests import besides, once they are rendered."""

    def __post_init__(self) -> None:
        """Find out what adds the rows that tests need."""
        for target in filter(None, (self.parent, *(each.target for each in self.made))):
            insertion(target, self.imports)

    @property
    def model(self) -> str:
        """The name of the classes."""
        return pascal(self.singular)

    @property
    def models(self) -> str:
        """The plural, as classes have it."""
        return pascal(self.plural)

    @property
    def var(self) -> str:
        """The variable of one row."""
        return variable(self.singular)

    @property
    def vars(self) -> str:
        """The variable of the service."""
        return variable(self.plural)

    @property
    def id(self) -> str:
        """The name of an id."""
        return f"{self.singular}_id"

    @property
    def parent_id(self) -> str:
        """The column that refers to the parent."""
        return f"{self.parent.singular}_id" if self.parent else ""

    @property
    def slug(self) -> str:
        """The singular in types of problems."""
        return self.singular.replace("_", "-")

    @property
    def slugs(self) -> str:
        """The plural in addresses."""
        return self.plural.replace("_", "-")

    @property
    def prefix(self) -> str:
        """The path of the router."""
        return f"/{self.parent.slugs}/{{{self.parent_id}}}/{self.slugs}" if self.parent else f"/{self.slugs}"

    @property
    def word(self) -> str:
        """The singular in a sentence."""
        return self.singular.replace("_", " ")

    @property
    def words(self) -> str:
        """The plural in a sentence."""
        return self.plural.replace("_", " ")

    @property
    def one(self) -> str:
        """The singular with its article."""
        return with_article(self.word)

    @property
    def One(self) -> str:  # noqa: N802 - as it is written
        """The same, at the beginning of a sentence."""
        return self.one[0].upper() + self.one[1:]

    @property
    def title(self) -> str:
        """The plural at the beginning of a sentence."""
        return self.words.capitalize()

    @property
    def CONSTANT(self) -> str:  # noqa: N802 - as it is written
        """The plural as constants have it."""
        return self.plural.upper()

    @property
    def whose(self) -> str:
        """The rows of a list, in a sentence."""
        if self.parent:
            return f"the {self.words} of {self.parent.one}"
        return f"an owner's {self.words}" if self.owned else self.words

    @property
    def caller(self) -> bool:
        """Whether rows depend on who is calling."""
        return self.owned or bool(self.parent and self.parent.owned)

    @property
    def scope(self) -> Columns:
        """The columns that choose the rows of a caller's list."""
        parent = [(self.parent_id, "UUID")] if self.parent else []
        return [*parent, *([("owner_id", "str")] if self.owned else [])]

    @property
    def where(self) -> str:
        """The same as keyword arguments in the service."""
        return "".join(f", {name}=self._{name}" for name, _ in self.scope)

    def limits(self, target: Target) -> Columns:
        """Return the columns that choose the rows which may be referred to."""
        return ([("owner_id", "str")] if target.owned else []) if target.module else self.scope

    @property
    def references(self) -> list[Field]:
        """Fields that refer to tables."""
        return [each for each in self.fields if each.target]

    @property
    def made(self) -> list[Field]:
        """Those of them whose rows the tests make first."""
        return [each for each in self.references if each.target and each.target.module]

    @property
    def targets(self) -> list[Target]:
        """Tables in other modules, each once."""
        found = filter(None, (self.parent, *(each.target for each in self.made)))
        return [*{target.table: target for target in found}.values()]

    @property
    def database(self) -> bool:
        """Whether the tests write to the database themselves."""
        return bool(self.made or self.parent or self.read_only)

    def inserted(self, target: Target) -> str:
        """Return an expression that adds a row to a table and has its id."""
        return insertion(target, set())

    @property
    def has_json(self) -> bool:
        """Whether there are objects of any shape, in which numbers have to be numbers."""
        return any(each.kind == "json" for each in self.fields)

    @property
    def unique(self) -> list[Field]:
        """Fields of which no two rows have the same value."""
        return [each for each in self.fields if each.unique]

    @property
    def same(self) -> str:
        """These in a sentence."""
        return " or ".join(each.label for each in self.unique)

    @property
    def taken(self) -> str:
        """The sentence that refuses a second row."""
        beginning = "You have" if self.owned and not self.parent else "There is"
        return f"{beginning} {self.one} with this {self.same} already."

    @property
    def optional(self) -> list[Field]:
        """Fields that may be left out."""
        return [each for each in self.fields if each.default]

    @property
    def filters(self) -> list[Field]:
        """Fields that lists are filtered by."""
        return [each for each in self.fields if each.filtered]

    @property
    def narrowing(self) -> list[Field]:
        """Those of them that rows in tests have a value of."""
        return [each for each in self.filters if not each.target or each.target.module]

    @cached_property
    def sorts(self) -> list[str]:
        """Names of orders, the default first: the first text, numbers, times, and what has an index."""
        able = [each for each in self.fields if each.sortable]
        texts = [each for each in able if each.kind == "str"]
        chosen = [each.name for each in able if each.index or each.kind != "str" or each is texts[0]]
        return chosen or ["id"]

    @property
    def constraints(self) -> list[str]:
        """Unique constraints and indexes."""
        return [*self._constraints()]

    def _constraints(self) -> Iterator[str]:
        scope = [name for name, _ in self.scope]
        indexed = [each.name for each in self.fields if each.index and not each.target]
        for each in self.unique:
            yield f"UniqueConstraint({_quoted([*scope, each.name])})"
        # `id` has an index of its own, and so has what refers to a table.
        for name in dict.fromkeys([*self.sorts[:1], *indexed]):
            columns = [name] if name == "id" else [name, "id"]
            if scope or name != "id":
                yield f"Index(None, {_quoted([*scope, *columns])})"

    @property
    def absent(self) -> list[tuple[str, str, bool]]:
        """The errors about what is referred to: classes, words, and whether that has owners."""
        found = {self.parent.model: (self.parent.word, self.parent.owned)} if self.parent else {}
        if not self.read_only:
            found |= {
                each.absent: (each.label, bool(each.target and self.limits(each.target)))
                for each in self.references
                if each.absent != self.model
            }
        return [(name, *rest) for name, rest in found.items()]

    @property
    def refusals(self) -> list[str]:
        """The errors of routes that create and change."""
        missing = [f"{each.absent}NotFound" for each in self.references]
        return [*dict.fromkeys([*missing, *([f"{self.model}Exists"] if self.unique else [])])]

    @property
    def errors(self) -> list[str]:
        """All errors that the router documents."""
        parent = [f"{self.parent.model}NotFound"] if self.parent else []
        refusals = [] if self.read_only else self.refusals
        return [*dict.fromkeys([f"{self.model}NotFound", *parent, *refusals])]

    def documented(self, *errors: str) -> str:
        """Return the argument of a route that documents errors."""
        return f", responses=responses({', '.join(dict.fromkeys(errors))})" if errors else ""

    @property
    def change(self) -> str:
        """A change of some fields, for a test: the first one that refers to nothing, and None where it may be."""
        plain = next((each for each in self.fields if not each.target), None)
        changed = [f'"{plain.name}": {sample(plain, 2)}'] if plain else []
        empty = [f'"{each.name}": None' for each in self.fields if each.nullable and each is not plain]
        return ", ".join(chain(changed, empty))


def _quoted(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
