"""Do response times reveal who has an account? `uv run --group benchmarks python -m benchmarks.enumeration --help`.

Known and unknown addresses take turns in random order over one connection, as an attacker would send them from nearby.
The share of pairs in which the known address takes longer (the area under the ROC curve, from the ranks) is 0.5 if
times reveal nothing, and 0 or 1 if one request is enough. It must be between 0.4 and 0.6.
"""

import argparse
import http.client
import json
import platform
import random
import re
import secrets
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlencode

from benchmarks import stores
from benchmarks.post import post
from benchmarks.project import render
from benchmarks.servers import Contender, serving

LOW, HIGH = 0.4, 0.6
PAUSE = 0.03
PASSWORD, WRONG = "seven purple walruses dancing", "nine green otters humming"
Body = tuple[str, dict[str, str]]


def _form(fields: dict[str, str]) -> Body:
    return urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"}


def _json(fields: dict[str, str]) -> Body:
    return json.dumps(fields), {"Content-Type": "application/json"}


CASES: dict[str, tuple[str, int, Callable[[str], Body]]] = {
    "log in, wrong password": ("token", 400, lambda email: _form({"username": email, "password": WRONG})),
    "register": ("register", 202, lambda email: _json({"email": email, "password": PASSWORD})),
    "forgotten password": ("password/forgot", 202, lambda email: _json({"email": email})),
    "verify again": ("verify/request", 202, lambda email: _json({"email": email})),
}


class Attacker:
    """A client that times its requests."""

    def __init__(self, port: int) -> None:
        """Prepare a client, which connects on its first request."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def time(self, path: str, expected: int, body: Body) -> float:
        """Return the response time of a request, in milliseconds."""
        started = time.perf_counter()
        self._connection.request("POST", f"/api/v1/auth/{path}", *body)
        answer = self._connection.getresponse()
        answer.read()
        taken = time.perf_counter() - started
        if answer.status != expected:
            raise RuntimeError(f"{path} responded with {answer.status}")
        time.sleep(PAUSE)
        return taken * 1000


def _share(known: list[float], unknown: list[float]) -> float:
    ranked = sorted(unknown)
    wins = sum(bisect_left(ranked, value) + bisect_right(ranked, value) for value in known)
    return wins / 2 / len(known) / len(unknown)


def _line(name: str, who: str, times: list[float]) -> str:
    cuts = quantiles(times, n=20)
    return f"| {name} | {who} | " + " | ".join(f"{cuts[at]:.1f}" for at in (0, 4, 9, 14, 18)) + " |"


def main() -> None:
    """Render, serve, create accounts, measure, judge."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.enumeration", description=__doc__)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="sqlite")
    parser.add_argument("--times", type=int, default=200, help="requests of each kind (default: 200)")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keel-enumeration-")))
        url, mails = stack.enter_context(post())
        settings = {
            "ENVIRONMENT": "production",
            "ALLOWED_HOSTS": "127.0.0.1",
            "ENV_FILE": "",
            "RATE_LIMIT": "",
            "AUTH_SIGNING_KEYS": secrets.token_urlsafe(32),
            "AUTH_RATE_LIMIT_PER_ACCOUNT": "",
            "AUTH_RATE_LIMIT_PER_IP": "",
            "AUTH_PUBLIC_URL": "https://front.example.com",
            "MAIL_URL": url,
            "MAIL_SENDER": "no-reply@example.com",
        }
        project = render(folder / "project", arguments.database, preset="api")
        migrate = lambda store: project.run("app", "migrate", env=settings | store)  # noqa: E731 - one line, used once
        make = stack.enter_context(getattr(stores, arguments.database)(folder))
        store = stack.enter_context(make("project", migrate))
        contender = Contender("project", project.python, project.path, "app.main:app", settings | store)
        server = stack.enter_context(serving(contender, folder / "server.log"))
        attacker = Attacker(server.port)
        known = [f"known{number}@example.com" for number in range(20)]
        for email in known:
            attacker.time("register", 202, _json({"email": email, "password": PASSWORD}))
            while email not in mails:
                time.sleep(0.01)
            found = re.search(r"#token=([\w-]+)", mails[email])
            attacker.time("verify", 204, _json({"token": found[1] if found else ""}))
        print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {arguments.database}\n")
        print(
            "| case | address | p5 ms | p25 | p50 | p75 | p95 |\n| --- | --- | --- | --- | --- | --- | --- |"
        )
        shares = {}
        for name, (path, expected, body) in CASES.items():
            times: dict[bool, list[float]] = {True: [], False: []}
            turns = [True, False] * arguments.times
            random.shuffle(turns)
            for turn in turns:
                email = random.choice(known) if turn else f"stranger{secrets.token_hex(4)}@example.com"  # noqa: S311 - a measurement
                times[turn].append(attacker.time(path, expected, body(email)))
            print(_line(name, "known", times[True]))
            print(_line(name, "unknown", times[False]))
            shares[name] = _share(times[True], times[False])
        print("\n| case | known takes longer in | |\n| --- | --- | --- |")
        for name, share in shares.items():
            print(
                f"| {name} | {share:.2f} of pairs | {'tells nothing' if LOW <= share <= HIGH else 'TELLS'} |"
            )
    sys.exit(0 if all(LOW <= share <= HIGH for share in shares.values()) else 1)


if __name__ == "__main__":
    main()
