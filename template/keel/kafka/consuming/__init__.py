"""From topic to transaction: consumers, their inbox, retries and dead letters."""
