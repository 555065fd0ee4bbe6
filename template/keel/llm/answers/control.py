"""What processes say to each other of answers: that one is followed, or to be stopped; and how it goes on.

Nothing is published of an answer that no other process follows.
"""

from uuid import UUID

import orjson

from keel.llm.answers.log import AnswerLog, Position
from keel.messaging.pubsub import Message, PubSub

TOPIC = "llm-control"
FOLLOW = "follow"
STOP = "stop"

ENDED = "ended"
PART = "part"


def topic(answer_id: UUID) -> str:
    """Return the topic on which other processes hear of an answer."""
    return f"llm-answer:{answer_id}"


async def tell(pubsub: PubSub, what: str, answer_id: UUID) -> None:
    """Tell the process that produces an answer."""
    await pubsub.publish(TOPIC, what, str(answer_id))


async def publish(pubsub: PubSub, answer_id: UUID, log: AnswerLog, start: Position) -> Position:
    """Publish the log from a position on; return where it ends."""
    part = {
        "start": [start.characters, start.tools],
        "text": log.text[start.characters :],
        "tools": log.tools[start.tools :],
    }
    reached = log.end
    await pubsub.publish(topic(answer_id), PART, orjson.dumps(part).decode())
    return reached


async def publish_end(pubsub: PubSub, answer_id: UUID) -> None:
    """Publish that the outcome is stored."""
    await pubsub.publish(topic(answer_id), ENDED, "")


def merge(log: AnswerLog, message: Message) -> None:
    """Add what a message tells to a log."""
    part = orjson.loads(message.data)
    log.merge(Position(*part["start"]), part["text"], part["tools"])
