"""Tests of events, against a mock of a Kafka cluster or a real one."""
