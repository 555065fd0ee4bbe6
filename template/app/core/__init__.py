"""What every feature builds on: settings, database, errors, logs, middleware, health, and ports with defaults.

A feature may replace the default of a port with a shared one; code that uses the port never asks which it is.
"""
