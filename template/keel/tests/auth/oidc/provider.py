"""An OpenID provider that serves on loopback: oidc-provider-mock, which is built on authlib's server.

In front of it stands what it lacks, checking the verifier of PKCE (RFC 7636, 4.6), and what attacks need: changing its
answers, and making ID tokens of its key that it would never make.
"""

import json
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
from httpx2 import AsyncClient
from joserfc import jwk, jwt
from oidc_provider_mock import User, app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app

from keel.auth.oidc.service import s256

Change = Callable[[Any], Any]
"""Turns the JSON that the provider would answer into other JSON."""


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Write nothing."""


class LoopbackProvider:
    """A provider, its users, and injected faults."""

    def __init__(self, people: AsyncClient) -> None:
        self.people = people
        self._app = app(require_nonce=True)
        self._app.before_request(self._hold_storage)
        self._storage: Any = None
        self._server = make_server("localhost", 0, self._serve, threaded=True, request_handler=_Quiet)
        self._mended = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://localhost:{self._server.server_port}"
        self._challenges: dict[str, str] = {}
        self._keys: list[Any] = []
        self.changes: dict[str, Change] = {}
        """By path: what to make of an answer."""
        self.answers: dict[str, object] = {}
        """By path: what is answered whatever was asked for: bytes, an error's status, or something to write as JSON."""
        self.calls: list[str] = []
        """The paths that were asked for."""
        self.delay = self.pause = 0.0
        """Seconds before an answer, and between two bytes of one that is in `answers`."""
        self.authenticated = ""
        """How the last client proved who it is."""

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def clear_faults(self) -> None:
        """Remove all injected faults."""
        self.changes.clear()
        self.answers.clear()
        self.calls.clear()
        self.delay = self.pause = 0.0
        # Ends requests that are kept waiting.
        self._mended.set()
        self._mended = threading.Event()
        if self._keys:
            self._storage.jwk = self._keys[0]

    def knows(self, sub: str, **claims: object) -> None:
        """Add a user."""
        self._storage.store_user(User(sub=sub, claims=claims))

    def rotate(self) -> None:
        """Switch to the other of two keys, and publish only that one."""
        if not self._keys:
            self._keys = [self._storage.jwk, type(self._storage.jwk).generate_key(is_private=True)]
        self._storage.jwk = self._keys[self._storage.jwk is self._keys[0]]

    @property
    def key(self) -> jwk.RSAKey:
        """Return the current signing key."""
        return jwk.RSAKey.import_key(self._storage.jwk.as_dict(is_private=True))

    def change_claims(self, claims: dict[str, Any], *, alg: str = "RS256", key: Any = None) -> None:
        """Change the claims of ID tokens; None removes a claim."""

        def change(token: dict[str, Any]) -> dict[str, Any]:
            said = {**claims_of(token["id_token"]), **claims}
            said = {name: value for name, value in said.items() if value is not None}
            header = {"alg": alg, "kid": self.key.kid}
            return {**token, "id_token": jwt.encode(header, said, key or self.key, [alg])}

        self.changes["/oauth2/token"] = change

    async def authorize(self, location: str, sub: str) -> str:
        """Sign in as a user at the authorization endpoint; return the URL of the provider's redirect."""
        response = await self.people.post(location, data={"sub": sub})
        assert response.is_redirect, response.text
        return response.headers["Location"]

    def _hold_storage(self) -> None:
        self._storage = flask.g.oidc_provider_mock_storage

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(sent)
        self.calls.append(path)
        self._mended.wait(self.delay)
        if path in self.answers:
            return self._answer(self.answers[path], start_response)
        if path == "/oauth2/token" and not self._proven(environ, sent):
            refusal = {"error": "invalid_grant", "error_description": "wrong verifier"}
            return self._answer(refusal, start_response, HTTPStatus.BAD_REQUEST)
        answer, status, headers = run_wsgi_app(self._app, environ)
        body = b"".join(answer)
        if path == "/oauth2/authorize" and "Location" in headers:
            code = parse_qs(urlsplit(headers["Location"]).query).get("code", [""])[0]
            self._challenges[code] = parse_qs(environ["QUERY_STRING"])["code_challenge"][0]
        if change := self.changes.get(path):
            body = json.dumps(change(json.loads(body))).encode()
            headers["Content-Length"] = str(len(body))
        start_response(status, list(headers.items()))
        return [body]

    def _answer(self, answer: object, start_response: Any, status: HTTPStatus = HTTPStatus.OK) -> Iterable[bytes]:
        if isinstance(answer, HTTPStatus):
            answer, status = {"error": "temporarily_unavailable"}, answer
        headers = [("Content-Type", "application/json"), ("Location", f"{self.url}/elsewhere")]
        start_response(f"{int(status)} {status.phrase}", headers)
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return self._drip(body) if self.pause else [body]

    def _drip(self, body: bytes) -> Iterable[bytes]:
        for byte in body:
            yield bytes([byte])
            self._mended.wait(self.pause)

    def _proven(self, environ: dict[str, Any], sent: bytes) -> bool:
        form = parse_qs(sent.decode())
        basic = "client_secret_basic" if environ.get("HTTP_AUTHORIZATION", "").startswith("Basic ") else "none"
        self.authenticated = "client_secret_post" if "client_secret" in form else basic
        challenge = self._challenges.get(form["code"][0])
        return challenge is None or s256(form.get("code_verifier", [""])[0]) == challenge


def claims_of(token: str) -> dict[str, Any]:
    """Return a JWT's claims, unverified."""
    from joserfc.util import urlsafe_b64decode

    return json.loads(urlsafe_b64decode(token.split(".")[1].encode()))
