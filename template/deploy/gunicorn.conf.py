"""Gunicorn's settings: `gunicorn --config deploy/gunicorn.conf.py app.main:app`.

Read from the environment: `WEB_CONCURRENCY` (worker processes, by default one per usable CPU), `WEB_CONNECTIONS`, `PORT`,
`FORWARDED_ALLOW_IPS` (proxies whose `X-Forwarded-*` headers are trusted), `ROOT_PATH` (the path below which a proxy
serves the application), `LOG_LEVEL`, `LOG_FORMAT`, `ENVIRONMENT`.
"""

import os
from pathlib import Path

from keel.ops.gunicorn import defaults, worker

worker_class = worker.Worker
on_reload = worker.on_reload
bind = defaults.bind_address(os.environ.get("PORT", "8000"))
workers = int(os.environ.get("WEB_CONCURRENCY") or defaults.usable_cpus())
forwarded_allow_ips = defaults.trusted_proxies(os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1"))
# Connections of one worker, sockets and streams included. Beyond that, those that have been idle longest are closed; if
# none is idle, new requests are told to retry, and only probes are answered.
worker_connections = int(os.environ.get("WEB_CONNECTIONS") or 2000)
# Longer than the idle timeout of common load balancers (60 s), which would otherwise reuse a closed connection.
keepalive = 75
# Seconds after SIGTERM to finish requests; Compose and Kubernetes wait longer before they kill the container.
graceful_timeout = 30
# A worker whose event loop blocks for this many seconds is killed and replaced.
timeout = 30
# Workers are recycled at different times, which bounds leaks. A single one is not: nothing would serve meanwhile.
max_requests = 100_000 if workers > 1 else 0
max_requests_jitter = max_requests // 10
# Heartbeats are written to memory: a slow disk would block a worker, which would then be killed.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - Gunicorn unlinks its file at once
# The application writes the access log.
accesslog = None
loglevel = os.environ.get("LOG_LEVEL", "info").lower()
logconfig_dict = defaults.log_config()
# The control socket needs a home directory to write to.
control_socket_disable = True
