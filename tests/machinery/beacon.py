"""A made-up feature, added to a clone of the template as CONTRIBUTING says that features are added."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.machinery.checkout import insert_before, replace
from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NAME = "beacon"

_QUESTION = """\
beacon:
  type: bool
  help: Add beacons?
  default: "{{ preset == 'everything' }}"

"""
_MANIFEST = """\
  - |
    {% if beacon is defined and not beacon %}
    /app/beacon
    /tests/beacon
    /docs/features/beacon.md
    {% endif %}
"""
_DEPENDENCY = """\
{% if beacon %}
    # Beacon
    "humanize>=4.9",
{% endif %}
"""
_VOLUME = """\
{% if beacon %}
  beacon:
{% endif %}
"""
_SERVICE = """\
{% if beacon %}

  beacon:
    image: nginx:1.29
    volumes:
      - beacon:/usr/share/nginx/html
{% endif %}
"""
_TABLE = """\
{% if beacon %}
    op.create_table(
        "beacons",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("candela", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_beacons"),
    )
    op.create_index("ix_beacons_owner_id", "beacons", ["owner_id"])
{% endif %}
"""
_DROP = """\
{% if beacon %}
    op.drop_table("beacons")
{% endif %}
"""


def add_beacon(repository: Path) -> None:
    """Add the question, the manifest, the package, and the entries in the seams."""
    template = repository / "template"
    shutil.copytree(ROOT / "tests" / "data" / NAME, template, dirs_exist_ok=True)
    insert_before(repository / "copier.yml", "ci:\n  type", _QUESTION)
    insert_before(repository / "copier.yml", "  - |\n    {% if ci is defined", _MANIFEST)
    features = template / "app" / "features.py.jinja"
    replace(features, '"notes"]', '"beacon" if beacon, "notes"]')
    insert_before(template / "pyproject.toml.jinja", "    # Yours: `uv add` puts", _DEPENDENCY)
    insert_before(template / "compose.yaml.jinja", "  # Your own volumes go below this line.", _VOLUME)
    insert_before(template / "compose.yaml.jinja", "\n  # Your own services go below this line.", _SERVICE)
    example = template / ".env.example.jinja"
    example.write_text(
        example.read_text(encoding="utf-8")
        + "{% if beacon %}\n\n# Beacon\n# BEACON_COLOUR=white\n{% endif %}\n",
        encoding="utf-8",
    )
    (first,) = (template / "migrations" / "versions").glob("0001_*")
    revision = first if first.suffix == ".jinja" else first.rename(f"{first}.jinja")
    insert_before(revision, "\n\ndef downgrade() -> None:", _TABLE)
    insert_before(revision, '    op.drop_table("note_tags")', _DROP)
