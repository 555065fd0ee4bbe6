"""Pictures of dashboards, drawn from the results of their queries: what a person on call would see."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COLUMN, _LINE, _GAP = 46, 26, 6
_COLOURS = ("#3274d9", "#299c46", "#e0752d", "#a352cc", "#c4162a", "#1f8a8a", "#8f6b00", "#5b6b7b")
_SEVERITIES = {"green": "#299c46", "yellow": "#c08a00", "red": "#c4162a"}
_SHOWN = 4

Series = tuple[str, list[tuple[float, float]]]


def draw(board: Mapping[str, Any], answers: Mapping[tuple[int, str], list[dict[str, Any]]]) -> str:
    """Return a dashboard as SVG; `answers` has the series of each panel's target."""
    parts, height = [], 40
    for panel in board["panels"]:
        place = panel["gridPos"]
        x, y = place["x"] * _COLUMN + 10, place["y"] * _LINE + 40
        width, tall = place["w"] * _COLUMN - _GAP, place["h"] * _LINE - _GAP
        height = max(height, y + tall + 12)
        if panel["type"] == "row":
            parts.append(_text(x, y + 15, panel["title"], size=13, weight=600))
            continue
        series = [item for target in panel["targets"] for item in answers[panel["id"], target["refId"]]]
        parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{tall}" rx="3" fill="#fff" stroke="#d5d9de"/>'
        )
        parts.append(_text(x + 8, y + 17, panel["title"], size=12, weight=600))
        named = [_series(item, panel) for item in series]
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if panel["type"] == "timeseries":
            parts += _lines(named, unit, x, y, width, tall)
        else:
            parts += _numbers(named, panel, x, y)
    head = _text(10, 26, board["title"], size=18, weight=600)
    size = f'width="{24 * _COLUMN + 20}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" role="img">'
        f'<rect width="100%" height="100%" fill="#f4f5f7"/>{head}{"".join(parts)}</svg>\n'
    )


def _series(item: dict[str, Any], panel: Mapping[str, Any]) -> Series:
    labels = item["metric"]
    legend = str(panel["targets"][0]["legendFormat"])
    for name in set(labels) | set(_names(legend)):
        legend = legend.replace("{{" + name + "}}", str(labels.get(name, "")))
    if legend in {"__auto", ""}:
        legend = " ".join(str(value) for _, value in sorted(labels.items())) or str(panel["title"])
    values = item.get("values") or [item["value"]]
    found = [(float(moment), float(value)) for moment, value in values]
    return legend.strip(), [(moment, value) for moment, value in found if math.isfinite(value)]


def _names(legend: str) -> list[str]:
    return [part.partition("}}")[0] for part in legend.split("{{")[1:]]


def _lines(series: Sequence[Series], unit: str, x: int, y: int, width: int, tall: int) -> list[str]:
    shown = sorted(series, key=lambda item: -max((value for _, value in item[1]), default=0))[:_SHOWN]
    moments = [moment for _, points in shown for moment, _ in points]
    top = max((value for _, points in shown for _, value in points), default=0) or 1
    left, right, upper, lower = x + 58, x + width - 10, y + 28, y + tall - 18 - 14 * len(shown)
    first, last = min(moments, default=0), max(moments, default=1)
    parts = [
        _text(left - 6, upper + 8, _shown(top, unit), size=10, anchor="end"),
        _text(left - 6, lower, _shown(0, unit), size=10, anchor="end"),
        f'<path d="M{left} {upper}H{right}M{left} {lower}H{right}" stroke="#e5e8eb" fill="none"/>',
    ]
    for number, (name, points) in enumerate(shown):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [
            f"{left + (right - left) * (moment - first) / ((last - first) or 1):.1f},"
            f"{lower - (lower - upper) * value / top:.1f}"
            for moment, value in points
        ]
        parts.append(
            f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        )
        below = lower + 18 + 14 * number
        parts.append(f'<rect x="{x + 10}" y="{below - 8}" width="10" height="3" fill="{colour}"/>')
        end = _shown(points[-1][1], unit) if points else "-"
        parts.append(_text(x + 26, below, f"{name[:60]}: {end}", size=10))
    return parts


def _numbers(series: Sequence[Series], panel: Mapping[str, Any], x: int, y: int) -> list[str]:
    defaults = panel["fieldConfig"]["defaults"]
    if panel["type"] == "stat":
        value = series[0][1][-1][1]
        passed = [step for step in defaults["thresholds"]["steps"] if value >= (step["value"] or -math.inf)]
        colour = _SEVERITIES[passed[-1]["color"]]
        return [_text(x + 12, y + 66, _shown(value, defaults["unit"]), size=26, weight=600, colour=colour)]
    return [
        _text(x + 12, y + 40 + 16 * number, f"{name}: {points[-1][1]:g}", size=12)
        for number, (name, points) in enumerate(series)
    ]


def _shown(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{value * 100:.3g} %" if abs(value) < 10 else f"{value * 100:.0f} %"  # noqa: PLR2004 - digits
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
    if unit == "bytes":
        return f"{value / 2**20:.4g} MiB"
    return f"{value:.3g}{ {'reqps': ' req/s', 'ops': ' ops/s'}.get(unit, '') }"


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int,
    weight: int = 400,
    anchor: str = "start",
    colour: str = "#24292e",
) -> str:
    style = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{colour}"'
    return f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>'
