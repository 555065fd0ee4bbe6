"""Clients that ask the assistant and follow the answer as its page does: across lost connections, after the last event.

The embedded model counts, so a client knows what a whole answer is.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

from tests.proof.front import Unknown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from tests.proof.front import Front
    from tests.proof.notes import Account

CONVERSATIONS = "/api/v1/assistant/conversations"
TITLE = "assistant.title"


def whole(question: str) -> str:
    """What the embedded model answers."""
    return " ".join(str(number) for number in range(1, int(question.removeprefix("Count to ")) + 1))


@dataclass
class Told:
    """What a client was told of an answer."""

    question: str
    answer: str = ""
    """Its id; none until the question is known to have come."""
    text: str = ""
    last: str = ""
    """The id of the last event."""
    message: dict[str, Any] | None = None
    """The answer as it is stored."""


class Asker:
    """A client that asks one question after another, each in a conversation of its own."""

    def __init__(self, front: Front, account: Account) -> None:
        """Ask for an account."""
        self.told: list[Told] = []
        self.wrong: list[str] = []
        self._front = front
        self._headers = account.headers
        self._dice = random.Random(account.name)  # noqa: S311 - it chooses what to ask

    async def run(self, over: asyncio.Event) -> None:
        """Ask until told to stop; the last answer is followed to its end."""
        while not over.is_set():
            try:
                made = await self._front.send("POST", CONVERSATIONS, json={}, headers=self._headers)
            except Unknown:
                await asyncio.sleep(0.2)
                continue
            if made.status_code != 201:
                self.wrong.append(f"conversation: {made.status_code} {made.text[:200]}")
                return
            told = Told(f"Count to {self._dice.randint(20, 200)}")
            self.told.append(told)
            path = f"{CONVERSATIONS}/{made.json()['id']}/messages"
            while told.message is None and await self._connect(path, told):
                pass

    async def _connect(self, path: str, told: Told) -> bool:
        """Ask or go on, over one connection; return whether there is more to come."""
        await asyncio.sleep(0.1)
        method, question = "POST", {"content": told.question}
        if told.answer:
            method, path, question = "GET", f"{path}/{told.answer}/events", None
        headers = {**self._headers, **({"Last-Event-ID": told.last} if told.last else {})}
        url = f"http://{self._front.pick()}{path}"
        try:
            async with self._front.client.stream(method, url, headers=headers, json=question) as answer:
                if answer.status_code != 200:
                    return self._refused(method, answer.status_code, (await answer.aread()).decode(), told)
                ended = False
                async for name, event in _events(answer):
                    ended = name in {"message", "restart"}
                    self._hear(name, event, told)
                if not ended:
                    self._front.see("broken", f"{method} {path}: the stream ended without a last event")
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            self._front.counts["turned to another"] += 1
            return True
        except httpx2.HTTPError as error:
            self._front.see("broken", f"{method} {path}: {error!r}")
        return bool(told.answer)

    def _refused(self, method: str, status: int, text: str, told: Told) -> bool:
        if "about to stop" in text:
            self._front.counts["refused by a process that stops"] += 1
            return True
        if status >= 500:
            self._front.see("5xx", f"{method} an answer: {status} {text[:200]}")
            return bool(told.answer)
        self.wrong.append(f"{method} {told.question}: {status} {text[:200]}")
        return False

    def _hear(self, name: str, event: dict[str, str], told: Told) -> None:
        data = json.loads(event["data"])
        told.last = event.get("id", told.last)
        if name == "started":
            told.answer = data["answer"]["id"]
        elif name == "token":
            if data["offset"] != len(told.text):
                self.wrong.append(f"{told.question}: text at {data['offset']}, known was {len(told.text)}")
            told.text += data["text"]
        elif name == "message":
            told.message = data


async def _events(answer: httpx2.Response) -> AsyncIterator[tuple[str, dict[str, str]]]:
    event: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(":")
        if line:
            event[name] = value.removeprefix(" ")
        elif event:
            if "event" in event:
                yield event["event"], event
            event = {}


async def unfinished(database: asyncpg.Connection) -> int:
    """Return how many answers are under way."""
    return int(await database.fetchval("SELECT count(*) FROM llm_answers"))


async def titles_under_way(database: asyncpg.Connection) -> int:
    """Return how many titles the worker is about to make."""
    query = "SELECT count(*) FROM celery_tasks WHERE name = $1 AND state = 'running'"
    return int(await database.fetchval(query, TITLE))


async def reckon(database: asyncpg.Connection, askers: Sequence[Asker]) -> list[str]:
    """No answer claims to be whole that is not, each client was told what is stored, and the tokens add up."""
    wrong = [text for asker in askers for text in asker.wrong]
    rows = {
        str(row["id"]): row
        for row in await database.fetch(
            "SELECT a.id, a.state, a.content, q.content AS question FROM assistant_messages a "
            "JOIN assistant_messages q ON q.id = a.parent_id WHERE a.role = 'assistant'"
        )
    }
    for row in rows.values():
        expected = whole(row["question"])
        if row["state"] == "complete" and row["content"] != expected:
            wrong.append(f"{row['question']} claims to be whole: {row['content'][-40:]!r}")
        elif row["state"] not in {"complete", "interrupted"} or not expected.startswith(row["content"]):
            wrong.append(f"{row['question']} is {row['state']}: {row['content'][-40:]!r}")
    for told in (told for asker in askers for told in asker.told if told.answer):
        row = rows.get(told.answer)
        if row is None or told.message is None:
            wrong.append(f"{told.question} began and is lost")
        elif (told.message["state"], told.message["content"]) != (row["state"], row["content"]):
            wrong.append(f"{told.question}: told was {told.message['state']}, stored is {row['state']}")
        elif not _as_stored(told.text, row):
            wrong.append(
                f"{told.question}: the stream had {told.text[-40:]!r}, stored is {row['content'][-40:]!r}"
            )
    counted = await database.fetch(
        "SELECT c.owner_id, sum(m.input_tokens)::bigint AS read, sum(m.output_tokens)::bigint AS written "
        "FROM assistant_messages m JOIN assistant_conversations c ON c.id = m.conversation_id "
        "WHERE m.role = 'assistant' GROUP BY c.owner_id"
    )
    used = await database.fetch(
        "SELECT owner_id, sum(input_tokens)::bigint AS read, sum(output_tokens)::bigint AS written "
        "FROM llm_usage WHERE purpose = 'answers' GROUP BY owner_id"
    )
    if {tuple(row) for row in counted} != {tuple(row) for row in used}:
        wrong.append(f"tokens: messages have {counted}, accounts {used}")
    return wrong + await _titles(database)


async def _titles(database: asyncpg.Connection) -> list[str]:
    """Every whole answer has given its conversation a title, counted once however often it was tried."""
    rows = await database.fetch(
        "SELECT c.title, q.content AS question, a.state FROM assistant_conversations c "
        "JOIN assistant_messages a ON a.conversation_id = c.id AND a.role = 'assistant' "
        "JOIN assistant_messages q ON q.id = a.parent_id"
    )
    wrong = [
        f"{row['question']} is {row['state']}, its title {row['title']!r}"
        for row in rows
        if row["title"] != (row["question"] if row["state"] == "complete" else None)
    ]
    # A job that has succeeded leaves no row.
    left = await database.fetch("SELECT state, last_error FROM celery_tasks WHERE name = $1", TITLE)
    wrong += [f"a title is {row['state']}: {row['last_error']}" for row in left]
    words = sum(len(row["title"].split()) for row in rows if row["title"])
    used = await database.fetchval("SELECT sum(output_tokens)::bigint FROM llm_usage WHERE purpose = 'title'")
    if words != (used or 0):
        wrong.append(f"titles have {words} tokens, accounts {used}")
    return wrong


def _as_stored(text: str, row: asyncpg.Record) -> bool:
    """Whether a stream had what is stored; of an answer that was lost, what came after the last heartbeat, too."""
    if row["state"] == "interrupted":
        return text.startswith(row["content"]) and whole(row["question"]).startswith(text)
    return bool(text == row["content"])


def title_attempts(log: str) -> Counter[int]:
    """Return how many titles took how many attempts, by what the worker has logged."""
    lines = [
        json.loads(line) for line in log.splitlines() if f'"{TITLE}"' in line and '"task_succeeded"' in line
    ]
    return Counter(line["attempt"] for line in lines)


def summary(askers: Sequence[Asker], titles: Counter[int]) -> str:
    """Say how many answers there were, and how they ended; how many titles took how many attempts."""
    states = Counter(
        told.message["state"] if told.message else "not begun" for asker in askers for told in asker.told
    )
    return f"answers of the assistant: {dict(states)}; titles by attempts: {dict(titles)}"
