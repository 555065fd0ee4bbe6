"""The schema of a database in a comparable form, independent of its migrations."""

from __future__ import annotations

from typing import Any

from tests.machinery.databases import query

_SQLITE = (
    """
    SELECT m.name, c.name, c.type, c."notnull", c.pk
    FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'
    """,
    """
    SELECT m.name, i.name, i."unique", c.name, c.seqno
    FROM sqlite_master m, pragma_index_list(m.name) i, pragma_index_info(i.name) c WHERE m.type = 'table'
    """,
    """
    SELECT m.name, f."table", f."from", f."to", f.on_delete
    FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'
    """,
)
_POSTGRESQL = (
    """
    SELECT table_name, column_name, data_type, is_nullable, character_maximum_length
    FROM information_schema.columns WHERE table_schema = 'public'
    """,
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
)


def schema(url: str) -> list[tuple[Any, ...]]:
    """Return tables, columns, indexes and keys."""
    statements = _SQLITE if url.startswith("sqlite") else _POSTGRESQL
    return sorted((row for statement in statements for row in query(url, statement)), key=repr)
