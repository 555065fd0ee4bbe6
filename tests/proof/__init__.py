"""The proof of the whole: everything on, every process and server killed under load, then every promise counted."""

import os

# Servers are started by forks of a process that calls gRPC, and become another program at once: gRPC need not prepare
# anything for them, and PostgreSQL once did not start while it tried to. It reads this when it is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
