"""Messages between processes about answers: that one is followed or should stop, and its progress.

The progress of an answer is only published while another process follows it.
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
    """Return the topic on which the progress of an answer is published."""
    return f"llm-answer:{answer_id}"


async def tell(pubsub: PubSub, what: str, answer_id: UUID) -> None:
    """Send a message to the process that produces an answer."""
    await pubsub.publish(TOPIC, what, str(answer_id))


async def publish(pubsub: PubSub, answer_id: UUID, log: AnswerLog, start: Position) -> Position:
    """Publish the log from a position on; return the position of its end."""
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
    """Merge the content of a message into a log."""
    part = orjson.loads(message.data)
    log.merge(Position(*part["start"]), part["text"], part["tools"])
