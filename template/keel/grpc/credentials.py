"""TLS certificates, reloaded when their files change."""

from pathlib import Path
from typing import Any

import grpc
import structlog

from keel.grpc.settings import GrpcSettings
from keel.settings import SettingsError

log = structlog.get_logger()

Stamp = tuple[tuple[int, int], ...]
"""Modification times and inodes: they differ if a file was replaced."""


class Certificates:
    """A certificate, its key and the clients' CA; gRPC fetches them at each handshake, in a thread."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """Take the paths of the files."""
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._stamp: Stamp = ()

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Read the files.

        Raises:
            OSError: a file cannot be read.
        """
        self._stamp = self._look()
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        authorities = self._client_ca.read_bytes() if self._client_ca else None
        return grpc.ssl_server_certificate_configuration([pair], authorities)

    def fetch(self) -> Any:
        """Return the contents of the files if they have changed; None to keep the previous ones."""
        try:
            return self.read() if self._look() != self._stamp else None
        except OSError as error:
            # A renewal may replace the files one by one.
            log.warning("certificate_not_read", error=repr(error))
            return None

    def _look(self) -> Stamp:
        paths = [path for path in (self._certificate, self._key, self._client_ca) if path]
        return tuple((status.st_mtime_ns, status.st_ino) for status in (path.stat() for path in paths))


def server_credentials(settings: GrpcSettings) -> grpc.ServerCredentials | None:
    """Return the server's credentials; None without TLS.

    Raises:
        SettingsError: a file cannot be read.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    certificates = Certificates(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    try:
        first = certificates.read()
    except OSError as error:
        raise SettingsError(f"GRPC_TLS_CERTIFICATE, GRPC_TLS_KEY, GRPC_TLS_CLIENT_CA: {error}") from error
    return grpc.dynamic_ssl_server_credentials(
        first, certificates.fetch, require_client_authentication=settings.tls_client_ca is not None
    )
