"""A new resource: the context of the templates."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from keel.ops.new.fields import Field
from keel.ops.new.names import Noun
from keel.ops.new.targets import Target, insertion

Columns = list[tuple[str, str]]
"""Names and types."""


@dataclass(frozen=True)
class Resource:
    """The names and fields of a resource, and the ownership of its rows."""

    singular: Noun
    plural: Noun
    fields: list[Field]
    owned: bool
    """Whether each row has an owner."""

    parent: Target | None = None
    read_only: bool = False
    imports: set[str] = field(default_factory=set)
    """Additional imports of its tests, known once they are rendered."""

    def __post_init__(self) -> None:
        """Find the expressions that add rows for tests."""
        for target in filter(None, (self.parent, *(each.target for each in self.made))):
            insertion(target, self.imports)

    @property
    def parent_id(self) -> str:
        """The column that refers to the parent."""
        return f"{self.parent.singular}_id" if self.parent else ""

    @property
    def whose(self) -> str:
        """The rows of a list, in a sentence."""
        if self.parent:
            return f"the {self.plural.words} of {self.parent.singular.one}"
        return f"an owner's {self.plural.words}" if self.owned else self.plural.words

    @property
    def caller(self) -> bool:
        """Whether rows depend on the caller."""
        return self.owned or bool(self.parent and self.parent.owned)

    @property
    def scope(self) -> Columns:
        """The columns that select the rows of a caller's list."""
        parent = [(self.parent_id, "UUID")] if self.parent else []
        return [*parent, *([("owner_id", "str")] if self.owned else [])]

    @property
    def where(self) -> str:
        """The same as keyword arguments in the service."""
        return "".join(f", {name}=self._{name}" for name, _ in self.scope)

    def limits(self, target: Target) -> Columns:
        """Return the columns that select the rows of a target that may be referred to."""
        return ([("owner_id", "str")] if target.owned else []) if target.module else self.scope

    @property
    def references(self) -> list[Field]:
        """Fields that refer to tables."""
        return [each for each in self.fields if each.target]

    @property
    def made(self) -> list[Field]:
        """References whose rows the tests create first."""
        return [each for each in self.references if each.target and each.target.module]

    @property
    def targets(self) -> list[Target]:
        """Tables in other modules, each once."""
        found = filter(None, (self.parent, *(each.target for each in self.made)))
        return [*{target.table: target for target in found}.values()]

    def inserted(self, target: Target) -> str:
        """Return an expression that adds a row to a table and evaluates to its id."""
        return insertion(target, set())

    @property
    def unique(self) -> list[Field]:
        """Fields with a unique value in each row."""
        return [each for each in self.fields if each.unique]

    @property
    def filters(self) -> list[Field]:
        """Fields that lists are filtered by."""
        return [each for each in self.fields if each.filtered]

    @cached_property
    def sorts(self) -> Sequence[str]:
        """Names of orders, the default first: the first text, number and time field, and indexed fields."""
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
        # `id` and references have their own indexes.
        for name in dict.fromkeys([*self.sorts[:1], *indexed]):
            columns = [name] if name == "id" else [name, "id"]
            if scope or name != "id":
                yield f"Index(None, {_quoted([*scope, *columns])})"


def _quoted(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
