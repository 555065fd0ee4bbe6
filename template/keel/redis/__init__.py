"""Redis (or Valkey): the cache, pub/sub and rate limits of all processes together."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Replace the in-process implementations of the ports by shared ones."""
    from keel.redis import plugin

    plugin.install(app)
