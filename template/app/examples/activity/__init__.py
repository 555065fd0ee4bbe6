"""Activity: how many notes were created, updated and deleted on each day, counted from their events.

A read model: nothing writes it but the consumer, and `python -m app kafka rebuild activity` makes it anew from the topic.
"""
