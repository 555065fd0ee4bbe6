"""From a transaction to a topic: the outbox, and the relay that publishes it."""
