"""Tables that no model describes, such as those of a feature that was switched off: only a migration drops them."""

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
No model describes these tables. They stay as they are, and so do their rows:
{tables}
To drop them with all that is in them, write a migration that does, read it, and apply it:
    uv run alembic -x drop={names} revision --autogenerate --message "drop old tables"
"""
_DROPPED = """
WARNING: the migration DROPS these tables with all that is in them. Keep a backup; only that brings rows back:
{tables}
"""


class OrphanedTables:
    """Decides about such tables while autogenerate compares a database with the models, and says so."""

    def __init__(self, connection: Connection, metadata: MetaData, named: Collection[str]) -> None:
        """Take the database, the models, and the tables that shall be dropped.

        Raises:
            CommandError: one of them does not exist, or has a model.
        """
        self._connection = connection
        self._named = frozenset(named)
        self._found: list[Table] = []
        if wrong := self._named & metadata.tables.keys():
            raise CommandError(f"There is a model of {_listed(wrong)}: it would be made again. Remove the model first.")
        if wrong := self._named and self._named.difference(inspect(connection).get_table_names()):
            raise CommandError(f"There is no table {_listed(wrong)}.")

    def include(self, item: Any, _: str | None, kind: str, reflected: bool, compared: Any) -> bool:  # noqa: FBT001 - by Alembic
        """Leave out a table that has no model, unless it was named, and a model of a view."""
        if kind == "table" and item.info.get(IS_VIEW):
            return False
        if kind != "table" or not reflected or compared is not None:
            return True
        self._found.append(item)
        return item.name in self._named

    def sort(self, scripts: Collection[MigrationScript]) -> None:
        """Drop tables that refer to others before these: autogenerate has them in any order."""
        order = [table.name for table in sort_tables(self._found)]
        for script in scripts:
            for there, back in zip(script.upgrade_ops_list, script.downgrade_ops_list, strict=True):
                drops = [each for each in there.ops if isinstance(each, DropTableOp)]
                drops.sort(key=lambda drop: order.index(drop.table_name), reverse=True)
                there.ops[:] = [*(each for each in there.ops if not isinstance(each, DropTableOp)), *drops]
                there.reverse_into(back)

    def report(self) -> None:
        """Say on standard error which tables stay, which are dropped, and which of them hold rows."""
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
