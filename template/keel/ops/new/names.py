"""Names that a resource and its fields may have."""

import builtins
import fnmatch
import keyword
import re
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import Row

from keel.about import ROOT
from keel.db.models import Base
from keel.hooks import HOOKS
from keel.web.pagination import PageQuery

TEMPLATES = Path(__file__).with_name("templates")
LONGEST = 30

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_TYPES = {"bool", "date", "datetime", "dict", "int", "str"}
_CLASSES = ("Create", "Update", "Query", "Repository", "Service", "NotFound", "Exists", "AccountData")
_FOLDERS = {*HOOKS, "examples", "main", "testing", "tests"}


class NewError(Exception):
    """A resource can't be written; the message is a sentence that says what to change."""


class Noun(str):
    """A name in snake case, as in code, with its forms for classes and sentences."""

    @property
    def pascal(self) -> str:
        """The name of a class."""
        return "".join(map(str.capitalize, self.split("_")))

    @property
    def slug(self) -> str:
        """The name in addresses and types of problems."""
        return self.replace("_", "-")

    @property
    def words(self) -> str:
        """The name in a sentence."""
        return self.replace("_", " ")

    @property
    def one(self) -> str:
        """The same with its article."""
        return f"{'an' if self[0] in 'aeiou' else 'a'} {self.words}"

    @property
    def variable(self) -> str:
        """The name of a variable, with a trailing underscore if the code uses the name otherwise."""
        return f"{self}_" if self in names_in_templates() or self in dir(builtins) else self


def plural_of(name: str) -> Noun:
    """Return the plural of a regular English noun."""
    if re.search(r"[^aeiou]y$", name):
        return Noun(f"{name[:-1]}ies")
    return Noun(f"{name}es" if re.search(r"(s|x|z|ch|sh)$", name) else f"{name}s")


def singular_of(name: str) -> Noun:
    """Return the singular of a result of `plural_of`."""
    if name.endswith("ies"):
        return Noun(f"{name[:-3]}y")
    return Noun(re.sub(r"(?<=s|x|z)es$|(?<=ch|sh)es$|s$", "", name))


def enumeration(resource: str, field: Noun) -> str:
    """Return the name of an enumeration, which must be unique among the classes of its package."""
    name = field.pascal
    return f"{resource}{name}Value" if name in _CLASSES else f"{resource}{name}"


def alias(resource: str, field: Noun) -> str:
    """Return the name of a field's type, which must be unique in its module."""
    name = field.pascal
    made = {resource, *(f"{resource}{part}" for part in ("Create", "Update", "Query"))}
    return f"{name}Value" if name in names_in_templates() | made else name


def check_resource(singular: Noun, plural: Noun, tables: Collection[str], routes: Iterable[str]) -> None:
    """Refuse a name that is not valid or is taken.

    Raises:
        NewError: the message says what uses it.
    """
    for name in (singular, plural):
        _check_word(name)
    if singular == plural:
        raise NewError(f"`{singular}` needs a different plural, such as --plural {singular}_list.")
    path = f"/api/v1/{plural.slug}"
    for kind, name in (("Tables", plural), ("Routes", path)):
        for pattern, owner in _reserved(kind):
            if fnmatch.fnmatchcase(name, pattern):
                raise NewError(f"`{name}` belongs to Keel ({owner}); choose another name, or another --plural.")
    if plural in _FOLDERS:
        raise NewError(f"app/{plural} would be mistaken for something else; choose another --plural.")
    if plural in tables:
        raise NewError(f"There is already a table `{plural}`.")
    if any(route == path or route.startswith(f"{path}/") for route in routes):
        raise NewError(f"There are already routes below {path}.")
    for place in (ROOT / "app" / plural, ROOT / "app" / f"{plural}.py", ROOT / "tests" / plural):
        if place.exists():
            raise NewError(f"{place.relative_to(ROOT).as_posix()} already exists; delete it, or choose another name.")
    model, group = singular.pascal, plural.pascal
    for name in (model, *(f"{model}{part}" for part in _CLASSES), f"{group}Dep", f"{group}ReadDep"):
        if name in names_in_templates():
            raise NewError(f"The code would have two {name}; choose another name, such as my_{singular}.")


def check_field(name: str, taken: Collection[str], *, filtered: bool) -> None:
    """Refuse a name that a field can't have.

    Raises:
        NewError: the message says why.
    """
    _check_word(name)
    if name in taken:
        raise NewError(f"The field `{name}` would exist twice.")
    if name in _TYPES:
        raise NewError(
            f"A field can't have the name of a type, `{name}`; call it what it means, such as {name}_of_birth."
        )
    for kind, owner in ((BaseModel, "Pydantic's models"), (Base, "SQLAlchemy's models"), (Row, "SQLAlchemy's rows")):
        if hasattr(kind, name):
            raise NewError(f"A field can't be called `{name}`: it is an attribute of {owner}.")
    if filtered and name in PageQuery.model_fields:
        raise NewError(f"A field that filters can't be called `{name}`: it is a query parameter of every list.")


def _check_word(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise NewError(f"`{name}` is not a valid name: write it in lower case with underscores, as in blog_post.")
    if keyword.iskeyword(name):
        raise NewError(f"`{name}` is a Python keyword; choose another name.")
    if len(name) > LONGEST:
        raise NewError(f"`{name}` is too long: names have at most {LONGEST} letters.")


def _reserved(kind: str) -> Iterable[tuple[str, str]]:
    """Yield the patterns of names reserved by Keel, and the owner of each."""
    page = (ROOT / "keel" / "docs" / "reserved-names.md").read_text(encoding="utf-8")
    section = page.partition(f"## {kind}")[2].partition("\n## ")[0]
    for names, owner in re.findall(r"^\| (`.+?) \| (.+) \|$", section, re.MULTILINE):
        for name in re.findall(r"`(.+?)`", names):
            yield name, owner


@cache
def names_in_templates() -> frozenset[str]:
    """Return the names in the code of the templates, ignoring texts and Mako expressions."""
    found: set[str] = set()
    for path in TEMPLATES.iterdir():
        code = re.sub(
            r'""".*?"""|"[^"\n]*"|\$\{.*?\}|^\s*[%#].*?$|<%.*?%>',
            "",
            path.read_text("utf-8"),
            flags=re.DOTALL | re.MULTILINE,
        )
        found |= set(re.findall(r"[A-Za-z_]\w*", code))
    return frozenset(found)
