"""Invalid settings are refused at startup; TLS and SASL settings are passed to the client."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from keel.kafka.client import connection_options
from keel.kafka.settings import KafkaSettings
from keel.settings import SettingsError


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, "SASL needs both"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "ada"}, "SASL needs both"),
        ({"TLS_CA": "ca.crt"}, "TLS needs SSL or SASL_SSL"),
        ({"SECURITY_PROTOCOL": "SSL", "TLS_KEY": "tls.key"}, "set both or none"),
        ({"COMPRESSION": "rar"}, "KAFKA_COMPRESSION"),
        ({"TOPIC_PREFIX": "a b"}, "KAFKA_TOPIC_PREFIX"),
    ],
)
def test_refused(environment: None, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], problem: str) -> None:
    """With a message that names the variable."""
    for name, value in variables.items():
        monkeypatch.setenv(f"KAFKA_{name}", value)
    with pytest.raises(SettingsError, match=problem):
        KafkaSettings.load()


def test_brokers_are_required_in_production(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locally they are optional: events wait in the outbox."""
    assert not KafkaSettings.load().connected
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(SettingsError, match="KAFKA_BOOTSTRAP_SERVERS"):
        KafkaSettings.load()


def test_sasl(environment: None) -> None:
    """User name, password and mechanism are passed on; the password is hidden in `repr`."""
    settings = KafkaSettings(
        bootstrap_servers=("k:9092",), security_protocol="SASL_SSL", sasl_username="ada", sasl_password="hush"
    )
    options = connection_options(settings)
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("ada", "hush")
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["ssl_context"].check_hostname
    assert options["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert "hush" not in repr(settings)


async def test_tls_handshake(environment: None, tmp_path: Path) -> None:
    """The broker's certificate is verified and ours is sent; a certificate of another CA is refused."""
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    authority.configure_trust(server_context)
    server_context.verify_mode = ssl.CERT_REQUIRED
    ours, requests = authority.issue_cert("client"), asyncio.Queue[bytes]()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await requests.put(await reader.read(4))
        writer.close()

    files = {
        "ca": authority.cert_pem,
        "other": trustme.CA().cert_pem,
        "cert": ours.cert_chain_pems[0],
        "key": ours.private_key_pem,
    }
    for name, content in files.items():
        content.write_to_path(tmp_path / name)
    async with await asyncio.start_server(connect, "localhost", 0, ssl=server_context) as server:
        port = server.sockets[0].getsockname()[1]
        for trusted in ("other", "ca"):
            settings = KafkaSettings(
                bootstrap_servers=(f"localhost:{port}",),
                security_protocol="SSL",
                tls_ca=tmp_path / trusted,
                tls_certificate=tmp_path / "cert",
                tls_key=tmp_path / "key",
            )
            producer = AIOKafkaProducer(**connection_options(settings))
            with pytest.raises(KafkaError):
                await producer.start()
            await producer.stop()
            assert requests.empty() is (trusted == "other")
