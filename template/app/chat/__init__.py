"""Chat: rooms over WebSocket with history, presence and delivery that loses nothing and repeats nothing."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Add the endpoints. Imports wait until here, so that every module can be imported alone."""
    from app.chat.lifecycle import install_chat

    install_chat(app)
