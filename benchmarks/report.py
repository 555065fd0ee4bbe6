"""Results as Markdown: ratios to one contender, and medians of all rounds."""

from collections.abc import Callable, Mapping, Sequence
from math import nan
from operator import attrgetter
from statistics import median

from benchmarks.run import Found, Turn


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _ratios(found: Found, name: str, base: str, value: Callable[[Turn], float]) -> str:
    """Return median and range of a contender's figure relative to the base's in the same round."""
    pairs = zip(found.turns[name], found.turns[base], strict=True)
    each = [value(ours) / value(theirs) if value(theirs) else nan for ours, theirs in pairs]
    return f"{median(each):.2f} ({min(each):.2f}-{max(each):.2f})"


def _brief(found: Found, name: str, base: str, value: Callable[[Turn], float]) -> str:
    return _ratios(found, name, base, value).partition(" ")[0]


def _of_case(case: str, field: str) -> Callable[[Turn], float]:
    return lambda turn: getattr(turn.results[case], field)


def summary(found: Found, base: str) -> str:
    """Return two tables relative to the base: speed, startup and memory, with its own figures last; CPU and p99."""
    others = [name for name in found.turns if name != base]
    costs = [attrgetter("start"), attrgetter("memory")]
    rows = [
        [
            name,
            *(_ratios(found, name, base, _of_case(case, "rate")) for case in found.cases),
            *(_brief(found, name, base, value) for value in costs),
        ]
        for name in others
    ]
    rates = [f"{median(turn.results[case].rate for turn in found.turns[base]):.0f}" for case in found.cases]
    start, memory = (median(map(value, found.turns[base])) for value in costs)
    rows.append([f"{base}: requests/s", *rates, f"{start:.2f} s", f"{memory:.0f} MiB"])
    speed = table(["contender", *found.cases, "start", "memory"], rows)
    fields = {"cpu": "CPU", "p99": "p99"}
    pairs = [(case, field) for field in fields for case in found.cases]
    rows = [[name, *(_brief(found, name, base, _of_case(*pair)) for pair in pairs)] for name in others]
    return speed + "\n" + table(["contender", *(f"{fields[field]}: {case}" for case, field in pairs)], rows)


def scaling(one: Found, several: Found) -> str:
    """Return the rates with several workers relative to one worker in the same round."""
    rows = []
    for name, turns in several.turns.items():
        paired = Found(one.cases, {"one": one.turns[name], "several": turns})
        values = [_of_case(case, "rate") for case in one.cases]
        rows.append([name, *(_ratios(paired, "several", "one", value) for value in values)])
    return table(["contender", *one.cases], rows)


def ratios(found: Found, base: str) -> str:
    """Return requests per second (more is better), CPU and p99 (less is better) relative to the base."""
    rows = []
    for field, label in (("rate", "requests/s"), ("cpu", "CPU"), ("p99", "p99")):
        for name in found.turns:
            if name != base:
                values = [_of_case(case, field) for case in found.cases]
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
    """Return startup time and memory of each contender, absolute and relative to the base."""
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


def parts(found: Found, name: str, shares: Mapping[str, Mapping[str, float]]) -> str:
    """Return the CPU time of a contender's requests by part: microseconds and shares."""
    total = {case: median(turn.results[case].cpu for turn in found.turns[name]) * 1e3 for case in shares}
    names = dict.fromkeys(part for each in shares.values() for part in each)
    weight = {part: sum(each.get(part, 0) for each in shares.values()) for part in names}
    rows = [
        [
            part,
            *(
                f"{each.get(part, 0) * total[case]:.0f} ({each.get(part, 0):.0%})"
                for case, each in shares.items()
            ),
        ]
        for part in sorted(names, key=lambda part: -weight[part])
    ]
    rows.append(["all", *(f"{microseconds:.0f}" for microseconds in total.values())])
    return table([f"{name}: CPU µs (share)", *shares], rows)
