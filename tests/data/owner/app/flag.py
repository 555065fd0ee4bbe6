"""The flag: middleware of the owner's."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class FlagMiddleware:
    """Shows the flag on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add a header to its answer."""

        async def send_with_flag(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-flag", b"blue-peter")]
            await send(message)

        await self.app(scope, receive, send_with_flag)
