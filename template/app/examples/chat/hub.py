"""A room, as one process sees it: what is said goes to the database first, then to everybody who is connected here.

The database is the truth. A pubsub tells other processes at once; where one is lost, the next look into the database
makes up for it. Numbers without a gap show what is missing, so that each listener gets each message once, in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol
from uuid import UUID

import structlog
from opentelemetry.context import Context, get_current

from app.examples.chat.attendance import Attendance
from app.examples.chat.frames import ErrorFrame, encode, encode_message
from app.examples.chat.outbox import Batch, batches
from app.examples.chat.repository import ChatReader
from app.examples.chat.service import Draft, Journal, Stored
from app.examples.chat.timeline import RECENT, Timeline
from keel.background.asyncio_tasks import spawn
from keel.messaging.pubsub import Message, PubSub
from keel.observability.tracing import meter, step
from keel.web.errors import AppError

BATCH = 64
"""Messages that are stored in one transaction and given to listeners in one go, at most."""

GAP_SECONDS = 0.05
"""How long messages that arrived before their turn wait for the announcement of those before them."""

MESSAGES, PRESENCE = "messages", "presence"

_MESSAGES = meter.create_counter(
    "app.rooms.messages", unit="{message}", description="Messages that clients have sent, by what became of them"
)

Work = Callable[[], Coroutine[Any, Any, None]]

log = structlog.get_logger()


class Listener(Protocol):
    """Somebody who is connected."""

    origin: int
    """The last message that they had seen when they came."""

    def push(self, batch: Batch) -> None:
        """Send messages of the room soon, after what waits already."""

    def tell(self, frame: str) -> None:
        """Send something else soon."""


class Hub:
    """One room in one process."""

    def __init__(
        self, room_id: UUID, *, reader: ChatReader, journal: Journal, pubsub: PubSub, attendance: Attendance
    ) -> None:
        self.room_id = room_id
        self.attendance = attendance
        self.listeners: set[Listener] = set()
        self._reader = reader
        self._journal = journal
        self._pubsub = pubsub
        self._timeline = Timeline()
        self._drafts: deque[tuple[Listener, Draft, Context]] = deque()
        self._room_for_more = asyncio.Event()
        self._room_for_more.set()
        self._announced = self._newest = 0
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @staticmethod
    def topic(room_id: UUID) -> str:
        """Return the topic on which processes tell each other what happens in a room."""
        return f"chat:{room_id}"

    @property
    def last(self) -> int:
        """The newest message that listeners here have been given."""
        return self._timeline.last

    async def load(self) -> None:
        """Read the newest messages.

        Raises:
            Unavailable: the database cannot be asked.
        """
        rows = await self._reader.history(self.room_id, 2**63 - 1, RECENT - 1)
        frames = [encode_message(row._mapping) for row in reversed(rows)]  # noqa: SLF001 - its public name
        self._announced = rows[0].id if rows else 0
        self._timeline.start(self._announced, frames)

    # --- Saying ---------------------------------------------------------------------------------------------------

    async def say(self, listener: Listener, draft: Draft) -> None:
        """Store a message and give it to everybody; its sender gets it, too, or else an error."""
        await self._room_for_more.wait()
        self._drafts.append((listener, draft, get_current()))
        if len(self._drafts) >= 4 * BATCH:
            self._room_for_more.clear()
        self._ensure("store", self._store_all)

    async def _store_all(self) -> None:
        """Store what waits. What comes during a commit goes into the next one together, so load makes them larger."""
        while self._drafts:
            waiting = [self._drafts.popleft() for _ in range(min(BATCH, len(self._drafts)))]
            self._room_for_more.set()
            # In the trace of the first one's connection: what is stored together is seen together.
            with step(
                "store messages", context=waiting[0][2], attributes={"messaging.batch.message_count": len(waiting)}
            ):
                await self._store([(listener, draft) for listener, draft, _ in waiting])

    async def _store(self, batch: Sequence[tuple[Listener, Draft]]) -> None:
        try:
            new, known = await self._journal.store(self.room_id, [draft for _, draft in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, the senders must hear of it
            if not isinstance(error, AppError):
                await log.aexception("chat_store_failed", room=str(self.room_id))
            _MESSAGES.add(len(batch), {"app.rooms.outcome": "refused"})
            _refuse(batch)
            return
        _acknowledge(batch, known)
        if new:
            _MESSAGES.add(len(new), {"app.rooms.outcome": "stored"})
            first, frames = new[0]["id"], [encode_message(row) for row in new]
            self.hear(first, frames)
            await self._publish(MESSAGES, "\n".join((str(first), *frames)))

    async def _publish(self, event: str, data: str) -> None:
        try:
            await self._pubsub.publish(self.topic(self.room_id), event, data)
        except Exception:  # noqa: BLE001 - other processes find what is new in the database
            await log.awarning("chat_publish_failed", room=str(self.room_id), exc_info=True)

    # --- Hearing --------------------------------------------------------------------------------------------------

    def hear(self, first: int, frames: Sequence[str]) -> None:
        """Give messages to the listeners, unless they have them, or some are missing before them."""
        for batch in batches(self._timeline.add(first, frames)):
            for listener in self.listeners:
                listener.push(batch)
        if self._timeline.is_broken:
            self._newest = max(self._newest, first + len(frames) - 1)
            self._ensure("wait", self._wait)

    async def _wait(self) -> None:
        """Wait for an announcement that has been overtaken: another process commit_on_error first, and publishes a moment later."""
        await asyncio.sleep(GAP_SECONDS)
        if self._timeline.is_broken:
            self.expect(self._newest)

    def expect(self, newest: int) -> None:
        """Fetch messages up to a number, if they are not here yet."""
        self._announced = max(self._announced, newest)
        if self._announced > self.last:
            self._ensure("fetch", self._fetch)

    async def _fetch(self) -> None:
        while self.last < self._announced:
            rows = await self._reader.following(self.room_id, self.last, BATCH)
            if not rows or rows[0].id != self.last + 1:
                # A replica that lags behind. The next look into the database comes soon.
                return
            self.hear(rows[0].id, [encode_message(row._mapping) for row in rows])  # noqa: SLF001 - its public name
            # Listeners send what they have before they get more.
            await asyncio.sleep(0)

    async def follow(self) -> None:
        """Hear what other processes say, until cancelled."""
        while True:
            try:
                async with self._pubsub.subscribe(self.topic(self.room_id)) as messages:
                    async for message in messages:
                        self._on_pubsub(message)
            except Exception:  # noqa: BLE001 - what is missed meanwhile is in the database
                await log.awarning("chat_subscription_lost", room=str(self.room_id), exc_info=True)
            await asyncio.sleep(0.5)

    def _on_pubsub(self, message: Message) -> None:
        if message.event == PRESENCE:
            self.attendance.look()
            return
        head, *frames = message.data.split("\n")
        self.hear(int(head), frames)

    async def tell_presence(self) -> None:
        """Tell other processes that somebody has come or left."""
        await self._publish(PRESENCE, "")

    def show_presence(self, frame: str) -> None:
        """Tell the listeners who is present."""
        for listener in self.listeners:
            listener.tell(frame)

    # --- Coming and going -----------------------------------------------------------------------------------------

    def missed(self, after: int) -> list[str] | None:
        """Return what followed a message, up to `last`; None if that is too long ago to know without the database."""
        return self._timeline.following(after)

    async def fetch_missed(self, after: int, until: int) -> list[str]:
        """Return some of what followed a message, from the database; nothing if a replica lags behind."""
        rows = await self._reader.following(self.room_id, after, min(BATCH, until - after))
        if rows and rows[0].id != after + 1:
            return []
        return [encode_message(row._mapping) for row in rows]  # noqa: SLF001 - its public name

    async def newest(self) -> int:
        """Return the number of the newest message there is."""
        return await self._journal.newest(self.room_id)

    async def settle(self) -> None:
        """Return when everything that was said is stored or refused."""
        while task := self._tasks.get("store"):
            await asyncio.wait([task])

    def _ensure(self, name: str, work: Work) -> None:
        """Run some work unless it runs already. What has ended may not be told yet, and sees nothing new."""
        running = self._tasks.get(name)
        if running is None or running.done():
            task = self._tasks[name] = spawn(work())
            task.add_done_callback(lambda _: self._done(name, task))

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if not task.cancelled() and (error := task.exception()):
            log.warning("chat_work_failed", work=name, room=str(self.room_id), error=repr(error))
        if name == "store" and self._drafts:
            self._ensure("store", self._store_all)


def _refuse(batch: Sequence[tuple[Listener, Draft]]) -> None:
    for listener, draft in batch:
        detail = "The message may not be stored; send it again with the same client_id."
        listener.tell(encode(ErrorFrame(code="unavailable", detail=detail, client_id=draft.client_id)))


def _acknowledge(batch: Sequence[tuple[Listener, Draft]], known: Sequence[Stored]) -> None:
    """Give messages that were stored before to those who sent them again and would not see them otherwise."""
    rows = {(row["sender"], row["client_id"]): row for row in known}
    for listener, draft in batch:
        row = rows.get((draft.sender, draft.client_id))
        if row and row["id"] <= listener.origin:
            listener.tell(encode_message(row))
