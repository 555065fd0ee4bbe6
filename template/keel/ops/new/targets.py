"""The tables that a new resource refers to, from their models."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Column, String, Table
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from keel.db.models import Base, load_models
from keel.ops.new.names import NewError, Noun, singular_of

_RANDOM = 8
"""The length from which random hexadecimal digits do not repeat."""

_SAMPLES: dict[type, str] = {
    bool: "False",
    int: "1",
    Decimal: "Decimal(1)",
    float: "1.0",
    datetime: "datetime(2026, 1, 1, tzinfo=UTC)",
    date: "date(2026, 1, 1)",
    UUID: "uuid4()",
    dict: "{}",
    list: "[]",
    bytes: 'b""',
}


@dataclass(frozen=True)
class Target:
    """A table that a field refers to."""

    table: Noun
    module: str
    """The module of its model; empty for that of the new resource."""

    model: str
    owned: bool

    @property
    def key(self) -> str:
        """The column that a foreign key refers to."""
        return f"{self.model}.id" if self.module else f'"{self.table}.id"'

    @property
    def singular(self) -> Noun:
        """The name of one row."""
        return singular_of(self.table)


def find_target(text: str, arguments: Sequence[str], resource: str, plural: str, *, nullable: bool = False) -> Target:
    """Return the table that a reference names.

    Raises:
        NewError: there is none, or it can't be referred to.
    """
    if len(arguments) != 1:
        raise NewError(f"`{text}`: name one table, as in ref(authors).")
    table = Noun(arguments[0])
    if table == plural:
        if not nullable:
            raise NewError(f"`{text}`: the first row would have nothing to refer to; write ref({table})?.")
        return Target(table, "", resource, owned=False)
    model = _model_of(table)
    if model is None:
        raise NewError(f"`{text}`: there is no table `{table}`.")
    if model.__module__.startswith("keel."):
        raise NewError(f"`{text}`: `{table}` is Keel's; rows belong to callers by their owner_id.")
    if model.__name__ == resource:
        raise NewError(f"`{text}`: {model.__module__} has a class {resource}, too; give the new resource another name.")
    key = _columns(model).get("id")
    if key is None or key.type.python_type is not UUID:
        raise NewError(f"`{text}`: `{table}` has no `id` that is a UUID.")
    owned = "owner_id" in _columns(model)
    if not owned and (above := [name for name, column in _columns(model).items() if _belongs(column)]):
        raise NewError(f"`{text}`: rows of `{table}` belong to others by {above[0]}; refer to those.")
    return Target(table, model.__module__, model.__name__, owned)


def insertion(target: Target, imports: set[str]) -> str:
    """Return an expression that adds a row to a table and evaluates to its id; add its imports."""
    model = _model_of(target.table)
    if model is None:
        raise NewError(f"There is no table `{target.table}`.")
    imports |= {f"from {target.module} import {target.model}"}
    values = ["session", target.model]
    for name, column in _columns(model).items():
        if name == "owner_id":
            values.append("owner_id=owner_id")
        elif not (column.nullable or column.default or column.server_default or name == "id"):
            values.append(f"{name}={_sample(column, imports)}")
    return f"(await insert_one({', '.join(values)})).id"


def _columns(model: type[Base]) -> ReadOnlyColumnCollection[str, Column[Any]]:
    return cast("Table", model.__table__).columns


def _belongs(column: Column[Any]) -> bool:
    return not column.nullable and any(key.ondelete == "CASCADE" for key in column.foreign_keys)


def _sample(column: Column[Any], imports: set[str]) -> str:
    """Return an expression for the value of a required column."""
    for key in column.foreign_keys:
        table = key.column.table.name
        model = _model_of(table)
        if model is not None:
            return insertion(Target(Noun(table), model.__module__, model.__name__, owned=False), imports)
    kind = column.type.python_type
    if isinstance(column.type, String) and not issubclass(kind, Enum):
        length = column.type.length or 32
        if length >= _RANDOM:
            return f"uuid4().hex[:{length}]"
        imports.add("from itertools import count")
        return f'f"{{next(NUMBERS):0{length}x}}"[-{length}:]'
    if issubclass(kind, Enum):
        imports |= {f"from {kind.__module__} import {kind.__name__}"}
        return f"{kind.__name__}.{next(iter(kind)).name}"
    return _SAMPLES.get(kind, '""')


def _model_of(table: str) -> type[Base] | None:
    load_models("keel", "app")
    return next((each.class_ for each in Base.registry.mappers if getattr(each.local_table, "name", "") == table), None)
