"""A mail server that stores messages: the part of SMTP (RFC 5321) needed to deliver one."""

import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default


class _Conversation(socketserver.StreamRequestHandler):
    """A client's connection."""

    server: "_Post"

    def handle(self) -> None:
        """Accept every command, and store the message."""
        self.wfile.write(b"220 post\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                message = message_from_bytes(b"".join(lines), policy=default)
                body = message.get_body(("plain",))
                self.server.mails[message["To"]] = body.get_content() if body else ""
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 yes\r\n")
            if verb == b"QUIT":
                return


class _Post(socketserver.ThreadingTCPServer):
    """The server, with the last message to each address."""

    daemon_threads = True

    def __init__(self) -> None:
        self.mails: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), _Conversation)


@contextmanager
def post() -> Generator[tuple[str, dict[str, str]]]:
    """Run the server until the block ends; return its URL and the messages received so far."""
    with _Post() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"smtp://127.0.0.1:{server.server_address[1]}", server.mails
        server.shutdown()
