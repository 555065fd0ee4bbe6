"""What a run found, as Markdown: medians of the rounds, and ratios of the project to each floor."""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.load import Result

Rounds = Mapping[str, Mapping[str, Sequence[Result]]]
"""Case, then contender, then rounds."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def rates(rounds: Rounds) -> str:
    """Return requests per second and latencies of every contender."""
    rows = []
    for case, found in rounds.items():
        for name, results in found.items():
            fields = ("rate", "cpu", "p50", "p99")
            rate, cpu, p50, p99 = (median(getattr(result, field) for result in results) for field in fields)
            errors = sum(result.errors for result in results)
            rows.append([case, name, f"{rate:.0f}", f"{cpu:.2f}", f"{p50:.1f}", f"{p99:.1f}", str(errors)])
    return table(["case", "who", "requests/s", "CPU ms", "p50 ms", "p99 ms", "errors"], rows)


def ratios(rounds: Rounds, project: str, floors: Sequence[str]) -> str:
    """Return the project's rate (more is better) and p99 (less is better) over each floor's, by round."""
    rows = []
    for case, found in rounds.items():
        cells = [case]
        for floor in floors:
            for field in ("rate", "p99"):
                each = [
                    getattr(ours, field) / getattr(theirs, field)
                    for ours, theirs in zip(found[project], found[floor], strict=True)
                ]
                cells.append(f"{median(each):.2f} ({min(each):.2f}-{max(each):.2f})")
        rows.append(cells)
    head = ["case", *(f"{what} / {floor}" for floor in floors for what in ("rate", "p99"))]
    return table(head, rows)


def costs(
    starts: Mapping[str, tuple[float, float]],
    memory: Mapping[str, float],
    project: str,
    floors: Sequence[str],
) -> str:
    """Return start-up and memory of every contender, and their ratios."""
    rows = []
    for name, (start, post) in starts.items():
        rows.append([name, f"{start * 1e3:.0f}", f"{post * 1e3:.0f}", f"{memory[name]:.0f}"])
    start, post = starts[project]
    for floor in floors:
        theirs = starts[floor]
        cells = [
            f"{start / theirs[0]:.2f}",
            f"{post / theirs[1]:.2f}",
            f"{memory[project] / memory[floor]:.2f}",
        ]
        rows.append([f"{project} / {floor}", *cells])
    return table(["who", "start to first 200, ms", "first POST, ms", "memory after load, MiB"], rows)
