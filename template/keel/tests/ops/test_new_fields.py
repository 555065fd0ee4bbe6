"""Parsing fields of new resources, and the code for each; other tests run the generated code."""

import pytest

from keel.ops.new.fields import Field, parse
from keel.ops.new.names import (
    NewError,
    Noun,
    alias,
    check_resource,
    enumeration,
    names_in_templates,
    plural_of,
    singular_of,
)

MODELS = {
    "title:str": ("str", " = mapped_column(String(200))", None),
    "title:str(13)": ("str", " = mapped_column(String(13))", None),
    "body:text?": ("str | None", " = mapped_column(Text)", "None"),
    "pages:int": ("int", "", None),
    "price:decimal": ("Decimal", " = mapped_column(Numeric(10, 2))", None),
    "mass:decimal( 5 )": ("Decimal", " = mapped_column(Numeric(5, 2))", None),
    "done:bool": ("bool", "", "False"),
    "done:bool?:index": ("bool | None", "", "None"),
    "status:enum(on-loan, sold)": ("SpecimenStatus", "", "SpecimenStatus.ON_LOAN"),
    "create:enum(a,b)": ("SpecimenCreateValue", "", "SpecimenCreateValue.A"),
    "extra:json?": ("dict[str, Any] | None", " = mapped_column(JSON)", "None"),
}
"""Annotation, column and default."""

BODIES = {
    "title:str": ("Title", "Annotated[SafeStr, Field(min_length=1, max_length=200)]", (1, 200)),
    "code:str(3,9)": ("Code", "Annotated[SafeStr, Field(min_length=3, max_length=9)]", (3, 9)),
    "decimal:str": ("DecimalValue", "Annotated[SafeStr, Field(min_length=1, max_length=200)]", (1, 200)),
    "specimen:str": ("SpecimenValue", "Annotated[SafeStr, Field(min_length=1, max_length=200)]", (1, 200)),
    "body:text": ("Body", "Annotated[SafeStr, Field(max_length=100_000)]", (0, 100_000)),
    "mass:decimal(5)": ("Mass", "Annotated[Decimal, Field(max_digits=5, decimal_places=2)]", (5, 2)),
    "mass:decimal(5,1)": ("Mass", "Annotated[Decimal, Field(max_digits=5, decimal_places=1)]", (5, 1)),
    "at:datetime": ("UtcDatetime", "UtcDatetime", (0, 0)),
    "day:date": ("date", "date", (0, 0)),
}
"""The type in request bodies, its definition, and the bounds."""

VALUES = {
    "shelf_mark:str": ('f"Shelf mark {number}"', '"Shelf mark 7"', '""', "False"),
    "code:str(6,7)": ('f"Code {number}"', '"Code 7"', '""', "False"),
    "code:str(5,6)": ('f"Code {number}"', '"Code 7"', '""', "False"),
    "code:str(7,9)": ('f"{number:07}"', '"0000007"', '""', "False"),
    "code:str(0,5)": ('f"{number:01}"', '"7"', '"x" * 6', "False"),
    "body:text(9)?": ('f"Body {number}"', '"Body 7"', '"x" * 10', "None"),
    "pages:int": ("number", "7", "2**31", "False"),
    "price:decimal": ('f"{number}.50"', '"7.50"', '"1.999"', "False"),
    "price:decimal(4,0)": ('f"{number}"', '"7"', '"1.9"', "False"),
    "day:date": ('f"2026-01-0{number}"', '"2026-01-07"', '"2026-13-01"', "False"),
    "status:enum(on-loan,sold)": (
        *("[*models.SpecimenStatus][number % 2]", "[*models.SpecimenStatus][7 % 2]"),
        *('"no such value"', '"on-loan"'),
    ),
}
"""A value made from the variable `number`, the one for 7, an invalid value, and the value if omitted."""


def read(text: str) -> Field:
    """Return a parsed field of specimens."""
    (field,) = parse([text], "Specimen", taken=["id"], plural="specimens")
    return field


@pytest.mark.parametrize("text", MODELS)
def test_models(text: str) -> None:
    """Names of enumerations do not clash with those of schemas."""
    field = read(text)

    assert (field.annotation, field.column, field.default) == MODELS[text]


@pytest.mark.parametrize("text", BODIES)
def test_bodies(text: str) -> None:
    """A type with bounds has a name that is unique in its module."""
    field = read(text)

    assert (field.sent, field.body, field.bounds) == BODIES[text]


@pytest.mark.parametrize("text", VALUES)
def test_values(text: str) -> None:
    """All are within the bounds except the invalid one."""
    field = read(text)

    assert (field.sample(), field.sample(7), field.wrong, field.absent) == VALUES[text]


def test_filters_and_orders() -> None:
    """Lists can be filtered by fields with few values or an index, and sorted by short, ordered ones."""
    texts = [
        "a:str",
        "b:str(500)",
        "c:str(501)",
        "d:str:index",
        "e:text",
        "f:int",
        "g:int:unique",
        "h:decimal",
        "i:date",
    ]
    texts += ["j:datetime:unique:index", "k:bool", "l:enum(a,b)", "m:uuid", "n:json"]
    fields = parse(texts, "Specimen", taken=[], plural="specimens")

    assert "".join(field.name for field in fields if field.filtered) == "djkl"
    assert "".join(field.name for field in fields if field.sortable) == "abdfghij"
    assert "".join(field.name for field in fields if field.unique) == "gj"
    assert "".join(field.name for field in fields if field.index) == "dj"


@pytest.mark.parametrize("name", ["parent", "parent_id"])
def test_references(name: str) -> None:
    """The column name ends in `_id`; labels omit the suffix."""
    field = read(f"{name}:ref(specimens)?")

    assert (field.name, field.short, field.label, field.filtered) == ("parent_id", "parent", "parent", True)
    assert field.column == ' = mapped_column(ForeignKey("specimens.id", ondelete="SET NULL"), index=True)'
    assert read("parent_id:uuid").short == "parent_id"


def test_defaults() -> None:
    """A field is required, and neither unique nor indexed nor a reference by default."""
    field = Field("Specimen", Noun("title"), "str")

    assert (field.bounds, field.nullable, field.unique, field.index, field.target) == (
        (1, 200),
        False,
        False,
        False,
        None,
    )


ACCEPTED = [
    *("a:str(10000)", "a:str(7,7)", "a:text(10000000)", "a:decimal(15,14)", "a:decimal(15,0)", "a:str(500):unique"),
    *("a:str(500):index", f"a:enum({'b' * 32},c)", "a:int:unique", "a:json?", "a:str(1)", "a:text(1)"),
]
REFUSED = [
    *("a:str(10001)", "a:str(8,7)", "a:text(10000001)", "a:decimal(16,2)", "a:decimal(2,2)", "a:str(501):unique"),
    *("a:str(501):index", f"a:enum({'b' * 33},c)", "a:enum(b,b)", "a:enum(b,c,b)", "a:enum()", "a:str(1,2,3)"),
    *(
        "a:text(1,2)",
        "a:decimal(9,2,1)",
        "a:str(\u0661)",
        "a:json:index",
        "a:text:index",
        "a:enum(b,c):unique",
        "a:str(0)",
    ),
    *("id:str", "a_:str", "_a:str", "A:str", "1a:str", "a:Str", "a:str:", "a:str??:", "a", "", f"{'a' * 31}:str"),
]


REFUSED += [f"{name}:int" for name in ("bool", "date", "datetime", "dict", "int", "str", "metadata", "count", "copy")]
REFUSED += ["a:string", "a:str:big", "a:int(3)", "a:bool:unique", "limit:int:index", "sort:bool", "cursor:enum(a,b)"]


@pytest.mark.parametrize("text", ACCEPTED)
def test_accepted_limits(text: str) -> None:
    """Limits are inclusive."""
    assert read(text).name == "a"


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    """Beyond a limit, or otherwise invalid."""
    with pytest.raises(NewError):
        read(text)


def test_no_fields() -> None:
    """A resource needs at least one field."""
    with pytest.raises(NewError, match="at least one field"):
        parse([], "Specimen", taken=[], plural="specimens")


PLURALS = {
    "book": "books",
    "box": "boxes",
    "dress": "dresses",
    "waltz": "waltzes",
    "church": "churches",
    "dish": "dishes",
    "city": "cities",
    "company": "companies",
    "day": "days",
    "house": "houses",
}


def test_plurals() -> None:
    """Plurals of regular nouns can be reversed; for others there is an option."""
    assert {name: plural_of(name) for name in PLURALS} == PLURALS
    back = {plural: singular_of(plural) for name, plural in PLURALS.items() if name != "house"}
    assert back == {plural: name for name, plural in PLURALS.items() if name != "house"}


def test_nouns() -> None:
    """A name has a form for each use."""
    noun = Noun("library_specimen")

    assert (noun.pascal, noun.slug, noun.words) == ("LibrarySpecimen", "library-specimen", "library specimen")
    assert (noun.one, Noun("old_map").one) == ("a library specimen", "an old map")
    assert (noun.variable, Noun("zip").variable, Noun("session").variable) == ("library_specimen", "zip_", "session_")


TAKEN = {
    "for": "keyword",
    "Specimen": "lower case",
    "b" * 31: "too long",
    "task": "belongs to Keel",
    "auth_key": "belongs to Keel",
    "shelf": "already a table `shelfs`",
    "jar": "already routes below /api/v1/jars",
    "flower_pot": "already routes below /api/v1/flower-pots",
    "page": "two Page",
}
"""Names of resources, and a part of the message."""


@pytest.mark.parametrize("name", TAKEN)
def test_reserved_names(name: str) -> None:
    """Taken by Keel, a table, a route or the templates' own code; only whole words count."""
    routes = ["/api/v1/jars", "/api/v1/flower-pots/{id}", "/api/v1/boxes-of-things"]

    with pytest.raises(NewError, match=TAKEN[name]):
        check_resource(Noun(name), plural_of(name), ["shelfs"], routes)
    for free in ("box", "b" * 29):
        check_resource(Noun(free), plural_of(free), ["shelfs"], routes)


def test_plural_equal_to_singular() -> None:
    """Singular and plural must differ."""
    with pytest.raises(NewError, match="needs a different plural"):
        check_resource(Noun("sheep"), Noun("sheep"), [], [])


@pytest.mark.parametrize("folder", ["examples", "main", "testing", "tests", "router"])
def test_reserved_folders(folder: str) -> None:
    """A package with such a name would be skipped or mistaken for something else."""
    with pytest.raises(NewError, match="taken for something else"):
        check_resource(Noun("specimen"), Noun(folder), [], [])


def test_names_in_templates() -> None:
    """Only names in code count, not words in strings or Mako's keywords."""
    found = names_in_templates()

    assert {"session", "PageQuery"} <= found
    assert not {"the", "endif", "endfor"} & found


def test_names_of_types() -> None:
    """A name that another class has gets a suffix."""
    assert enumeration("Specimen", Noun("colour")) == "SpecimenColour"
    for name in ("create", "update", "query", "repository", "service", "not_found", "exists", "account_data"):
        assert enumeration("Specimen", Noun(name)) == f"Specimen{Noun(name).pascal}Value"
    assert [
        alias("Specimen", Noun(name))
        for name in ("colour", "specimen", "specimen_create", "specimen_update", "specimen_query", "decimal")
    ] == [
        *(
            "Colour",
            "SpecimenValue",
            "SpecimenCreateValue",
            "SpecimenUpdateValue",
            "SpecimenQueryValue",
            "DecimalValue",
        ),
    ]
