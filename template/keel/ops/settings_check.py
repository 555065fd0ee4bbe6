"""Where the settings that are set differ from those that the code knows; by name, for values may be secret."""

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
"""How alike the rest of two names with the same first word must be (0 to 1), for one to be a slip of the keyboard."""

_ANSWER = re.compile(r"^(\w+): (true|false)$", re.MULTILINE)
_DATABASE = re.compile(r"^database: (\w+)$", re.MULTILINE)
_PLACES = {"example": Path("keel", "docs", "features", "notes.md"), "kubernetes": Path("deploy", "k8s", "base")}
"""What an answer adds; else it is the package of that name."""


def find_settings() -> list[type[Settings]]:
    """Return all settings classes: those of every module `settings` in both wings, which are imported."""
    import_module("keel.application")
    for wing in WINGS:
        for path in sorted((PROJECT / wing).rglob("settings.py")):
            import_module(".".join(path.relative_to(PROJECT).with_suffix("").parts))
    return [cls for cls in _subclasses(Settings) if cls.__module__.partition(".")[0] in WINGS]


def problems(allowed: Collection[str] = ()) -> list[str]:
    """Compare what is set with what is known.

    Args:
        allowed: names in the file that others read

    Returns:
        A sentence for each variable that must be set, is wrong, renamed, removed or unknown; and for what a feature
        has added to an example that lacks what it needs; and for answers that were changed by hand.
    """
    classes = find_settings()
    found = {problem: None for cls in classes for problem in _unusable(cls)}
    return [*found, *stale(allowed, classes), *incomplete_examples(find_packages(WINGS[-1])), *changed_by_hand()]


def explain(error: SettingsError) -> str:
    """Return an error that keeps the application from being built, with all else that is wrong with the settings."""
    head, *lines = str(error).splitlines()
    return "\n  ".join([head, *dict.fromkeys([*map(str.strip, lines), *problems()])])


def stale(allowed: Collection[str] = (), classes: Collection[type[Settings]] | None = None) -> list[str]:
    """Return a sentence for each variable that is set and that nothing reads."""
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
            found.append(f"{where}: {name} is not read any more: {removed[name]}")
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
    """Yield the names that set a class's fields; a field may have several."""
    for field, info in cls.model_fields.items():
        alias = info.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [cls.variable(field)]
        yield from (choice.upper() for choice in choices if isinstance(choice, str))


def _nested(cls: type[Settings]) -> list[str]:
    """Return how names begin that set a part of a field."""
    delimiter = cls.model_config.get("env_nested_delimiter")
    return [f"{name}{delimiter}".upper() for name in _variables(cls)] if delimiter else []


def _history() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return what was renamed, with the names of today, and what was removed, with what to do."""
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
    """Return what `.env` may hold for Compose: what its file interpolates, and its own variables."""
    text = COMPOSE.read_text(encoding="utf-8") if COMPOSE.is_file() else ""
    own = (name for name, _ in _in_file() if name.startswith("COMPOSE_"))
    return {name.upper() for name in _INTERPOLATED.findall(text)}.union(own)


def _in_environment(known: Collection[str], once: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield variables that once were read, or are one typo from one that is; all others belong to other programs."""
    for name in map(str.upper, sorted(os.environ)):
        if name in once or _slip(name, known):
            yield name, "environment"


def _slip(name: str, known: Collection[str]) -> bool:
    first, _, rest = name.partition("_")
    alike = [each.partition("_")[2] for each in known if each.startswith(f"{first}_")]
    return bool(get_close_matches(rest, alike, n=1, cutoff=_SLIP))


def changed_by_hand(project: Path = PROJECT) -> Iterator[str]:
    """Yield a sentence for each recorded answer that is not what the project has.

    Copier takes such answers for those that the project was made with, and changes nothing.
    """
    file = project / ANSWERS
    if not file.is_file():  # such as in the image
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
        f"{ANSWERS}: it says {answer}, and {place} says otherwise. Written by hand an answer does nothing: write {before} "
        f"again, commit, and run `copier update --defaults --data {data}`"
    )
