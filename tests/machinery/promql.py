"""Names in queries: enough of PromQL's grammar to recognise metrics and labels."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_RANGE = re.compile(r"\[[^\]]*\]|\boffset\s+\w+")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)?\s*\{([^}]*)\}")
_NAME = re.compile(r"[a-zA-Z_:][\w:]*(?!\s*\()\b")
_FUNCTION = re.compile(r"[a-zA-Z_]\w*\s*\(")
_WORDS = frozenset({"and", "or", "unless", "bool", "by", "without", "offset", "inf", "nan"})


@dataclass(frozen=True)
class Named:
    """The metrics that a query reads, and every label that it names."""

    metrics: frozenset[str]
    labels: frozenset[str]


def named(query: str) -> Named:
    """Return the names in a query. Label values are ignored: a missing one gives an empty result."""
    text = _RANGE.sub(" ", _STRING.sub('""', query))
    labels: set[str] = set()
    for group in _GROUPING.findall(text):
        labels.update(name.strip() for name in group.split(",") if name.strip())
    text = _GROUPING.sub(" ", text)
    metrics: set[str] = set()
    for metric, matchers in _SELECTOR.findall(text):
        metrics.add(metric)
        labels.update(re.findall(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)", matchers))
    text = _FUNCTION.sub("(", _SELECTOR.sub(" ", text))
    metrics.update(name for name in _NAME.findall(text) if name not in _WORDS)
    return Named(frozenset(metrics - {""}), frozenset(labels - {"le"}))
