"""A picture of a terminal session, as SVG: text in two colours, in a window."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _LINE, _TOP, _LEFT = 880, 20, 62, 24
_CHARACTERS = 100
#: Text that differs between runs, and its replacement.
_CHANGING = (
    (
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        "01993c1e-7d3a-7c52-9f10-6b1f4c0a8e21",
    ),
    (r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "2026-11-30T09:41:07Z"),
    (r"\b\d+\.\d\ds\b", "1.24s"),
    (r"\b20\d\d_\d\d_\d\d_[0-9a-f]{12}(?=_)", "2026_11_30_6f1b2c9d4e5a"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:8000"),
)


def settled(output: str) -> str:
    """Return output with a fixed value for each id, time, duration and port, without colours."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", output)
    for pattern, value in _CHANGING:
        text = re.sub(pattern, value, text)
    return text


def draw(title: str, session: Sequence[tuple[str, str]]) -> str:
    """Return commands and their normalised output as a picture."""
    lines: list[tuple[str, str]] = []
    for command, output in session:
        lines += [("command", part) for part in command.splitlines()]
        lines += [("", part) for part in output.rstrip().splitlines()]
        lines.append(("", ""))
    rows = []
    for number, (kind, text) in enumerate(lines[:-1]):
        shown = text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"
        y = _TOP + number * _LINE
        colour = f' class="{kind}"' if kind else ""
        rows.append(f'<text x="{_LEFT}" y="{y}"{colour} xml:space="preserve">{escape(shown)}</text>')
    height = _TOP + len(lines[:-1]) * _LINE + 6
    dots = "".join(
        f'<circle cx="{24 + 20 * number}" cy="22" r="6" fill="{fill}"/>'
        for number, fill in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">\n'
        "<style>text { font: 13.5px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; "
        "fill: #c9d1d9 } .command { fill: #7ee787; font-weight: 600 } "
        ".title { fill: #8b949e; text-anchor: middle }</style>\n"
        f'<rect width="{_WIDTH}" height="{height}" rx="10" fill="#0d1117"/>\n{dots}\n'
        f'<text x="{_WIDTH // 2}" y="27" class="title">{escape(title)}</text>\n'
        + "\n".join(rows)
        + "\n</svg>\n"
    )
