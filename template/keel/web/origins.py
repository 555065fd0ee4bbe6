"""Origins: which pages a browser may open a connection from.

Browsers let any page open a WebSocket to any server and send cookies along; only `Origin` tells them apart (RFC 6455,
10.2). Programs other than browsers need not send it.
"""

from urllib.parse import urlsplit

from starlette.types import Scope

from keel.settings import CoreSettings


def is_allowed(scope: Scope, settings: CoreSettings) -> bool:
    """Whether a connection comes from a page of the host that it asks for, of `CORS_ORIGINS`, or from no page."""
    headers = dict(scope["headers"])
    if b"origin" not in headers:
        return True
    origin = headers[b"origin"].decode("latin-1")
    if origin in settings.cors_origins:
        return True
    host = headers.get(b"host", b"").decode("latin-1")
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
