"""From a topic to a transaction: consumers, their inbox, retries and dead letters."""
