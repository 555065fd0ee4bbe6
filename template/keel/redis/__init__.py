"""Redis (or Valkey): the cache, pub/sub and rate limits of all processes together."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Put shared implementations in the place of core's in-process ones."""
    from keel.redis.lifecycle import install_shared
    from keel.redis.settings import RedisSettings

    install_shared(app, RedisSettings.load())
