"""The log of an answer: its text, and tool calls at offsets in it. A position in the log is the id of an event.

The log is append-only, so a position means the same in every process, and everything after it can be sent to a client
that was disconnected for any length of time.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi.sse import ServerSentEvent

_POSITION = re.compile(r"([0-9]{1,9})-([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a log: characters of text (code points), and events of tools."""

    characters: int = 0
    tools: int = 0

    def __str__(self) -> str:
        """Return the position as the id of an event."""
        return f"{self.characters}-{self.tools}"

    @classmethod
    def parse(cls, text: str | None) -> "Position":
        """Return the position of an id; the beginning if the id is unknown."""
        found = _POSITION.fullmatch(text or "")
        return cls(int(found[1]), int(found[2])) if found else cls()


class AnswerLog:
    """The log of an answer, with one producer and any number of followers."""

    def __init__(self) -> None:
        self.text = ""
        self.tools: list[dict[str, Any]] = []
        """Events of tools; `offset` is the length of the text before."""
        self.ended = False
        """Whether the log is complete."""
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def end(self) -> Position:
        """The current end of the log."""
        return Position(len(self.text), len(self.tools))

    def add_text(self, text: str) -> None:
        """Add text."""
        self.text += text
        self._wake()

    def add_tool(self, event: dict[str, Any]) -> None:
        """Add an event of a tool."""
        self.tools.append({**event, "offset": len(self.text)})
        self._wake()

    def close(self) -> None:
        """Mark the log as complete."""
        self.ended = True
        self._wake()

    def merge(self, start: Position, text: str, tools: Sequence[dict[str, Any]]) -> None:
        """Add the new content of a part that begins at a position; nothing if there is a gap before it."""
        known = self.end
        if start.characters > known.characters or start.tools > known.tools:
            return
        self.text += text[known.characters - start.characters :]
        self.tools += tools[known.tools - start.tools :]
        if self.end != known:
            self._wake()

    def since(self, position: Position) -> Iterator[tuple[ServerSentEvent, Position]]:
        """Yield the events after a position, each with the position after it."""
        characters = position.characters
        for number, tool in enumerate(self.tools[position.tools :], position.tools + 1):
            if tool["offset"] > len(self.text):
                return  # its text is not merged yet
            yield from self._token(characters, tool["offset"], number - 1)
            characters = max(characters, tool["offset"])
            reached = Position(characters, number)
            yield ServerSentEvent(event="tool", id=str(reached), raw_data=orjson.dumps(tool).decode()), reached
        yield from self._token(characters, len(self.text), max(position.tools, len(self.tools)))

    def _token(self, start: int, end: int, tools: int) -> Iterator[tuple[ServerSentEvent, Position]]:
        if end > start:
            data = orjson.dumps({"text": self.text[start:end], "offset": start}).decode()
            reached = Position(end, tools)
            yield ServerSentEvent(event="token", id=str(reached), raw_data=data), reached

    def changed(self) -> "asyncio.Future[None]":
        """Return a future that is done at the next change."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def _wake(self) -> None:
        for future in list(self._waiting):
            if not future.done():
                future.set_result(None)
