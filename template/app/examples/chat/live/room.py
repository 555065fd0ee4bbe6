"""A room in one process: messages are stored first, then sent to every connection.

The database is the source of truth. Pub/sub notifies other processes at once; if a publication is lost, the next poll
of the database makes up for it. Gapless numbers show what is missing, so that each client receives each message once,
in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

import structlog
from opentelemetry.context import Context, get_current

from app.examples.chat.live.batches import split_batches
from app.examples.chat.live.frames import MessageError, encode_message
from app.examples.chat.live.listener import Listener
from app.examples.chat.live.message_buffer import RECENT, MessageBuffer
from app.examples.chat.live.presence import RoomPresence
from app.examples.chat.message_store import Draft, MessageStore, Stored
from app.examples.chat.repository import ChatReader
from keel.background.asyncio_tasks import spawn
from keel.messaging.pubsub import Message, PubSub
from keel.observability.tracing import meter, step
from keel.web.errors import AppError

BATCH = 64
"""Messages that are stored in one transaction, or sent to listeners in one go, at most."""

GAP_SECONDS = 0.05
"""How long messages that arrived before their turn wait for the announcement of earlier ones."""

MESSAGES, PRESENCE = "messages", "presence"

_MESSAGES = meter.create_counter(
    "app.rooms.messages", unit="{message}", description="Messages that clients have sent, by outcome"
)

Work = Callable[[], Coroutine[Any, Any, None]]

log = structlog.get_logger()


class LiveRoom:
    """A room in one process."""

    def __init__(
        self, room_id: UUID, *, reader: ChatReader, store: MessageStore, pubsub: PubSub, presence: RoomPresence
    ) -> None:
        self.room_id = room_id
        self.presence = presence
        self.listeners: set[Listener] = set()
        self._reader = reader
        self._store = store
        self._pubsub = pubsub
        self._buffer = MessageBuffer()
        self._drafts: deque[tuple[Listener, Draft, Context]] = deque()
        self._capacity = asyncio.Event()
        self._capacity.set()
        self._announced = self._newest = 0
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @staticmethod
    def topic(room_id: UUID) -> str:
        """Return the topic on which processes exchange what happens in a room."""
        return f"chat:{room_id}"

    @property
    def last(self) -> int:
        """The newest message that listeners have received."""
        return self._buffer.last

    async def load(self) -> None:
        """Read the newest messages.

        Raises:
            Unavailable: the database does not answer.
        """
        rows = await self._reader.history(self.room_id, 2**63 - 1, RECENT - 1)
        frames = [encode_message(row._mapping) for row in reversed(rows)]  # noqa: SLF001 - its public name
        self._announced = rows[0].id if rows else 0
        self._buffer.start(self._announced, frames)

    # --- From listeners -------------------------------------------------------------------------------------------

    async def submit(self, listener: Listener, draft: Draft) -> None:
        """Queue a message to be stored, then sent to all, its sender included; on failure, the sender gets an error."""
        await self._capacity.wait()
        self._drafts.append((listener, draft, get_current()))
        if len(self._drafts) >= 4 * BATCH:
            self._capacity.clear()
        self._ensure("store", self._store_all)

    async def _store_all(self) -> None:
        """Store the drafts. Those that arrive during a commit share the next one, so batches grow with the load."""
        while self._drafts:
            waiting = [self._drafts.popleft() for _ in range(min(BATCH, len(self._drafts)))]
            self._capacity.set()
            # One span for the batch, in the trace of its first message's connection.
            with step(
                "store messages", context=waiting[0][2], attributes={"messaging.batch.message_count": len(waiting)}
            ):
                await self._append([(listener, draft) for listener, draft, _ in waiting])

    async def _append(self, batch: Sequence[tuple[Listener, Draft]]) -> None:
        try:
            new, known = await self._store.append(self.room_id, [draft for _, draft in batch])
        except Exception as error:  # noqa: BLE001 - the senders are notified of any failure
            if not isinstance(error, AppError):
                await log.aexception("chat_store_failed", room=str(self.room_id))
            _MESSAGES.add(len(batch), {"app.rooms.outcome": "refused"})
            _refuse(batch)
            return
        _acknowledge(batch, known)
        if new:
            _MESSAGES.add(len(new), {"app.rooms.outcome": "stored"})
            first, frames = new[0]["id"], [encode_message(row) for row in new]
            self.receive(first, frames)
            await self._publish(MESSAGES, "\n".join((str(first), *frames)))

    async def _publish(self, event: str, data: str) -> None:
        try:
            await self._pubsub.publish(self.topic(self.room_id), event, data)
        except Exception:  # noqa: BLE001 - other processes find new messages in the database
            await log.awarning("chat_publish_failed", room=str(self.room_id), exc_info=True)

    # --- To listeners ---------------------------------------------------------------------------------------------

    def receive(self, first: int, frames: Sequence[str]) -> None:
        """Send stored messages to the listeners, except those that they have, and those after a gap."""
        for batch in split_batches(self._buffer.add(first, frames)):
            for listener in self.listeners:
                listener.push(batch)
        if self._buffer.has_gap:
            self._newest = max(self._newest, first + len(frames) - 1)
            self._ensure("wait", self._wait)

    async def _wait(self) -> None:
        """Wait for a late announcement: another process committed earlier and is about to publish."""
        await asyncio.sleep(GAP_SECONDS)
        if self._buffer.has_gap:
            self.expect(self._newest)

    def expect(self, newest: int) -> None:
        """Fetch messages up to a number, unless they are here."""
        self._announced = max(self._announced, newest)
        if self._announced > self.last:
            self._ensure("fetch", self._fetch)

    async def _fetch(self) -> None:
        while self.last < self._announced:
            rows = await self._reader.following(self.room_id, self.last, BATCH)
            if not rows or rows[0].id != self.last + 1:
                # A replica that lags behind; the next poll comes soon.
                return
            self.receive(rows[0].id, [encode_message(row._mapping) for row in rows])  # noqa: SLF001 - its public name
            # Listeners send what they have before they get more.
            await asyncio.sleep(0)

    async def follow(self) -> None:
        """Receive what other processes publish, until cancelled."""
        while True:
            try:
                async with self._pubsub.subscribe(self.topic(self.room_id)) as messages:
                    async for message in messages:
                        self._on_pubsub(message)
            except Exception:  # noqa: BLE001 - messages that are missed meanwhile are in the database
                await log.awarning("chat_subscription_lost", room=str(self.room_id), exc_info=True)
            await asyncio.sleep(0.5)

    def _on_pubsub(self, message: Message) -> None:
        if message.event == PRESENCE:
            self.presence.refresh()
            return
        head, *frames = message.data.split("\n")
        self.receive(int(head), frames)

    async def publish_presence(self) -> None:
        """Let other processes read the members again."""
        await self._publish(PRESENCE, "")

    def notify(self, frame: str) -> None:
        """Send a frame to all listeners."""
        for listener in self.listeners:
            listener.send(frame)

    # --- For new listeners, and at the end ------------------------------------------------------------------------

    def missed(self, after: int) -> list[str] | None:
        """Return the messages after a number, up to `last`; None if only the database has them."""
        return self._buffer.following(after)

    async def fetch_missed(self, after: int, until: int) -> list[str]:
        """Return some of the messages after a number, from the database; none if a replica lags behind."""
        rows = await self._reader.following(self.room_id, after, min(BATCH, until - after))
        if rows and rows[0].id != after + 1:
            return []
        return [encode_message(row._mapping) for row in rows]  # noqa: SLF001 - its public name

    async def newest(self) -> int:
        """Return the number of the newest message, from the primary database."""
        return await self._store.newest(self.room_id)

    async def drain(self) -> None:
        """Return when every submitted message is stored or refused."""
        while task := self._tasks.get("store"):
            await asyncio.wait([task])

    def _ensure(self, name: str, work: Work) -> None:
        """Start a task unless it runs; one that is done may still be listed, and sees nothing new."""
        running = self._tasks.get(name)
        if running is None or running.done():
            task = self._tasks[name] = spawn(work())
            task.add_done_callback(lambda _: self._done(name, task))

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if not task.cancelled() and (error := task.exception()):
            log.warning("chat_task_failed", task=name, room=str(self.room_id), error=repr(error))
        if name == "store" and self._drafts:
            self._ensure("store", self._store_all)


def _refuse(batch: Sequence[tuple[Listener, Draft]]) -> None:
    for listener, draft in batch:
        detail = "The message may not have been stored; send it again with the same client_id."
        listener.send(MessageError(code="unavailable", detail=detail, client_id=draft.client_id))


def _acknowledge(batch: Sequence[tuple[Listener, Draft]], known: Sequence[Stored]) -> None:
    """Send messages stored earlier to those who sent them again and would not receive them otherwise."""
    rows = {(row["sender"], row["client_id"]): row for row in known}
    for listener, draft in batch:
        row = rows.get((draft.sender, draft.client_id))
        if row and row["id"] <= listener.last_seen:
            listener.send(encode_message(row))
