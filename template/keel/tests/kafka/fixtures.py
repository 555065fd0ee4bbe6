"""A Kafka cluster for the tests.

Either the one at `TEST_KAFKA_BOOTSTRAP_SERVERS`, which must create topics automatically, or librdkafka's mock of three
brokers, which speaks the protocol on loopback while the tests run. Each test has its own topics and groups.
"""

import os
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.kafka.settings import KafkaSettings
from keel.testing.support import running
from keel.tests.kafka.mock_cluster import MockCluster, MockUnavailable
from keel.tests.kafka.proxies import Proxies


@pytest.fixture(scope="session")
def kafka_servers() -> Iterator[tuple[str, ...]]:
    """Return the addresses of the brokers."""
    if servers := os.environ.get("TEST_KAFKA_BOOTSTRAP_SERVERS"):
        yield tuple(servers.split(","))
        return
    try:
        cluster = MockCluster()
    except MockUnavailable:  # the public way: the same brokers, but a group's first process waits 3 s
        from confluent_kafka.admin import AdminClient

        mock = AdminClient({"test.mock.num.brokers": 3, "bootstrap.servers": "", "log_level": 0})
        yield tuple(f"{broker.host}:{broker.port}" for broker in mock.list_topics(timeout=30).brokers.values())
        del mock
        return
    yield tuple(cluster.servers)
    cluster.close()


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    """Return a mock of three brokers that the test controls."""
    try:
        cluster = MockCluster()
    except MockUnavailable as error:
        pytest.skip(str(error))
    yield cluster
    cluster.close()


@pytest.fixture
def kafka_settings(environment: None, kafka_servers: tuple[str, ...]) -> KafkaSettings:
    """Return settings with the test's own topics, and without delay between attempts."""
    return KafkaSettings(
        bootstrap_servers=kafka_servers,
        topic_prefix=f"test-{uuid4().hex}",
        retry_backoff=0.0,
        relay_poll=0.02,
        # The mock waits about this long whenever another process joins a group, without heartbeats.
        session_timeout=5.0,
    )


@pytest.fixture
def brokers(kafka_servers: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses that the application connects to."""
    return kafka_servers


@pytest.fixture
async def connected(
    environment: None, brokers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[FastAPI, AsyncClient]]:
    """Return an application with brokers, which warns early of events that wait, and a client for it."""
    from keel.tests.application import create_app  # It builds the application, which needs the tests' settings.

    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", ",".join(brokers))
    monkeypatch.setenv("KAFKA_MAX_OUTBOX_AGE", "0.5")
    app = create_app()
    async with running(app) as client:
        yield app, client


@pytest.fixture
async def proxies(kafka_servers: tuple[str, ...]) -> AsyncIterator[Proxies]:
    """Return proxies in front of the brokers."""
    proxies = Proxies(kafka_servers)
    await proxies.open()
    yield proxies
    await proxies.cut()
