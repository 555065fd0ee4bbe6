"""Signed messages."""

import pytest
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.serialization import dumps, loads
from pydantic import SecretStr

from keel.celery.broker import signing
from keel.celery.broker.client import CeleryApp
from keel.celery.settings import CelerySettings

OLD, NEW = "an old key of more than thirty-two characters", "a new key of more than thirty-two characters"
BODY = [["0190", 1.5], {}, {"chord": None}]


def test_signed_messages_are_read_after_a_key_rotation() -> None:
    """A message signed with an old key is accepted as long as that key is configured."""
    signing.register([OLD])
    content_type, encoding, message = dumps(BODY, serializer=signing.NAME)
    signing.register([NEW, OLD])

    # What stands in a queue is read by the next version, too.
    assert (signing.NAME, content_type, encoding) == ("signed-json", "application/x-signed-json", "utf-8")
    for received in (message, message.encode(), memoryview(message.encode())):
        assert loads(received, content_type, encoding, accept=[signing.CONTENT_TYPE]) == BODY


def test_messages_with_invalid_signatures_are_refused() -> None:
    """An unknown key, a changed body, and no signature are refused."""
    signing.register([OLD])
    content_type, encoding, message = dumps(BODY, serializer=signing.NAME)
    signing.register([NEW])
    for forged in (message, message.replace("0190", "0191"), "{}"):
        with pytest.raises(DecodeError):
            loads(forged, content_type, encoding, accept=[signing.CONTENT_TYPE])


def test_unsigned_messages_are_refused_if_keys_are_configured(environment: None) -> None:
    """Plain JSON is not an accepted content type."""
    conf = CeleryApp(CelerySettings(signing_keys=(SecretStr(NEW),))).conf
    content_type, encoding, message = dumps(BODY, serializer="json")

    assert (conf.task_serializer, conf.accept_content) == (signing.NAME, [signing.CONTENT_TYPE])
    with pytest.raises(ContentDisallowed):
        loads(message, content_type, encoding, accept=conf.accept_content)
