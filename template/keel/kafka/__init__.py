"""Events out of the system: a transactional outbox, its relay to Kafka, and consumers whose effects are stored once."""
