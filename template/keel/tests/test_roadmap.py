"""The roadmap page: its examples run, and its links lead to files."""

import os
import re
from contextvars import Context

import pytest

from keel.about import ROOT

PAGE = ROOT / "keel" / "docs" / "roadmap.md"
TOPIC = re.compile(r"^### ([^\n]+)\n\n(.+?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
TOPICS = dict(TOPIC.findall(PAGE.read_text(encoding="utf-8")))
EXAMPLE = re.compile(r"^```python\n(.+?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def as_a_script(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in the project's folder, and restore environment variables afterwards."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.usefixtures("as_a_script")
def test_example_runs(topic: str) -> None:
    """Each topic has one short example, and all its assertions hold."""
    (example,) = EXAMPLE.findall(TOPICS[topic])

    # Where sniffio is installed, the context of tests says that an event loop runs.
    Context().run(exec, compile(example, topic, "exec"), {"__name__": "__main__"})

    assert len(example.splitlines()) <= 32


@pytest.mark.parametrize("topic", TOPICS)
def test_topic_has_its_sections(topic: str) -> None:
    """Each topic has "Here" and "In production", and its links lead to files."""
    text = TOPICS[topic]

    assert "**Here:** " in text
    assert "**In production:** " in text
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (PAGE.parent / target).exists(), target


def test_table_links_to_every_level() -> None:
    """The table at the top links to each level."""
    text = PAGE.read_text(encoding="utf-8")
    levels = re.findall(r"^## (.+)$", text, re.MULTILINE)

    assert [f"[{level}](#{level.lower()})" in text for level in levels] == [True] * 4
