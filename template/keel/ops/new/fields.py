"""The fields of a new resource, in the notation of the command line: `isbn:str(13):unique`, `published:date?`."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from keel.ops.new.names import NewError, Noun, alias, check_field, enumeration
from keel.ops.new.targets import Target, find_target

_FIELD = re.compile(
    r"(?P<name>[^:]+):(?P<kind>[a-z]+)(\((?P<arguments>[^()]*)\))?(?P<null>\?)?(?P<flags>(:[a-z]+)*)(?P<last>\?)?"
)
_MEMBER = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_KINDS: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("kinds.toml").read_text("utf-8"))
_INDEXABLE = 500
"""The longest string that fits into a PostgreSQL index and into a cursor."""


@dataclass(frozen=True)
class Field:
    """A field, and its text in each module."""

    resource: str
    """The name of the resource's class."""

    name: Noun
    kind: str
    arguments: tuple[str, ...] = ()
    nullable: bool = False
    unique: bool = False
    index: bool = False
    target: Target | None = None

    @property
    def short(self) -> Noun:
        """The name, or for a reference that of its target."""
        return Noun(self.name.removesuffix("_id")) if self.target else self.name

    @property
    def label(self) -> str:
        """The name in a sentence."""
        return self.short.words

    @property
    def bounds(self) -> tuple[int, int]:
        """The shortest and longest string, or the digits and decimal places of a number."""
        usual_low, usual_high = _KINDS[self.kind].get("bounds", (0, 0))
        match [*map(int, self.arguments)] if "bounds" in _KINDS[self.kind] else []:
            case [low, high]:
                return (low, high)
            case [one]:
                return (one, usual_high) if self.kind == "decimal" else (usual_low, one)
        return (usual_low, usual_high)

    def written(self, what: str) -> str:
        """Return an entry of `kinds.toml` for the type of the field, with its bounds."""
        low, high = self.bounds
        return _KINDS[self.kind].get(what, "").format(low=low, high=high, number="{number}")

    @property
    def python(self) -> str:
        """The type in the model and in responses."""
        return self.written("python") or enumeration(self.resource, self.name)

    @property
    def annotation(self) -> str:
        """The type, with None if the field is optional."""
        return f"{self.python} | None" if self.nullable else self.python

    @property
    def column(self) -> str:
        """The text after the annotation in the model."""
        column = self.written("column")
        if self.target:
            rule = "SET NULL" if self.nullable else "RESTRICT"
            column = f'ForeignKey({self.target.key}, ondelete="{rule}"), index=True'
        return f" = mapped_column({column})" if column else ""

    @property
    def body(self) -> str:
        """The type in requests."""
        return self.written("body") or self.python

    @property
    def alias(self) -> str | None:
        """The name for the type in requests, if it is more than a name."""
        return alias(self.resource, self.name) if self.body.startswith("Annotated") else None

    @property
    def sent(self) -> str:
        """The type's name in the schemas."""
        return self.alias or self.body

    @property
    def default(self) -> str | None:
        """The value of an omitted field in a new row; None if the field is required."""
        if self.nullable:
            return "None"
        return f"{self.python}.{self.members[0][0]}" if self.members else {"bool": "False"}.get(self.kind)

    @property
    def filtered(self) -> bool:
        """Whether a list may be filtered by it."""
        return self.index or self.kind in {"bool", "enum", "ref"}

    @property
    def sortable(self) -> bool:
        """Whether a list may be sorted by it, if it is the first of its kind or has an index."""
        return self.kind in {"int", "decimal", "date", "datetime"} or (
            self.kind == "str" and self.bounds[1] <= _INDEXABLE
        )

    def sample(self, number: int | None = None) -> str:
        """Return an expression for a JSON value, for a number or for the variable `number`."""
        value = "number" if number is None else str(number)
        if self.members:
            return f"[*models.{self.python}][{value} % {len(self.members)}]"
        if expression := _KINDS[self.kind].get("sample"):
            return expression.format(number=value)
        return f'f"{self._text}"' if number is None else f'"{self._text.format(number=number)}"'

    @property
    def _text(self) -> str:
        """A text that contains the number."""
        low, high = self.bounds
        if self.kind == "decimal":
            return f"{{number}}.{'5':0<{high}}" if high else "{number}"
        if self.kind in {"str", "text"}:
            label = f"{self.label.capitalize()} "
            return f"{label}{{number}}" if low <= len(label) + 1 <= high else f"{{number:0{max(low, 1)}}}"
        return self.written("text")

    @property
    def wrong(self) -> str:
        """An expression for a value that is refused: too long, too precise, or of another type."""
        low, high = self.bounds
        if self.kind == "decimal":
            return f'"1.{"9" * (high + 1)}"'
        return f'"x" * {high + 1}' if high and not low else self.written("wrong")

    @property
    def absent(self) -> str:
        """The JSON value of an omitted optional field."""
        if self.nullable:
            return "None"
        return f'"{self.members[0][1]}"' if self.members else "False"

    @cached_property
    def members(self) -> list[tuple[str, str]]:
        """The names and values of an enumeration."""
        names = self.arguments if self.kind == "enum" else ()
        return [(name.upper().replace("-", "_"), name) for name in names]


def parse(texts: Sequence[str], resource: str, *, taken: Sequence[str], plural: str) -> list[Field]:
    """Read the fields of a resource.

    Args:
        texts: the arguments of the command line.
        resource: the name of the resource's class.
        taken: names of columns that it has anyway.
        plural: its table, which a field may refer to.

    Raises:
        NewError: a field can't be parsed, or is not possible; the message says what to change.
    """
    fields: list[Field] = []
    for text in texts:
        field = _parse(text, resource, plural)
        check_field(field.name, [*taken, *(each.name for each in fields)], filtered=field.filtered)
        fields.append(field)
    if not fields:
        raise NewError("Name at least one field, such as title:str.")
    return fields


def _parse(text: str, resource: str, plural: str) -> Field:
    found = _FIELD.fullmatch(text)
    if found is None:
        raise NewError(f"`{text}` is not a field; write it as in title:str, isbn:str(13):unique or published:date?.")
    nullable = bool(found["null"] or found["last"])
    kind, flags = found["kind"], [*filter(None, (found["flags"] or "").split(":"))]
    if kind not in _KINDS:
        raise NewError(f"`{text}`: there is no type `{kind}`; there are {', '.join(_KINDS)}.")
    if unknown := set(flags) - {"unique", "index"}:
        raise NewError(f"`{text}`: there is no `:{min(unknown)}`; there are :unique and :index.")
    arguments = tuple(part.strip() for part in found["arguments"].split(",")) if found["arguments"] else ()
    name, target = Noun(found["name"]), None
    if kind == "ref":
        target = find_target(text, arguments, resource, plural, nullable=nullable)
        name = name if name.endswith("_id") else Noun(f"{name}_id")
    field = Field(resource, name, kind, arguments, nullable, "unique" in flags, "index" in flags, target)
    _check(text, field)
    return field


def _check(text: str, field: Field) -> None:
    """Refuse options that a type can't have."""
    if field.kind == "enum":
        if not all(_MEMBER.fullmatch(name) and len(name) <= 32 for name in field.arguments):  # noqa: PLR2004 - the column's
            raise NewError(f"`{text}`: members are lower-case words of at most 32 letters, as in enum(available,lent).")
        if len({name for name, _ in field.members}) < max(2, len(field.arguments)):
            raise NewError(f"`{text}`: an enumeration needs at least two members, each once.")
    elif field.kind in {"str", "text", "decimal"}:
        if not all(argument.isascii() and argument.isdigit() for argument in field.arguments):
            raise NewError(f"`{text}`: write limits as numbers, as in str(13), str(2,50) or decimal(10,2).")
        low, high = field.bounds
        most = {"str": 10_000, "text": 10_000_000}.get(field.kind)
        limits = {"str": 2, "text": 1, "decimal": 2}[field.kind]
        if len(field.arguments) > limits or (most and not low <= high <= most) or (most and high < 1):
            raise NewError(f"`{text}`: the lengths must be in order, and at most {most}.")
        # SQLite keeps decimals as floating point numbers.
        if field.kind == "decimal" and not (0 <= high < low <= 15):  # noqa: PLR2004
            raise NewError(f"`{text}`: a decimal has at most 15 digits, fewer of them after the point.")
    elif field.arguments and field.kind != "ref":
        raise NewError(f"`{text}`: {field.kind} takes nothing in brackets.")
    long = field.kind in {"text", "json"} or (field.kind == "str" and field.bounds[1] > _INDEXABLE)
    if (field.unique or field.index) and long:
        raise NewError(f"`{text}`: this may be too long for an index; take str of at most {_INDEXABLE} letters.")
    if field.unique and field.kind in {"bool", "enum"}:
        raise NewError(f"`{text}`: so few values can't be unique.")
