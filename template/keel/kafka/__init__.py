"""Events through Kafka: a transactional outbox, its relay, and consumers that apply each event once."""
