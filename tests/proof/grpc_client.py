"""Clients of gRPC: they write notes and follow changes as those of HTTP do, and balance by themselves."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import TYPE_CHECKING, Any

import grpc

from tests.proof import stubs
from tests.proof.front import Unknown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.proof.front import Front
    from tests.proof.notes import Account

UNAVAILABLE, BROKEN, STREAM_ENDED = "UNAVAILABLE", "grpc broken", "stream UNAVAILABLE"
"""Kinds of trouble: a server has answered so; no server has answered; a server has ended a stream."""

TIMEOUT = 60.0
"""Seconds after which a call is given up: no answer takes as long."""

CONFIG = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}
OPTIONS = [
    # As keel/docs/features/grpc.md of the project has it.
    ("grpc.service_config", json.dumps(CONFIG)),
    # Servers come back where they were; elsewhere a name would lead to new ones at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_http_proxy", 0),
]


class Servers:
    """One channel to all servers, and what it takes to call them."""

    def __init__(self, front: Front, project: Path, ports: Sequence[int]) -> None:
        """Connect when something is called; trouble is told to the front."""
        self.front = front
        self.seconds: list[float] = []
        self.messages, services = stubs.load(project)
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.channel = grpc.aio.insecure_channel(f"ipv4:{addresses}", OPTIONS)
        self.stub: Any = services.NotesServiceStub(self.channel)

    async def call(self, account: Account, method: str, request: Any) -> Any:  # noqa: ANN401 - generated
        """Return an answer. Where no server listens, wait for one: the call has reached none.

        Raises:
            grpc.aio.AioRpcError: NOT_FOUND or ABORTED.
            Unknown: the call has failed otherwise.
        """
        begun = time.monotonic()
        try:
            answer = await getattr(self.stub, method)(
                request, timeout=TIMEOUT, wait_for_ready=True, metadata=credentials(account)
            )
        except grpc.aio.AioRpcError as error:
            self.front.counts[f"grpc {error.code().name}"] += 1
            if error.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED}:
                raise
            self.front.see(kind(error), f"{method}: {error.code().name} {error.details()}")
            raise Unknown from error
        self.front.counts["grpc OK"] += 1
        self.seconds.append(time.monotonic() - begun)
        return answer


def credentials(account: Account) -> tuple[tuple[str, str], ...]:
    """Return metadata that says who calls."""
    return (("authorization", account.headers["Authorization"]),)


def kind(error: grpc.aio.AioRpcError) -> str:
    """Return which kind of trouble this is: every answer of a server has an id, no error of the library's own has."""
    if error.code() is not grpc.StatusCode.UNAVAILABLE:
        return error.code().name
    return UNAVAILABLE if "x-request-id" in dict(error.trailing_metadata() or ()) else BROKEN


class Writer:
    """A client that writes notes and remembers what each was last seen as."""

    def __init__(self, servers: Servers, account: Account, name: str) -> None:
        """Write as an account; the name marks the notes."""
        self._servers = servers
        self._account = account
        self._name = name
        self._etags: dict[str, str] = {}
        self._dice = random.Random(name)  # noqa: S311 - it chooses what to do

    async def run(self, over: asyncio.Event) -> None:
        """Create, change, delete and read notes, until told to stop."""
        number = 0
        while not over.is_set():
            number += 1
            try:
                await self._create(f"{self._name}-{number}")
                if self._dice.random() < 0.4:
                    await self._change(self._one(), f"{self._name} changed {number}")
                if self._dice.random() < 0.1:
                    await self._delete(self._one())
                if self._etags:
                    await self._read(self._one())
            except Unknown:
                pass
            await asyncio.sleep(self._dice.uniform(0.02, 0.1))

    def _one(self) -> str:
        return self._dice.choice(list(self._etags))

    async def _call(self, method: str, **fields: Any) -> Any:  # noqa: ANN401 - generated
        request = getattr(self._servers.messages, f"{method}Request")(**fields)
        return await self._servers.call(self._account, method, request)

    async def _create(self, title: str) -> None:
        asked = time.monotonic()
        try:
            note = (await self._call("CreateNote", note={"title": title, "body": "new"})).note
        except Unknown:
            self._account.maybe.add(title)
            raise
        self._account.notes[note.id] = {"new"}
        self._account.created[note.id] = asked
        self._etags[note.id] = note.etag

    async def _change(self, note: str, body: str) -> None:
        """Change what was seen last; then change it again by the etag of before, which must fail."""
        seen = self._etags[note]
        try:
            self._etags[note] = (await self._update(note, body, seen)).note.etag
        except Unknown:
            self._account.notes[note].add(body)
            raise
        except grpc.aio.AioRpcError as error:
            self._refused("change", note, error)
            await self._read(note)
            return
        self._account.notes[note] = {body}
        try:
            await self._update(note, "made with an etag of before", seen)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.ABORTED:
                return
        self._account.wrong.append(f"change of {note} with an etag of before: not ABORTED")

    async def _update(self, note: str, body: str, etag: str) -> Any:  # noqa: ANN401 - generated
        changed = {"id": note, "body": body, "etag": etag}
        return await self._call("UpdateNote", note=changed, update_mask={"paths": ["body"]})

    async def _delete(self, note: str) -> None:
        try:
            await self._call("DeleteNote", id=note, etag=self._etags.pop(note))
        except Unknown:
            self._account.notes[note].add(None)
            raise
        except grpc.aio.AioRpcError as error:
            self._refused("delete", note, error)
            return
        self._account.notes[note] = {None}

    def _refused(self, what: str, note: str, error: grpc.aio.AioRpcError) -> None:
        """Only after a change without an answer may a note be something else than was seen."""
        allowed = self._account.notes[note]
        if error.code() is not grpc.StatusCode.ABORTED or len(allowed) == 1:
            self._account.wrong.append(f"{what} of {note}: {error.code().name}, and it is {allowed}")

    async def _read(self, note: str) -> None:
        try:
            found = (await self._call("GetNote", id=note)).note
        except grpc.aio.AioRpcError as error:
            self._account.wrong.append(f"read of {note}: {error.code().name}")
            return
        if found.body not in self._account.notes[note]:
            self._account.wrong.append(f"read: {found.body!r}, not {self._account.notes[note]}")
        self._etags[note] = found.etag


async def watch(servers: Servers, account: Account, listening: asyncio.Event) -> None:
    """Follow changes until cancelled: call again when the stream ends, and resume after the last response."""
    messages, listener, token = servers.messages, account.listeners["WatchNotes"], ""
    while True:
        call = servers.stub.WatchNotes(
            messages.WatchNotesRequest(resume_token=token), wait_for_ready=True, metadata=credentials(account)
        )
        try:
            await call.initial_metadata()
            listening.set()
            async for response in call:
                token = response.resume_token or token
                if response.event == messages.NOTE_EVENT_RESET:
                    listener.resets.append(time.monotonic())
                elif response.event == messages.NOTE_EVENT_CREATED:
                    listener.created.add(response.note.id)
            servers.front.see("stream OK", "WatchNotes ended without a reason")
        except grpc.aio.AioRpcError as error:
            found = kind(error)
            servers.front.counts[f"grpc stream: {found}"] += 1
            what = f"WatchNotes: {error.code().name} {error.details()}"
            servers.front.see(STREAM_ENDED if found == UNAVAILABLE else found, what)
        finally:
            call.cancel()
        await asyncio.sleep(0.1)
