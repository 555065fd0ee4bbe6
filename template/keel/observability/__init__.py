"""Logs, traces and measurements."""
