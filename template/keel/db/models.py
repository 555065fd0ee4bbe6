"""Shared parts of all tables: the declarative base, names of constraints, timestamps in UTC."""

import enum
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, ClassVar, Literal

from sqlalchemy import DateTime, Dialect, Enum, MetaData
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from keel.hooks import PackageError

# SQLite keeps decimals as floating point numbers, which are exact to 15 digits.
warnings.filterwarnings("ignore", r"Dialect sqlite\S+ does \*not\* support Decimal objects natively")


IS_VIEW = "is_view"
"""Marks the model of a view: `__table_args__ = {"info": {"is_view": True}}`. Migrations create it, autogenerate does not."""

MAX_MEMBER = 32
"""The column length of an enumeration, so that a new member needs no migration."""


class UtcTimestamp(TypeDecorator[datetime]):
    """A time, stored in UTC and always read back with its zone (SQLite keeps none)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - as SQLAlchemy calls it
        """Refuse a datetime without a zone: it is ambiguous."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime needs a time zone")
        return value.astimezone(UTC) if value is not None else None

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Skip processing if the driver returns aware values: it would cost time for every row of a list."""
        return super().result_processor(dialect, coltype) if dialect.name == "sqlite" else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - as SQLAlchemy calls it
        """Restore the zone."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _texts(kind: type[enum.Enum]) -> list[str]:
    """Return the stored texts of an enumeration's members: their values, or their names if the values are not text."""
    return [member.value if isinstance(member.value, str) else member.name for member in kind]


class Base(DeclarativeBase):
    """Base of every model."""

    # Alembic can only change or drop a constraint whose name it knows.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: UtcTimestamp(),
        # As text: autogenerate misses changes to PostgreSQL's native enums.
        enum.Enum: Enum(enum.Enum, native_enum=False, length=MAX_MEMBER, values_callable=_texts),
        Literal: Enum(enum.Enum, native_enum=False, length=MAX_MEMBER),
    }

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a second model of a table, and explain what to do about a long member of an enumeration.

        Raises:
            PackageError: another model has the table (the message names both), or a member is too long.
        """
        table = cls.__dict__.get("__tablename__")
        if table in cls.metadata.tables:
            models = [m.class_ for m in cls.registry.mappers if m.local_table is cls.metadata.tables[table]]
            names = " and ".join(f"{model.__module__}.{model.__qualname__}" for model in [*models, cls])
            raise PackageError(f"Two models have the table `{table}`: {names}. Give yours another `__tablename__`.")
        try:
            super().__init_subclass__(**options)
        except ValueError as error:
            if "longest enum value" not in str(error):
                raise
            raise PackageError(
                f"{cls.__module__}.{cls.__qualname__}: a member of an enumeration has more than {MAX_MEMBER} characters. Make it "
                "shorter, or annotate the column `Mapped[str]`, with the enumeration only in the schema."
            ) from error


def _created_at(context: DefaultExecutionContext) -> datetime:
    return context.get_current_parameters()["created_at"]


class Timestamps:
    """Adds when a row was created and last updated."""

    created_at: Mapped[datetime] = mapped_column(default=partial(datetime.now, UTC))
    updated_at: Mapped[datetime] = mapped_column(default=_created_at, onupdate=partial(datetime.now, UTC))


def load_models(*roots: str) -> MetaData:
    """Import every module or package named `models` below some packages; return the metadata of all tables."""
    for root in roots:
        spec = find_spec(root)
        for folder in (spec.submodule_search_locations if spec else None) or ():
            for name in _models_in(root, Path(folder)):
                import_module(name)
    return Base.metadata


def _models_in(package: str, folder: Path) -> Iterator[str]:
    """Yield the names of modules, without importing packages: fixtures for tests change the environment."""
    for module in iter_modules([str(folder)]):
        name = f"{package}.{module.name}"
        if module.name == "models":
            yield name
        elif module.ispkg and module.name not in {"testing", "tests"}:
            yield from _models_in(name, folder / module.name)
