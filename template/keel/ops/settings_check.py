"""Differences between the settings that are set and those in code; by name only, since values may be secret."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from pydantic import AliasChoices
from pydantic_settings import DotEnvSettingsSource

from keel.ops.upgrades import ANSWERS, PROJECT, changes
from keel.packages import WINGS, find_packages, incomplete_examples
from keel.settings import Settings, SettingsError

COMPOSE = Path("compose.yaml")

_INTERPOLATED = re.compile(r"(?<!\$)\$\{?([A-Za-z_]\w*)")
_SLIP = 0.8
"""Similarity (0 to 1) of two names with the same first word from which one is considered a typo."""

_ANSWER = re.compile(r"^(\w+): (true|false)$", re.MULTILINE)
_DATABASE = re.compile(r"^database: (\w+)$", re.MULTILINE)
_PLACES = {"example": Path("keel", "docs", "features", "notes.md"), "kubernetes": Path("deploy", "k8s", "base")}
"""The path that an answer adds; by default, the package of that name."""


def find_settings() -> list[type[Settings]]:
    """Import every module `settings` of `keel` and `app`; return all settings classes."""
    import_module("keel.application")
    for wing in WINGS:
        for path in sorted((PROJECT / wing).rglob("settings.py")):
            import_module(".".join(path.relative_to(PROJECT).with_suffix("").parts))
    return [cls for cls in _subclasses(Settings) if cls.__module__.partition(".")[0] in WINGS]


def problems(allowed: Collection[str] = ()) -> list[str]:
    """Compare the variables that are set with the settings that exist.

    Args:
        allowed: names in `.env` that other programs read

    Returns:
        A sentence for each variable that is missing, wrong, renamed, removed or unknown; for each module that a feature
        added to an example that lacks its imports; and for each answer that was changed by hand.
    """
    classes = find_settings()
    found = {problem: None for cls in classes for problem in _unusable(cls)}
    return [*found, *stale(allowed, classes), *incomplete_examples(find_packages(WINGS[-1])), *changed_by_hand()]


def explain(error: SettingsError) -> str:
    """Return the text of an error that stopped the build of the application, with all other faults of the settings."""
    head, *lines = str(error).splitlines()
    return "\n  ".join([head, *dict.fromkeys([*map(str.strip, lines), *problems()])])


def stale(allowed: Collection[str] = (), classes: Collection[type[Settings]] | None = None) -> list[str]:
    """Return a sentence for each variable that is set but that nothing reads."""
    classes = classes or find_settings()
    known = {name for cls in classes for name in _variables(cls)}
    nested = tuple(name for cls in classes for name in _nested(cls))
    renamed, removed = _history()
    others = {*allowed, *_read_by_compose()}
    found = []
    for name, where in [*_in_file(), *_in_environment(known, {*renamed, *removed})]:
        if name in known or name in others or name.startswith(nested):
            continue
        if name in renamed:
            found.append(f"{where}: {name} is now called {renamed[name]}")
        elif name in removed:
            found.append(f"{where}: {name} is no longer read: {removed[name]}")
        else:
            close = get_close_matches(name, sorted(known), n=1)
            found.append(f"{where}: {name} is unknown{f'; is it {close[0]}?' if close else ''}")
    return found


def _subclasses(cls: type[Settings]) -> Iterator[type[Settings]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _unusable(cls: type[Settings]) -> list[str]:
    try:
        cls.load()
    except SettingsError as error:
        return [line.strip() for line in str(error).splitlines()[1:]]
    return []


def _variables(cls: type[Settings]) -> Iterator[str]:
    """Yield the variables of a class's fields; a field may have several."""
    for field, info in cls.model_fields.items():
        alias = info.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [cls.variable(field)]
        yield from (choice.upper() for choice in choices if isinstance(choice, str))


def _nested(cls: type[Settings]) -> list[str]:
    """Return the prefixes of variables that set a part of a field."""
    delimiter = cls.model_config.get("env_nested_delimiter")
    return [f"{name}{delimiter}".upper() for name in _variables(cls)] if delimiter else []


def _history() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return renamed variables with their current names, and removed ones with what to do."""
    renamed: dict[str, str] = {}
    removed: dict[str, str] = {}
    for _, change in changes():  # the latest first, so that two renames in a row lead to the last name
        renamed |= {old: renamed.get(new, new) for old, new in change.renamed.items() if old not in renamed}
        removed |= {name: change.do or change.what for name in change.removed if name not in removed}
    return renamed, removed


def _in_file() -> Iterator[tuple[str, str]]:
    source = DotEnvSettingsSource(Settings)
    where = str(source.env_file).removeprefix(f"{PROJECT}{os.sep}")
    return ((name.upper(), where) for name in source.env_vars)


def _read_by_compose() -> set[str]:
    """Return the variables of `.env` for Compose: those its file interpolates, and its own."""
    text = COMPOSE.read_text(encoding="utf-8") if COMPOSE.is_file() else ""
    own = (name for name, _ in _in_file() if name.startswith("COMPOSE_"))
    return {name.upper() for name in _INTERPOLATED.findall(text)}.union(own)


def _in_environment(known: Collection[str], once: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield variables that used to be read, or are one typo from a known one; others belong to other programs."""
    for name in map(str.upper, sorted(os.environ)):
        if name in once or _slip(name, known):
            yield name, "environment"


def _slip(name: str, known: Collection[str]) -> bool:
    first, _, rest = name.partition("_")
    alike = [each.partition("_")[2] for each in known if each.startswith(f"{first}_")]
    return bool(get_close_matches(rest, alike, n=1, cutoff=_SLIP))


def changed_by_hand(project: Path = PROJECT) -> Iterator[str]:
    """Yield a sentence for each recorded answer that contradicts the project.

    Copier assumes that the project was rendered with these answers, and changes nothing.
    """
    file = project / ANSWERS
    if not file.is_file():  # for example in the image
        return
    text = file.read_text(encoding="utf-8")
    for name, value in _ANSWER.findall(text):
        place = _PLACES.get(name, Path("keel", name, "__init__.py"))
        if (project / place).exists() != (value == "true"):
            before = "false" if value == "true" else "true"
            yield _sentence(f"{name}: {value}", place.as_posix(), f"{name}: {before}", f"{name}={value}")
    for value in _DATABASE.findall(text):
        if not (project / f"keel/{value}").is_dir():
            yield _sentence(f"database: {value}", f"keel/{value}", "what it was", f"database={value}")


def _sentence(answer: str, place: str, before: str, data: str) -> str:
    return (
        f"{ANSWERS}: it says {answer}, but {place} contradicts it. Editing an answer has no effect: restore {before}, "
        f"commit, and run `copier update --defaults --data {data}`"
    )
