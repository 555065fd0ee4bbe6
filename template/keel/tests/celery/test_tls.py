"""The broker's certificate, verified in a real handshake."""

import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from keel.celery.broker.client import CeleryApp
from keel.celery.settings import CelerySettings
from keel.settings import SettingsError
from keel.testing.support import PATIENCE

AUTHORITY = trustme.CA()

pytestmark = pytest.mark.usefixtures("environment")


class TlsServer:
    """Answers handshakes as `localhost`, then closes the connection."""

    def __init__(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        AUTHORITY.issue_cert("localhost").configure_cert(self._context)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.accepted: queue.Queue[bool] = queue.Queue()
        """Whether clients have accepted the certificate."""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._socket.accept()
                try:
                    # In TLS 1.3, too, the handshake of a server ends with what a client sends once it is content.
                    with self._context.wrap_socket(peer, server_side=True):
                        self.accepted.put(True)  # noqa: FBT003 - what the queue is of
                except OSError:
                    peer.close()
                    self.accepted.put(False)  # noqa: FBT003

    def stop(self) -> None:
        """Stop."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[TlsServer]:
    """Return a running server."""
    server = TlsServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the certificate of the server's CA."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


@pytest.mark.parametrize("scheme", ["amqps", "rediss"])
@pytest.mark.parametrize(
    ("host", "query", "accepted"),
    [
        ("localhost", "", False),
        ("localhost", "?ssl_ca_certs={authority}", True),
        ("127.0.0.1", "?ssl_ca_certs={authority}", False),
        ("127.0.0.1", "?ssl_ca_certs={authority}&ssl_check_hostname=false", True),
        ("127.0.0.1", "?ssl_cert_reqs=none", True),
    ],
)
def test_certificate(server: TlsServer, authority: Path, scheme: str, host: str, query: str, *, accepted: bool) -> None:
    """The certificate and host name are verified, unless the URL says otherwise."""
    url = f"{scheme}://{host}:{server.port}/{query.format(authority=authority)}"
    celery = CeleryApp(CelerySettings.model_validate({"broker_url": SecretStr(url)}))
    # Nothing follows the handshake, so none of these connections comes about.
    with celery.connection_for_write() as connection, suppress(Exception):
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
    celery.close()

    assert server.accepted.get(timeout=PATIENCE) is accepted


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("amqps://h?ssl_cert_reqs=CERT_NONE", "ssl_cert_reqs must be required or none"),
        ("rediss://h?ssl_check_hostname=no", "ssl_check_hostname must be true or false"),
        ("redis://h?ssl_ca_certs=/ca.pem", "for TLS write amqps:// or rediss://"),
    ],
)
def test_options_without_effect(monkeypatch: pytest.MonkeyPatch, url: str, message: str) -> None:
    """TLS options without TLS are reported at startup."""
    monkeypatch.setenv("CELERY_BROKER_URL", url)

    with pytest.raises(SettingsError, match=message):
        CelerySettings.load()
