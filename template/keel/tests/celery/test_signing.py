"""Messages that are signed."""

import pytest
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.serialization import dumps, loads
from pydantic import SecretStr

from keel.celery import signing
from keel.celery.broker import make_celery
from keel.celery.settings import WorkerSettings

OLD, NEW = "an old key of more than thirty-two characters", "a new key of more than thirty-two characters"
BODY = [["0190"], {}, {"chord": None}]


def test_signed_messages() -> None:
    """Whoever has a key reads what was written; after a change of keys the old one still counts."""
    signing.register([OLD])
    content_type, encoding, message = dumps(BODY, serializer=signing.NAME)
    signing.register([NEW, OLD])

    assert loads(message, content_type, encoding, accept=[signing.CONTENT_TYPE]) == BODY


def test_forged_messages() -> None:
    """Who has no key writes nothing that is read."""
    signing.register([OLD])
    content_type, encoding, message = dumps(BODY, serializer=signing.NAME)
    signing.register([NEW])
    for forged in (message, message.replace("0190", "0191"), "{}"):
        with pytest.raises(DecodeError):
            loads(forged, content_type, encoding, accept=[signing.CONTENT_TYPE])


def test_unsigned_messages_are_refused_where_there_are_keys(environment: None) -> None:
    """Plain JSON is not even read."""
    conf = make_celery(WorkerSettings(signing_keys=(SecretStr(NEW),))).conf
    content_type, encoding, message = dumps(BODY, serializer="json")

    assert (conf.task_serializer, conf.accept_content) == (signing.NAME, [signing.CONTENT_TYPE])
    with pytest.raises(ContentDisallowed):
        loads(message, content_type, encoding, accept=conf.accept_content)
