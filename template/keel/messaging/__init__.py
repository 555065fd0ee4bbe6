"""Cache, publish/subscribe, mail: ports and their defaults within one process."""
