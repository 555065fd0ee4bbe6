"""Redis (or Valkey): the cache, the broadcast, presence and rate limits of all processes together."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Put shared implementations in the place of core's in-process ones."""
    from app.redis.lifecycle import install_shared
    from app.redis.settings import RedisSettings

    install_shared(app, RedisSettings.load())
