"""How the clients reach the API: as through a balancer, which turns to another server when one does not listen."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.proof.system import Api


class Unknown(Exception):  # noqa: N818 - the outcome is unknown, which is no error
    """There is no answer, or one that says that something is wrong: what was asked for may have happened or not."""


@dataclass
class Trouble:
    """Something that a client saw and should not see at any time."""

    at: float
    kind: str
    """`5xx`; `broken`: the connection ended in the midst of a request or its answer; gRPC: `grpc_client.kind`."""
    what: str


@dataclass
class Front:
    """The addresses of the API, and what clients saw there."""

    apis: Sequence[Api]
    troubles: list[Trouble] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - it chooses servers

    def __post_init__(self) -> None:
        """Keep connections alive, as balancers do."""
        limits = httpx2.Limits(max_connections=100, max_keepalive_connections=50)
        self.client = httpx2.AsyncClient(timeout=httpx2.Timeout(30), limits=limits, trust_env=False)

    def pick(self) -> str:
        """Return the address of one of the servers."""
        return f"127.0.0.1:{self.dice.choice(self.apis).port}"

    def see(self, kind: str, what: str) -> None:
        """Remember trouble."""
        self.troubles.append(Trouble(time.monotonic(), kind, what))

    async def send(self, method: str, path: str, **options: Any) -> httpx2.Response:  # noqa: ANN401 - as the client's
        """Return an answer.

        Raises:
            Unknown: it is a 5xx, or the connection broke.
        """
        while True:
            begun = time.monotonic()
            try:
                answer = await self.client.request(method, f"http://{self.pick()}{path}", **options)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                # The request reached no server: a balancer asks the next one.
                self.counts["turned to another"] += 1
                await asyncio.sleep(0.05)
                continue
            except httpx2.HTTPError as error:
                self.see("broken", f"{method} {path}: {error!r}")
                raise Unknown from error
            self.counts[f"{answer.status_code // 100}xx"] += 1
            self.seconds.append(time.monotonic() - begun)
            if answer.status_code >= 500:
                self.see("5xx", f"{method} {path}: {answer.status_code} {answer.text[:200]}")
                raise Unknown
            return answer
