"""SQL functions that work the same on every database."""

import json
from typing import Any

from sqlalchemy import ARRAY, JSON, ColumnElement, Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import String, TypeDecorator, TypeEngine


class _Strings(TypeDecorator[list[str]]):
    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(String() if dialect.name == "sqlite" else ARRAY(String))

    def process_result_value(self, value: Any, dialect: Dialect) -> list[str]:  # noqa: ARG002 - as SQLAlchemy calls it
        return json.loads(value) if isinstance(value, str) else value or []


class aggregate_list(FunctionElement[list[str]]):  # noqa: N801 - as SQLAlchemy's functions
    """Collect the strings of a group into a list, in no particular order; an empty group gives an empty list."""

    type = _Strings()
    inherit_cache = True

    def __init__(self, column: ColumnElement[str] | Any) -> None:
        super().__init__(column)


@compiles(aggregate_list, "sqlite")
def _on_sqlite(element: aggregate_list, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_group_array({compiler.process(element.clauses, **options)})"


@compiles(aggregate_list, "postgresql")
def _on_postgresql(element: aggregate_list, compiler: SQLCompiler, **options: Any) -> str:
    return f"array_agg({compiler.process(element.clauses, **options)})"
