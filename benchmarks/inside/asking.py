"""Requests to an application in this process, without a server between: what is counted is the application's."""

import json
from typing import Any

HEADERS = [
    (b"host", b"127.0.0.1"),
    (b"user-agent", b"benchmark"),
    (b"accept", b"*/*"),
]


class Asker:
    """Sends requests to an ASGI application, with an access token if there is one."""

    def __init__(self, app: Any, token: str = "") -> None:
        """Send each request to this application."""
        self.app = app
        self.headers = [*HEADERS, (b"authorization", f"Bearer {token}".encode())] if token else HEADERS

    async def ask(self, method: str, target: str, body: bytes = b"") -> bytes:
        """Return the body of an answer.

        Raises:
            RuntimeError: the status is no success.
        """
        path, _, query = target.partition("?")
        headers = list(self.headers)
        if body:
            headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 50000),
            "scheme": "http",
            "root_path": "",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
            "state": {},
        }
        status, parts = 0, []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        await self.app(scope, receive, send)
        answer = b"".join(parts)
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {target}: {status} {answer[:500]!r}")
        return answer

    async def json(self, method: str, target: str, body: bytes = b"") -> Any:
        """Return what an answer holds."""
        return json.loads(await self.ask(method, target, body))
