"""Tables without a model, such as those of a feature that was switched off: only a migration drops them."""

import sys
from collections.abc import Collection
from typing import Any

from alembic.operations import MigrationScript
from alembic.operations.ops import DropTableOp
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, Table, inspect, select, true
from sqlalchemy.schema import sort_tables

from keel.db.models import IS_VIEW

_KEPT = """
These tables have no model. They stay, with their rows:
{tables}
To drop them with all their rows, generate a migration, review it, and apply it:
    uv run alembic -x drop={names} revision --autogenerate --message "drop old tables"
"""
_DROPPED = """
WARNING: the migration DROPS these tables with all their rows. Keep a backup: nothing else can restore them:
{tables}
"""


class OrphanedTables:
    """Decides about such tables while autogenerate compares a database with the models, and reports them."""

    def __init__(self, connection: Connection, metadata: MetaData, named: Collection[str]) -> None:
        """Take the database, the models, and the tables to drop.

        Raises:
            CommandError: one of them does not exist, or has a model.
        """
        self._connection = connection
        self._named = frozenset(named)
        self._found: list[Table] = []
        if wrong := self._named & metadata.tables.keys():
            raise CommandError(f"There is a model of {_listed(wrong)}: it would be recreated. Remove the model first.")
        if wrong := self._named and self._named.difference(inspect(connection).get_table_names()):
            raise CommandError(f"There is no table {_listed(wrong)}.")

    def include(self, item: Any, _: str | None, kind: str, reflected: bool, compared: Any) -> bool:  # noqa: FBT001 - by Alembic
        """Exclude tables without a model, unless they were named, and models of views."""
        if kind == "table" and item.info.get(IS_VIEW):
            return False
        if kind != "table" or not reflected or compared is not None:
            return True
        self._found.append(item)
        return item.name in self._named

    def sort(self, scripts: Collection[MigrationScript]) -> None:
        """Drop tables before those they refer to: autogenerate has no particular order."""
        order = [table.name for table in sort_tables(self._found)]
        for script in scripts:
            for there, back in zip(script.upgrade_ops_list, script.downgrade_ops_list, strict=True):
                drops = [each for each in there.ops if isinstance(each, DropTableOp)]
                drops.sort(key=lambda drop: order.index(drop.table_name), reverse=True)
                there.ops[:] = [*(each for each in there.ops if not isinstance(each, DropTableOp)), *drops]
                there.reverse_into(back)

    def report(self) -> None:
        """Report on standard error which tables stay, which are dropped, and which of them have rows."""
        for text, tables in (
            (_KEPT, [table for table in self._found if table.name not in self._named]),
            (_DROPPED, [table for table in self._found if table.name in self._named]),
        ):
            if tables:
                width = max(len(table.name) for table in tables)
                lines = [f"    {table.name:{width}}  {self._state(table)}" for table in tables]
                names = ",".join(table.name for table in tables)
                print(text.format(tables="\n".join(lines), names=names), file=sys.stderr)

    def _state(self, table: Table) -> str:
        one = self._connection.execute(select(true()).select_from(table).limit(1)).first()
        return "holds rows" if one else "is empty"


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
