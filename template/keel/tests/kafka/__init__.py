"""Tests of events, against a mock or a real Kafka cluster."""
