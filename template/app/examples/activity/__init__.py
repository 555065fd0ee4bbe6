"""Activity: how many notes were created, updated and deleted on each day, counted from their events.

A read model: only the consumer writes it, and `python -m app kafka rebuild activity` rebuilds it from the topic.
"""
