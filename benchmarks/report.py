"""What a run found, as Markdown: ratios to one contender, and medians of the rounds."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from statistics import median

from benchmarks.run import Found, Turn


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _ratios(found: Found, name: str, base: str, value: Callable[[Turn], float]) -> str:
    """Return the median and range of a contender's figure over the base's in the same round."""
    pairs = zip(found.turns[name], found.turns[base], strict=True)
    each = [value(ours) / value(theirs) for ours, theirs in pairs]
    return f"{median(each):.2f} ({min(each):.2f}-{max(each):.2f})"


def ratios(found: Found, base: str) -> str:
    """Return requests per second (more is better), CPU and p99 (less is better) in relation to the base."""
    rows = []
    for field, label in (("rate", "requests/s"), ("cpu", "CPU"), ("p99", "p99")):
        for name in found.turns:
            if name != base:
                values = [lambda turn, c=case, f=field: getattr(turn.results[c], f) for case in found.cases]
                rows.append([label, name, *(_ratios(found, name, base, value) for value in values)])
    return table([f"relative to {base}", "contender", *found.cases], rows)


def rates(found: Found) -> str:
    """Return requests per second and latencies of each contender."""
    rows = []
    for case in found.cases:
        for name, turns in found.turns.items():
            results = [turn.results[case] for turn in turns]
            fields = ("rate", "cpu", "p50", "p99")
            rate, cpu, p50, p99 = (median(getattr(result, of) for result in results) for of in fields)
            errors = sum(result.errors for result in results)
            rows.append([case, name, f"{rate:.0f}", f"{cpu:.2f}", f"{p50:.1f}", f"{p99:.1f}", str(errors)])
    return table(["case", "contender", "requests/s", "CPU ms", "p50 ms", "p99 ms", "errors"], rows)


def costs(found: Found, base: str) -> str:
    """Return start-up and memory of each contender, and in relation to the base."""
    rows = []
    for name, turns in found.turns.items():
        cells = [name]
        for field, form in (("start", "{:.2f}"), ("first_post", "{:.3f}"), ("memory", "{:.0f}")):
            value = attrgetter(field)
            ratio = "" if name == base else _ratios(found, name, base, value)
            cells += [form.format(median(map(value, turns))), ratio]
        rows.append(cells)
    columns = ("start to first 200, s", "first POST, s", "memory after load, MiB")
    return table(["contender", *(head for column in columns for head in (column, f"/ {base}"))], rows)
