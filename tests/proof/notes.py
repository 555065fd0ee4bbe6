"""Clients that write notes and read them back, listen to them and export them; each remembers what was acknowledged."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2

from tests.proof.front import Unknown

if TYPE_CHECKING:
    from tests.proof.front import Front

NOTES, TASKS = "/api/v1/notes", "/api/v1/tasks"


@dataclass
class Listener:
    """What a subscriber has received of the changes of its account's notes."""

    created: set[str] = field(default_factory=set)
    resets: list[float] = field(default_factory=list)


@dataclass
class Account:
    """An account, and everything that the API has promised it."""

    name: str
    headers: dict[str, str]
    notes: dict[str, set[str | None]] = field(default_factory=dict)
    """What the body of each note can be; None: it is gone. One thing, unless an answer is unknown."""
    created: dict[str, float] = field(default_factory=dict)
    """When each was asked for: a `reset` that is heard later may stand for it, though its answer comes later still."""
    maybe: set[str] = field(default_factory=set)
    """Titles of notes whose creation has no answer."""
    listeners: dict[str, Listener] = field(
        default_factory=lambda: {"events": Listener(), "WatchNotes": Listener()}
    )
    """By HTTP and by gRPC; each hears of all changes, however they were made."""
    exports: dict[str, str] = field(default_factory=dict)
    """Tasks that were accepted, by the key that each was asked for with."""
    wrong: list[str] = field(default_factory=list)


async def write(front: Front, account: Account, name: str, over: asyncio.Event) -> None:
    """Create, change, delete and read notes, until told to stop."""
    dice = random.Random(name)  # noqa: S311 - it chooses what to do
    mine: list[str] = []
    number = 0
    while not over.is_set():
        number += 1
        try:
            await _create(front, account, f"{name}-{number}", mine)
            if dice.random() < 0.4:
                await _change(front, account, dice.choice(mine), f"{name} changed {number}")
            if dice.random() < 0.1:
                await _delete(front, account, mine.pop(dice.randrange(len(mine))))
            if mine:
                await _read(front, account, dice.choice(mine))
        except Unknown:
            pass
        await asyncio.sleep(dice.uniform(0.02, 0.1))


async def _create(front: Front, account: Account, title: str, mine: list[str]) -> None:
    asked = time.monotonic()
    try:
        answer = await front.send(
            "POST", NOTES, json={"title": title, "body": "new"}, headers=account.headers
        )
    except Unknown:
        account.maybe.add(title)
        raise
    if answer.status_code != 201:
        account.wrong.append(f"create: {answer.status_code} {answer.text[:200]}")
        return
    note = str(answer.json()["id"])
    account.notes[note] = {"new"}
    account.created[note] = asked
    mine.append(note)


async def _change(front: Front, account: Account, note: str, body: str) -> None:
    try:
        answer = await front.send("PATCH", f"{NOTES}/{note}", json={"body": body}, headers=account.headers)
    except Unknown:
        account.notes[note].add(body)
        raise
    if answer.status_code == 200:
        account.notes[note] = {body}
    elif answer.status_code != 404 or None not in account.notes[note]:
        account.wrong.append(f"change: {answer.status_code} {answer.text[:200]}")


async def _delete(front: Front, account: Account, note: str) -> None:
    try:
        answer = await front.send("DELETE", f"{NOTES}/{note}", headers=account.headers)
    except Unknown:
        account.notes[note].add(None)
        raise
    if answer.status_code == 204:
        account.notes[note] = {None}
    else:
        account.wrong.append(f"delete: {answer.status_code} {answer.text[:200]}")


async def _read(front: Front, account: Account, note: str) -> None:
    answer = await front.send("GET", f"{NOTES}/{note}", headers=account.headers)
    found = answer.json()["body"] if answer.status_code == 200 else None
    if found not in account.notes[note]:
        account.wrong.append(f"read: {answer.status_code} {found!r}, not {account.notes[note]}")


async def listen(front: Front, account: Account, over: asyncio.Event) -> None:
    """Listen to the changes of one's notes as a browser does: come back, and resume after the last event."""
    last = ""
    while not over.is_set():
        headers = {**account.headers, **({"Last-Event-ID": last} if last else {})}
        url = f"http://{front.pick()}{NOTES}/events"
        event: dict[str, str] = {}
        try:
            async with front.client.stream("GET", url, headers=headers, timeout=None) as answer:
                if answer.status_code != 200:
                    front.counts[f"stream {answer.status_code}"] += 1
                async for line in answer.aiter_lines():
                    name, _, value = line.partition(":")
                    if line:
                        event[name] = value.removeprefix(" ")
                        continue
                    last = event.get("id", last)
                    _hear(account.listeners["events"], event)
                    event = {}
            front.counts["streams ended"] += 1
            if event:
                front.see("broken", "a stream ended in the midst of an event")
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            front.counts["turned to another"] += 1
        except httpx2.HTTPError as error:
            front.see("broken", f"stream: {error!r}")
        await asyncio.sleep(0.1)


def _hear(listener: Listener, event: dict[str, str]) -> None:
    if event.get("event") == "reset":
        listener.resets.append(time.monotonic())
    elif event.get("event") == "created":
        listener.created.add(str(json.loads(event["data"])["id"]))


async def export(front: Front, account: Account, over: asyncio.Event) -> None:
    """Ask for exports with a key, as often as it takes to get an answer; one after the other is waited for."""
    number = 0
    while not over.is_set():
        number += 1
        key = f"{account.name}-{number}"
        task = await _ask(front, account, key, over)
        while task and not over.is_set():
            await asyncio.sleep(0.5)
            try:
                state = (await front.send("GET", f"{TASKS}/{task}", headers=account.headers)).json()["state"]
            except Unknown:
                continue
            if state not in {"pending", "running"}:
                break


async def _ask(front: Front, account: Account, key: str, over: asyncio.Event) -> str | None:
    headers = {**account.headers, "Idempotency-Key": key}
    while not over.is_set():
        try:
            answer = await front.send("POST", f"{TASKS}/exports", json={"kind": "notes"}, headers=headers)
        except Unknown:
            await asyncio.sleep(0.2)
            continue
        if answer.status_code == 202:
            account.exports[key] = str(answer.json()["id"])
            return account.exports[key]
        account.wrong.append(f"export: {answer.status_code} {answer.text[:200]}")
        await asyncio.sleep(1)
    return None
