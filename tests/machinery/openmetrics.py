"""OTLP metrics as OpenMetrics text, with the names that Prometheus gives to metrics received over OTLP.

The rules are those of https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_UNITS = {"s": "seconds", "ms": "milliseconds", "By": "bytes", "m": "meters", "1": "ratio"}
#: Resource attributes that deploy/grafana/prometheus.yaml turns into labels.
_PROMOTED = ("service.instance.id", "service.name", "service.version", "deployment.environment.name")

Labels = dict[str, str]
#: The type of each family, and its samples: time in seconds, suffix of the name, labels and value.
Families = dict[str, tuple[str, list[tuple[float, str, Labels, float]]]]


def families(reports: Iterable[tuple[Mapping[str, Any], Any]]) -> Families:
    """Return all samples by family."""
    found: Families = {}
    for about, metric in reports:
        kind = metric.WhichOneof("data")
        data = getattr(metric, kind)
        counter = kind == "sum" and data.is_monotonic
        name = _name(metric.name, metric.unit)
        type_ = "histogram" if kind == "histogram" else "counter" if counter else "gauge"
        _, samples = found.setdefault(name, (type_, []))
        _, targets = found.setdefault("target", ("info", []))
        for point in data.data_points:
            moment = point.time_unix_nano / 1e9
            labels = {**_resource(about), **_labels(point.attributes)}
            if kind == "histogram":
                total = 0
                for bound, count in zip(
                    [*map(_number, point.explicit_bounds), "+Inf"], point.bucket_counts, strict=True
                ):
                    total += count
                    samples.append((moment, "_bucket", {**labels, "le": bound}, total))
                samples += [(moment, "_count", labels, point.count), (moment, "_sum", labels, point.sum)]
            else:
                value = getattr(point, point.WhichOneof("value"))
                samples.append((moment, "_total" if counter else "", labels, value))
            targets.append((moment, "_info", _resource(about), 1))
    return found


def text(found: Families) -> str:
    """Return the samples as OpenMetrics, grouped by family, with each series in order of time."""
    lines = []
    for name, (type_, samples) in found.items():
        lines.append(f"# TYPE {name} {type_}")
        series: dict[tuple[tuple[str, str], ...], dict[str, dict[float, tuple[Labels, float]]]] = {}
        for moment, end, labels, value in samples:
            key = tuple(sorted((label, text) for label, text in labels.items() if label != "le"))
            each = series.setdefault(key, defaultdict(dict))
            each[f"{end}{labels.get('le', '')}"][moment] = (labels, value)
        for ends in series.values():
            moments = sorted({moment for each in ends.values() for moment in each})
            for moment in moments:
                for end, each in ends.items():
                    if moment in each:
                        labels, value = each[moment]
                        suffix = "_bucket" if end.startswith("_bucket") else end
                        lines.append(f"{name}{suffix}{_braces(labels)} {value} {moment:.3f}")
    return "\n".join([*lines, "# EOF", ""])


def exported(found: Families) -> dict[str, set[str]]:
    """Return the labels of each metric, by its name in queries."""
    names: dict[str, set[str]] = defaultdict(set)
    for name, (_, samples) in found.items():
        for _, end, labels, _ in samples:
            names[f"{name}{end}"].update(labels)
    return names


def _name(name: str, unit: str) -> str:
    plain = re.sub(r"[^a-zA-Z0-9:]+", "_", name)
    suffix = "" if unit.startswith("{") else _UNITS.get(unit, unit)
    return f"{plain}_{suffix}" if suffix and not plain.endswith(suffix) else plain


def _resource(about: Mapping[str, Any]) -> Labels:
    labels = {_label(name): str(about[name]) for name in _PROMOTED if name in about}
    return {**labels, "job": str(about["service.name"]), "instance": str(about["service.instance.id"])}


def _labels(pairs: Any) -> Labels:  # noqa: ANN401 - protobuf
    return {_label(pair.key): _value(pair.value) for pair in pairs}


def _value(value: Any) -> str:  # noqa: ANN401 - protobuf
    found = getattr(value, value.WhichOneof("value") or "string_value")
    return str(found).lower() if isinstance(found, bool) else str(found)


def _label(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _number(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


def _braces(labels: Labels) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in sorted(labels.items())) + "}"
