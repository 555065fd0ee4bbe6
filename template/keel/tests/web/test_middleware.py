"""The middleware of every request."""

import json
import re
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient, Response
from starlette.types import Receive, Scope, Send

from keel.application import new_app
from keel.testing.support import running


async def test_request_id_is_generated(client: AsyncClient) -> None:
    """Each request has its own id."""
    first, second = [(await client.get("/healthz")).headers["X-Request-ID"] for _ in range(2)]

    assert first != second


async def test_request_id_of_a_proxy_is_kept(client: AsyncClient) -> None:
    """A request can be traced from the proxy on."""
    answer = await client.get("/healthz", headers={"X-Request-ID": "abc-123"})

    assert answer.headers["X-Request-ID"] == "abc-123"


async def test_invalid_request_id_is_replaced(client: AsyncClient) -> None:
    """Callers can't write arbitrary text into the logs."""
    for value in ["", "a b", "x" * 129, 'a"b']:
        answer = await client.get("/healthz", headers={"X-Request-ID": value})

        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"]), value


async def test_security_headers(client: AsyncClient) -> None:
    """Every response has them, errors too."""
    for path in ("/healthz", "/nowhere"):
        headers = (await client.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "Strict-Transport-Security" not in headers


async def test_compression(client: AsyncClient) -> None:
    """Long responses are compressed for clients that accept it."""
    answer = await client.get("/openapi.json", headers={"Accept-Encoding": "gzip"})

    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.json()["openapi"]


async def test_probes_behind_a_path_prefix(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes are exempt from host check and rate limit when a server prepends `root_path`; other paths are not."""
    monkeypatch.setenv("ALLOWED_HOSTS", "api.example.com")
    monkeypatch.setenv("RATE_LIMIT", "1/hour")
    app = new_app()

    async def below(scope: Scope, receive: Receive, send: Send) -> None:
        prefixed = {"path": f"/shop{scope['path']}", "root_path": "/shop"} if scope["type"] == "http" else {}
        await app({**scope, **prefixed}, receive, send)

    async with running(app), AsyncClient(transport=ASGITransport(below), base_url="http://10.0.0.7") as client:
        assert [(await client.get("/healthz")).status_code for _ in range(3)] == [200] * 3
        assert (await client.get("/nowhere")).status_code == 400
        ours = {"Host": "api.example.com"}
        assert [(await client.get("/nowhere", headers=ours)).status_code for _ in range(2)] == [404, 429]


async def test_documentation_behind_a_path_prefix(app: FastAPI) -> None:
    """The pages' URLs, the operations and sign-in include the prefix; without a proxy, nothing changes."""

    async def below(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "path": f"/shop{scope['path']}", "root_path": "/shop"}, receive, send)

    async with AsyncClient(transport=ASGITransport(below), base_url="http://test") as client:
        document = (await client.get("/openapi.json")).json()
        page = (await client.get("/docs")).text
    plain = app.openapi()

    assert document["servers"] == [{"url": "/shop"}]
    assert "servers" not in plain
    assert "url: '/shop/openapi.json'" in page
    urls, plain_urls = _sign_in_urls(document), _sign_in_urls(plain)
    assert urls == [f"/shop{url}" for url in plain_urls]


def _sign_in_urls(document: dict[str, Any]) -> list[str]:
    schemes = document["components"].get("securitySchemes", {}).values()
    flows = [flow for scheme in schemes for flow in scheme.get("flows", {}).values()]
    return [value for flow in flows for name, value in flow.items() if name.endswith("Url")]


@pytest.fixture
def deployed(environment: None, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Return an application as in a deployment."""
    monkeypatch.setenv("ALLOWED_HOSTS", "test,*.example.com,[::1]")
    monkeypatch.setenv("CORS_ORIGINS", "https://front.example.com")
    monkeypatch.setenv("API_DOCS", "false")
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    monkeypatch.setenv("ENVIRONMENT", "staging")
    return new_app()


async def test_allowed_hosts(deployed: FastAPI) -> None:
    """They match with any port and in any case; a wildcard matches subdomains."""
    async with running(deployed) as client:
        for host in ["test", "TEST:8000", "a.example.com", "[::1]:8000"]:
            assert (await client.get("/nowhere", headers={"Host": host})).status_code == 404, host


async def test_two_hosts(deployed: FastAPI) -> None:
    """Two Host headers are refused, because a proxy may use the other one (RFC 9112, section 3.2)."""
    async with running(deployed) as client:
        answer = await client.get("/nowhere", headers=[("Host", "test"), ("Host", "a.example.com")])

    assert answer.request.headers.get_list("Host") == ["test", "a.example.com"]
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:unknown-host")


async def test_other_hosts(deployed: FastAPI) -> None:
    """They get a problem document."""
    async with running(deployed) as client:
        for host in ["evil.com", "example.com", "test.evil.com", "a.example.com.evil.com", "[::2]", ""]:
            answer = await client.get("/nowhere", headers={"Host": host})

            assert answer.status_code == 400, host
            assert answer.json()["type"] == "urn:problem:unknown-host"


async def test_probes_may_use_addresses(deployed: FastAPI) -> None:
    """An orchestrator probes by IP address."""
    async with running(deployed) as client:
        assert (await client.get("/healthz", headers={"Host": "10.0.0.7:8000"})).status_code == 200


async def test_hsts_in_deployments(deployed: FastAPI) -> None:
    """Browsers return over HTTPS only."""
    async with running(deployed) as client:
        answer = await client.get("/healthz")

    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


async def test_documentation_can_be_switched_off(deployed: FastAPI) -> None:
    """Not every API is meant to be public."""
    async with running(deployed) as client:
        assert [(await client.get(path)).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404] * 3


async def test_cors_origins(deployed: FastAPI) -> None:
    """Scripts from an allowed origin can read responses and their headers; others cannot."""
    async with running(deployed) as client:
        allowed = await client.get("/healthz", headers={"Origin": "https://front.example.com"})
        other = await client.get("/healthz", headers={"Origin": "https://evil.com"})

    assert allowed.headers["Access-Control-Allow-Origin"] == "https://front.example.com"
    assert "ETag" in allowed.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in other.headers


async def test_cors_headers(deployed: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A preflight allows only the platform's headers, those for tracing and retries, and the project's."""
    asked = {"Origin": "https://front.example.com", "Access-Control-Request-Method": "HEAD"}
    known = "authorization,content-type,idempotency-key,if-match,traceparent,tracestate,x-request-id"
    monkeypatch.setenv("CORS_HEADERS", "X-Tenant")
    async with running(deployed) as plain, running(new_app()) as more:
        assert (await _preflight(plain, asked, known)).status_code == 200
        assert (await _preflight(plain, asked, "x-tenant")).status_code == 400
        assert (await _preflight(more, asked, f"{known},x-tenant")).status_code == 200


async def _preflight(client: AsyncClient, asked: dict[str, str], headers: str) -> Response:
    return await client.options("/healthz", headers={**asked, "Access-Control-Request-Headers": headers})


async def test_access_line(deployed: FastAPI, capsys: pytest.CaptureFixture[str]) -> None:
    """A request writes one line, with its id and duration and without its query."""
    async with running(deployed) as client:
        capsys.readouterr()
        answer = await client.get("/nowhere?token=s3cret")

    (line,) = [json.loads(text) for text in capsys.readouterr().out.splitlines() if '"request"' in text]
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/nowhere", 404)
    assert line["duration_ms"] > 0
    assert line["level"] == "info"
    assert "s3cret" not in str(line)
