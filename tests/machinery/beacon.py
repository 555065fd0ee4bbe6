"""A made-up feature, added to a clone of the template by the steps in CONTRIBUTING."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.machinery.checkout import insert_before, replace
from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NAME = "beacon"
#: A distribution that no other feature needs; the shared environment includes it.
DEPENDENCY = "humanize>=4.9"

_QUESTION = """\
beacon:
  type: bool
  help: Add beacons?
  default: "{{ preset == 'everything' }}"

"""
_MANIFEST = """\
  - |
    {% if beacon is defined and not beacon %}
    /keel/beacon
    /keel/tests/beacon
    /keel/docs/features/beacon.md
    {% endif %}
"""
_DEPENDENCY = f"""\
{{% if beacon %}}
    # Beacon
    "{DEPENDENCY}",
{{% endif %}}
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
_EXAMPLE = "{% if beacon %}\n\n# Beacon\n# BEACON_COLOUR=white\n{% endif %}\n"
_DROP = """\
{% if beacon %}
    op.drop_table("beacons")
{% endif %}
"""


def add_beacon(repository: Path, name: str = NAME, *, always: bool = False) -> None:
    """Add the question, the manifest, the package, and the entries in the seams.

    With `always` there is no question: every project gets the package.
    """
    copy_package(repository / "template", name)
    if not always:
        _ask(repository, name, _QUESTION)
    for path, before, text in _places(repository / "template", name):
        insert_before(path, before, _unconditional(text) if always else text)


def make_toggle(repository: Path, name: str = NAME) -> None:
    """Turn a part of every project into a toggle.

    Every preset suggests it: `copier update --defaults` asks nothing, and must remove nothing. A question can't
    know whether it is asked for a new project; `_copier_operation` is only available in `_exclude`.
    """
    suggested = "preset == 'everything'"
    _ask(repository, name, _QUESTION.replace(suggested, "preset is defined"))
    for path, before, text in _places(repository / "template", name):
        replace(path, _unconditional(text) + before, text + before)


def _ask(repository: Path, name: str, question: str) -> None:
    insert_before(repository / "copier.yml", "ci:\n  type", _named(question, name))
    insert_before(
        repository / "copier.yml",
        "  - |\n    {% if ci is defined and ci != 'github'",
        _named(_MANIFEST, name),
    )


def _places(template: Path, name: str) -> list[tuple[Path, str, str]]:
    """Return files, the text before which to insert, and the text to insert."""
    (first,) = (template / "migrations" / "versions").glob("0001_*")
    revision = first if first.suffix == ".jinja" else first.rename(f"{first}.jinja")
    places = [
        (template / "keel" / "features.py.jinja", "\n] | select | list %}\n", ' "beacon" if beacon,'),
        (template / "pyproject.toml.jinja", "    # Yours: `uv add` puts", _DEPENDENCY),
        (template / "compose.yaml.jinja", "  # Your own volumes go below this line.", _VOLUME),
        (template / "compose.yaml.jinja", "\n  # Your own services go below this line.", _SERVICE),
        (template / ".env.example.jinja", "{% if database == 'sqlite' %}", _EXAMPLE),
        (revision, "\n\ndef downgrade() -> None:", _TABLE),
        (revision, '    op.drop_table("note_tags")', _DROP),
    ]
    return [(path, before, _named(text, name)) for path, before, text in places]


def _unconditional(text: str) -> str:
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("{%")]
    return re.sub(r" if \w+,", ",", "".join(lines))


def copy_package(template: Path, name: str) -> None:
    """Copy the package, its tests and its page, under a name."""
    source = ROOT / "tests" / "data" / NAME
    for path in (path for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        target = template / _named(path.relative_to(source).as_posix(), name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_named(path.read_text(encoding="utf-8"), name), encoding="utf-8")


def _named(text: str, name: str) -> str:
    for form in (str.lower, str.capitalize, str.upper):
        text = text.replace(form(NAME), form(name))
    return text
