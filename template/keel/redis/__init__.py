"""Redis (or Valkey): cache, pub/sub and rate limits shared by all processes."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Replace the in-process implementations of the ports with shared ones."""
    from keel.redis import plugin

    plugin.install(app)
