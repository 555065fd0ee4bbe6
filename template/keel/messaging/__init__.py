"""Cache, publish/subscribe, presence, mail: ports and their defaults within one process."""
