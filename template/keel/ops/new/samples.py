"""Values for the tests of a new resource, as Python writes them; those of a higher number come later in each order."""

from keel.ops.new.fields import Field


def sample(field: Field, number: int | None = None) -> str:
    """Return an expression for a value as JSON has it, that of a number or of the variable `number`."""
    value = "number" if number is None else str(number)
    literals = {
        "int": value,
        "bool": f"{value} % 2 == 1",
        "json": f'{{"number": {value}}}',
        "enum": f"[*models.{field.python}][{value} % {len(field.members)}]",
        "ref": "None",
    }
    if field.kind in literals:
        return literals[field.kind]
    text = _text(field)
    return f'f"{text}"' if number is None else f'"{text.format(number=number)}"'


def _text(field: Field) -> str:
    """Return a text with the number in it."""
    if field.kind == "decimal":
        digits, places = field.bounds
        fraction = f".{'5':0<{places}}" if places else ""
        return f"{{number}}{fraction}" if digits > places else f"0.{{number:0<{places}}}"
    if field.kind in {"str", "text"}:
        low, high = field.bounds
        label = f"{field.label.capitalize()} "
        return f"{label}{{number}}" if low <= len(label) + 1 <= high else f"{{number:0{max(low, 1)}}}"
    return {
        "date": "2026-01-0{number}",
        "datetime": "2026-01-0{number}T12:00:00Z",
        "uuid": "00000000-0000-4000-8000-00000000000{number}",
    }[field.kind]


def wrong(field: Field) -> str:
    """Return a value that is refused."""
    match field.kind:
        case "str" | "text":
            low, high = field.bounds
            return '""' if low else f'"x" * {high + 1}'
        case "decimal":
            return f'"1.{"9" * (field.bounds[1] + 1)}"'
        case "int":
            return "2**31"
        case "bool" | "enum" | "uuid" | "ref" | "json":
            return '"no such value"'
        case "date":
            return '"2026-13-01"'
    return '"2026-01-01T12:00:00"'


def default(field: Field) -> str:
    """Return what a field has that was not sent, as JSON has it."""
    if field.nullable:
        return "None"
    return f'"{field.members[0][1]}"' if field.members else "False"
