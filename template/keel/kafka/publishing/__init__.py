"""From transaction to topic: the outbox, and the relay that publishes it."""
