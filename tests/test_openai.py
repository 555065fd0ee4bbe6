"""Another provider, as the page on language models says it: OpenAI's client, added to a project, against its protocols.

It is a dependency of no project, nor of these tests: the page's own command adds it to the project's environment.
With `--full`, a real server of language models is asked, too: llama.cpp, with a model of random weights.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.machinery import selection
from tests.machinery.environment import uv
from tests.machinery.rendering import ROOT, render
from tests.machinery.serving import PATIENCE, Isolated, request
from tests.machinery.shell import blocks

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.machinery.resources import Resources

DATA = ROOT / "tests" / "data" / "openai"
CONVERSATIONS = "/api/v1/assistant/conversations"


@pytest.fixture
def isolated(resources: Resources, tmp_path: Path) -> Isolated:
    """A project to which the page's command has added the client."""
    project = render(resources.template, tmp_path / "project", {"preset": "minimal", "llm": True})
    page = (project / "keel" / "docs" / "features" / "llm.md").read_text(encoding="utf-8")
    (command,) = blocks(page.partition("### Another provider")[2].partition("\n### ")[0])
    program, *arguments = command.split()
    assert program == "uv"
    isolated = Isolated(project)
    isolated.must(*arguments, "--quiet")
    return isolated


def test_another_provider(isolated: Isolated) -> None:
    """Ollama's contract tests pass with OpenAI's client."""
    shutil.copy(DATA / "test_openai.py", isolated.project / "keel" / "tests" / "llm")

    isolated.must("run", "ruff", "check", "keel/tests/llm")
    isolated.must("run", "ruff", "format", "--check", "keel/tests/llm")
    isolated.must("run", "ty", "check", "keel/tests/llm")
    isolated.must("run", "pytest", "-q", "keel/tests/llm/test_openai.py")


@contextlib.contextmanager
def llama(place: Path) -> Generator[str]:
    """llama.cpp, out of a wheel, with a model of random weights; where it is served."""
    command = [uv(), "run", "--isolated", "--no-project", "--with", "xllamacpp", "--with", "gguf", "python"]
    with (place / "llama.log").open("w") as log:
        process = subprocess.Popen(
            [*command, str(DATA / "llama.py"), str(place / "tiny.gguf")],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            assert process.stdout
            served = re.search(r"serving at (\S+)", process.stdout.readline())
            assert served, (place / "llama.log").read_text()
            yield str(served[1])
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def full(pytestconfig: pytest.Config) -> None:
    """Skip unless everything is asked for."""
    if not selection.is_full(pytestconfig):
        pytest.skip("runs with --full: llama.cpp and numpy are 160 MB")


@pytest.mark.usefixtures("full")
def test_a_real_server(isolated: Isolated, tmp_path: Path) -> None:
    """Answers of llama.cpp stream through the assistant, with its token counts."""
    command = ("uvicorn", "app.main:app", "--port", "{port}")
    isolated.environment |= {"LLM_MAX_OUTPUT_TOKENS": "64", "LLM_API_KEY": "none", "ENVIRONMENT": "local"}
    isolated.must("run", "python", "-m", "app", "migrate")
    with (
        llama(tmp_path) as url,
        isolated.served(*command, LLM_MODEL="openai:tiny", LLM_BASE_URL=f"{url}/v1") as (address, _),
    ):
        status, conversation = request("POST", f"{address}{CONVERSATIONS}", {})
        assert status == 201
        path = f"{address}{CONVERSATIONS}/{conversation['id']}"
        answer = httpx2.post(f"{path}/messages", json={"content": "What?"}, timeout=PATIENCE, trust_env=False)
        events = [
            (event[1], json.loads(event[2]))
            for event in re.finditer(r"^event: (\w+)\ndata: (.*)$", answer.text, re.MULTILINE)
        ]
        status, stored = request("GET", path)

    assert [name for name, _ in events][:1] == ["started"]
    text = "".join(data["text"] for name, data in events if name == "token")
    name, message = events[-1]
    assert (name, message["state"], message["content"]) == ("message", "complete", text)
    assert text
    assert message["usage"]["input_tokens"] > 100, "instructions and tools were read"
    assert (message["finish_reason"], message["usage"]["output_tokens"]) == ("length", 64)
    assert (status, stored["messages"][-1]["content"]) == (200, text)
