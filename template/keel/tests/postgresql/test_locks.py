"""Migrations that would keep an application from working while they run are found before they are merged.

The first revision is left out: it finds no tables, so none is in use. Where a migration must do what is found, since
you know that the table is small or that no code uses the column any more, it says so: `# accepted: ban-drop-column`.
"""

import os
import re
import subprocess
import sysconfig
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from keel.about import ROOT
from keel.db.database import Database
from keel.postgresql.engines import open_database
from keel.postgresql.settings import PostgresqlSettings

SQUAWK = Path(sysconfig.get_path("scripts")) / "squawk"
ACCEPTED = re.compile(r"#\s*accepted: ([\w, -]+)")
#: Matters of taste; time limits and transactions, which every migration is given by its connection.
IRRELEVANT = (
    "ban-char-field",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",
    "prefer-text-field",
    "require-lock-timeout",
    "require-statement-timeout",
    "transaction-nesting",
)


def later_revisions() -> list[Script]:
    """Return every revision except the first."""
    revisions = ScriptDirectory.from_config(Config(toml_file=ROOT / "pyproject.toml")).walk_revisions()
    return [revision for revision in revisions if revision.down_revision is not None]


def findings(sql: str, accepted: str = "") -> list[str]:
    """Return the linter's findings in statements that run in one transaction."""
    excluded = [f"--exclude={rule}" for rule in (*IRRELEVANT, *re.findall(r"[\w-]+", accepted))]
    arguments = [
        SQUAWK,
        "--reporter=gcc",
        "--assume-in-transaction",
        "--pg-version=15",
        "--no-error-on-unmatched-pattern",
    ]
    result = subprocess.run(  # noqa: S603 - our own command
        [*arguments, *excluded], input=sql, capture_output=True, text=True, check=False, env={"PATH": os.defpath}
    )
    return [line for line in result.stdout.splitlines() if "warning:" in line or "error:" in line]


def test_no_migration_blocks_a_table_in_use() -> None:
    """No revision after the first rewrites a table, takes a long lock, or breaks running code."""
    config = Config(toml_file=ROOT / "pyproject.toml", stdout=StringIO())
    config.attributes["database"] = open_database(PostgresqlSettings())
    for revision in later_revisions():
        config.output_buffer = StringIO()
        with redirect_stdout(config.output_buffer):
            command.upgrade(config, f"{revision.down_revision}:{revision.revision}", sql=True)
        accepted = ",".join(ACCEPTED.findall(Path(revision.path).read_text(encoding="utf-8")))
        assert findings(config.output_buffer.getvalue(), accepted) == [], revision.path


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE widgets ADD COLUMN pinned BOOLEAN NOT NULL;", "adding-required-field"),
        ("ALTER TABLE widgets ALTER COLUMN version TYPE BIGINT;", "changing-column-type"),
        ("ALTER TABLE widgets DROP COLUMN body;", "ban-drop-column"),
        ("CREATE INDEX ix_widgets_body ON widgets (body);", "require-concurrent-index-creation"),
    ],
)
def test_the_linter_works(statement: str, rule: str) -> None:
    """It finds a fault, and accepts what is marked as accepted."""
    found = findings(statement)

    assert [rule in line for line in found] == [True]
    assert findings(statement, rule) == []


def test_matters_of_taste_are_accepted() -> None:
    """A table may have the columns that SQLAlchemy makes of common types."""
    columns = "id BIGSERIAL PRIMARY KEY, rank SMALLINT, count INTEGER, code CHAR(2), name VARCHAR(40)"

    assert findings(f"CREATE TABLE widgets ({columns});") == []


async def test_a_migration_does_not_wait_long_for_a_table(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives up, rather than block every later statement."""
    monkeypatch.setenv("DATABASE_LOCK_TIMEOUT", "0.2")
    engine = open_database(PostgresqlSettings.load()).migrator()
    async with engine.begin() as connection:
        shown = (await connection.exec_driver_sql("SHOW lock_timeout")).scalar()
    await engine.dispose()

    assert shown == "200ms"
