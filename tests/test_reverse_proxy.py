"""A project below a path of a real reverse proxy that strips the path: nginx in front of both servers."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import socket
import urllib.parse
from typing import TYPE_CHECKING, Any

import pytest

from tests.machinery.programs import program, running
from tests.machinery.rendering import render
from tests.machinery.serving import PATIENCE, Isolated, free_port, request, sign_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machinery.resources import Resources

ROOT = "/shop"
UVICORN = ("uvicorn", "app.main:app", "--port", "{port}", "--root-path", ROOT)
GUNICORN = ("env", "PORT={port}", "gunicorn", "--config", "deploy/gunicorn.conf.py", "app.main:app")
CONFIGURATION = """daemon off;
{user}
pid {place}/pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    server {{
        listen 127.0.0.1:{listen};
        location {root}/ {{
            proxy_pass {upstream}/;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
        }}
    }}
}}
"""


@pytest.fixture(scope="module", params=[UVICORN, GUNICORN], ids=["uvicorn", "gunicorn"])
def served(
    request: pytest.FixtureRequest, resources: Resources, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Isolated, str]]:
    """A project behind nginx: the address below its path, the project, and the server's own address."""
    nginx = program("nginx")
    place = tmp_path_factory.mktemp("proxied")
    answers = {"preset": "minimal", "auth": True, "websockets": True}
    project = render(resources.template, place / "project", answers)
    listen = free_port()
    shared = {"UV_PROJECT_ENVIRONMENT": str(resources.python.parents[1]), "UV_NO_SYNC": "1"}
    variables = {
        "ENVIRONMENT": "local",
        "ENV_FILE": "",
        "ALLOWED_HOSTS": "127.0.0.1",
        "ROOT_PATH": ROOT,
        "WEB_CONCURRENCY": "1",
        "RATE_LIMIT": "200/hour",
        "AUTH_PUBLIC_URL": f"http://127.0.0.1:{listen}{ROOT}",
    }
    isolated = Isolated(project, variables | shared)
    isolated.must("run", "python", "-m", "app", "migrate")
    with isolated.served(*request.param) as (upstream, _):
        file = place / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        text = CONFIGURATION.format(user=user, place=place, listen=listen, root=ROOT, upstream=upstream)
        file.write_text(text, encoding="utf-8")
        command = (nginx, "-c", str(file), "-p", str(place))
        with running(command, place / "nginx.log", lambda: _connect(listen).close()):
            yield f"http://127.0.0.1:{listen}{ROOT}", isolated, upstream


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def _head(url: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    """The status and headers of a GET, redirects not followed."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", parts.path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def test_below_the_path(served: tuple[str, Isolated, str]) -> None:
    """Notes, their links, the pages, the document and sign-in URLs include the path."""
    address, isolated, _ = served
    caller = sign_in(isolated, address)
    host = address.removesuffix(ROOT)
    form = {"title": "Ahoy"}
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc, timeout=PATIENCE)
    with contextlib.closing(connection):
        headers = {"Content-Type": "application/json", **caller}
        connection.request("POST", f"{ROOT}/api/v1/notes", json.dumps(form), headers)
        answer = connection.getresponse()
        note, location = json.load(answer), answer.headers["Location"]
    assert location == f"{ROOT}/api/v1/notes/{note['id']}"
    assert request("GET", f"{host}{location}", headers=caller) == (200, note)
    _, listed = _head(f"{address}/api/v1/notes", caller)
    assert f"<{ROOT}/api/v1/notes>" in listed["link"]

    status, document = request("GET", f"{address}/openapi.json")
    assert (status, document["servers"]) == (200, [{"url": ROOT}])
    token_url = _token_url(document)
    assert token_url == f"{ROOT}/api/v1/auth/token"
    assert request("POST", f"{host}{token_url}")[1]["error"] == "invalid_request"
    for page in ("/docs", "/redoc"):
        assert _head(f"{address}{page}", {})[0] == 200
    assert _head(f"{address}/demo", {})[1]["location"] == f"{ROOT}/demo/"
    assert _head(f"{address}/demo/", {})[0] == 200


def _token_url(document: dict[str, Any]) -> str:
    (scheme,) = (each for each in document["components"]["securitySchemes"].values() if "flows" in each)
    return str(scheme["flows"]["password"]["tokenUrl"])


def test_probes(served: tuple[str, Isolated, str]) -> None:
    """They work with other host names, through the proxy or directly, without a limit; other requests do not."""
    address, _, upstream = served
    for place in (address, upstream):
        for path in ("/healthz", "/readyz"):
            assert request("GET", f"{place}{path}", headers={"Host": "10.0.0.7"})[0] == 200
        assert request("GET", f"{place}/nowhere", headers={"Host": "10.0.0.7"})[0] == 400
        assert not {"ratelimit", "ratelimit-policy"} & _head(f"{place}/healthz", {})[1].keys()


def test_events(served: tuple[str, Isolated, str]) -> None:
    """A stream's events arrive while it is open."""
    address, isolated, _ = served
    caller = sign_in(isolated, address)
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", f"{parts.path}/api/v1/notes/events", headers=caller)
        stream = connection.getresponse()
        assert stream.status == 200
        status, _ = request("POST", f"{address}/api/v1/notes", {"title": "Heard"}, caller)
        assert status == 201
        while b"Heard" not in (line := stream.readline()):
            assert line, "the stream ended"


def test_sockets(served: tuple[str, Isolated, str]) -> None:
    """A socket opens below the path, and messages come back."""
    address, isolated, _ = served
    caller = sign_in(isolated, address)
    parts = urllib.parse.urlsplit(address)
    status, room = request("POST", f"{address}/api/v1/chat/rooms", {"name": "Quay"}, caller)
    assert status == 201, room
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {parts.path}/api/v1/chat/rooms/{room['id']}/ws HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        f"Authorization: {caller['Authorization']}",
    ]
    with _connect(parts.port or 80) as socket_:
        socket_.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = socket_.recv(4096)
    assert b" 101 " in answer.partition(b"\r\n")[0], answer
