"""Detects schema changes that break consumers or publishers of another release.

Each package's published schemas are committed in its file `outbox.json`.
`python -m app kafka schemas --write` updates it, and a test of the platform compares.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from keel.kafka.cloudevents.event import Event

Schema = Mapping[str, Any]

_CONSTRAINTS = (
    *("maxLength", "maxItems", "maximum", "exclusiveMaximum", "maxProperties"),
    *("minLength", "minItems", "minimum", "exclusiveMinimum", "minProperties"),
    *("pattern", "format", "enum", "const", "additionalProperties"),
)


def file_of(package: str) -> Path:
    """Return the path of a package's published schemas."""
    return Path(str(files(package))) / "outbox.json"


def schemas(kinds: Iterable[type[Event]]) -> dict[str, Schema]:
    """Return the JSON schema of each event, by schema name, which includes the version."""
    return {kind.schema_name(): kind.model_json_schema(mode="serialization") for kind in kinds}


def read(path: Path) -> dict[str, Schema]:
    """Return the published schemas; empty if there is no file."""
    return orjson.loads(path.read_bytes()) if path.exists() else {}


def write(path: Path, published: Mapping[str, Schema]) -> None:
    """Store schemas as the published ones."""
    path.write_bytes(orjson.dumps(published, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")


def breaking_changes(before: Mapping[str, Schema], after: Mapping[str, Schema]) -> list[str]:
    """Describe each breaking change. Consumers of either release must be able to read events of both.

    A field may be added if it has a default. Any other change needs a new version.
    """
    found = []
    for name, old in before.items():
        if name not in after:
            found.append(f"{name} was removed, but topics may still contain its events")
        else:
            found += [f"{name}: {change}" for change in _compare("data", old, after[name], old, after[name])]
    return found


def _compare(place: str, old: Schema, new: Schema, old_root: Schema, new_root: Schema) -> Iterator[str]:
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    if _kind(old) != _kind(new):
        yield f"{place} changed from {_kind(old)} to {_kind(new)}"
        return
    for name in _CONSTRAINTS:
        one, other = old.get(name), new.get(name)
        if one != other and not _is_schema(one, other):
            yield f"{place}: {name} changed from {one} to {other}"
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, schema in before.items():
        if name in after:
            yield from _compare(f"{place}.{name}", schema, after[name], old_root, new_root)
        else:
            yield f"{place}.{name} was removed"
    for name in after.keys() - before.keys():
        if "default" not in after[name]:
            yield f"{place}.{name} is new and has no default"
    for name in ("items", "additionalProperties"):
        if _is_schema(old.get(name), new.get(name)):
            yield from _compare(f"{place}.{name}", old[name], new[name], old_root, new_root)
    old_choices, new_choices = old.get("anyOf", ()), new.get("anyOf", ())
    for number, (one, other) in enumerate(zip(old_choices, new_choices, strict=False)):
        yield from _compare(f"{place}[{number}]", one, other, old_root, new_root)


def _is_schema(*values: object) -> bool:
    return all(isinstance(value, dict) for value in values)


def _resolved(schema: Schema, root: Schema) -> Schema:
    """Resolve a reference to the schema's definitions."""
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    return root["$defs"][name] if name else schema


def _kind(schema: Schema) -> str:
    choices = schema.get("anyOf")
    return " or ".join(map(_kind, choices)) if choices else str(schema.get("type", schema.get("$ref", "anything")))
